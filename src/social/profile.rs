//! Profiles: the userinfo endpoint of OpenID Connect and the dialects of providers without id
//! tokens.

use aws_lc_rs::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::settings::domain_of;
use super::{ClientSecret, EmailTrust, ProfileFormat, ProviderError};
use crate::domain::Email;
use crate::outgoing::{Client, Reply};

/// The name of the profile in errors.
pub(super) const PROFILE: &str = "profile";

/// Claims of one document of a provider about the e-mail address. The claims of two documents are
/// never mixed: the flags belong to the address beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct EmailClaims {
    pub name: Option<String>,
    pub email: Option<String>,
    pub email_verified: Option<Value>,
    /// `hd` of Google.
    pub hosted_domain: Option<String>,
    /// `xms_edov` of Microsoft.
    pub domain_owner_verified: Option<Value>,
}

impl EmailClaims {
    /// Returns the address, if it is one that mail can be sent to.
    pub(super) fn address(&self) -> Option<Email> {
        self.email.as_deref().and_then(|text| Email::parse(text).ok())
    }

    /// Returns whether another document is needed to know the address and its state.
    pub(super) fn is_incomplete(&self, trust: &EmailTrust) -> bool {
        let needs_flag = !matches!(trust, EmailTrust::Nothing | EmailTrust::Microsoft);
        self.email.is_none() || (needs_flag && self.email_verified.is_none())
    }

    /// Returns whether the address counts as verified.
    pub(super) fn is_trusted(&self, email: &Email, trust: &EmailTrust) -> bool {
        let verified = is_true(self.email_verified.as_ref());
        let domain = domain_of(email);
        match trust {
            EmailTrust::Nothing => false,
            EmailTrust::Verified => verified,
            EmailTrust::Domains(domains) => verified && domains.iter().any(|it| it == domain),
            EmailTrust::Google => {
                let is_gmail = matches!(domain, "gmail.com" | "googlemail.com");
                verified
                    && (is_gmail || self.hosted_domain.as_ref().is_some_and(|it| !it.is_empty()))
            }
            EmailTrust::Microsoft => {
                let flag = self.domain_owner_verified.as_ref();
                is_true(flag)
                    || flag.is_some_and(|it| it.as_u64() == Some(1) || it.as_str() == Some("1"))
            }
        }
    }
}

/// Returns whether a flag is set: `true`, or the text "true" that Apple and some others send.
fn is_true(flag: Option<&Value>) -> bool {
    match flag {
        Some(Value::Bool(flag)) => *flag,
        Some(Value::String(text)) => text == "true",
        _ => false,
    }
}

/// A profile.
pub(super) struct Profile {
    /// The user id at the provider.
    pub subject: String,
    pub email: EmailClaims,
}

/// Reads profiles with an access token.
pub(super) struct ProfileReader<'a> {
    pub client: &'a Client,
    pub url: &'a str,
    pub access_token: &'a str,
    pub client_secret: &'a ClientSecret,
}

impl ProfileReader<'_> {
    /// Reads the profile.
    pub(super) fn read(&self, format: ProfileFormat) -> Result<Profile, ProviderError> {
        match format {
            ProfileFormat::OpenId => Ok(self.get::<UserInfo>(self.url)?.into()),
            ProfileFormat::Kakao => Ok(self.get::<KakaoUser>(self.url)?.into()),
            ProfileFormat::Naver => self.get::<NaverEnvelope>(self.url)?.open(),
            ProfileFormat::Facebook => Ok(self.get::<FacebookUser>(&self.facebook_url())?.into()),
            ProfileFormat::GitHub => self.read_github(),
            ProfileFormat::Discord => Ok(self.get::<DiscordUser>(self.url)?.into()),
        }
    }

    /// The profile of GitHub has the public address only; the verified ones have a list of their
    /// own.
    fn read_github(&self) -> Result<Profile, ProviderError> {
        let user: GitHubUser = self.get(self.url)?;
        let emails: Vec<GitHubEmail> = match self.get(&format!("{}/emails", self.url)) {
            // The scope `user:email` was not granted.
            Err(ProviderError::Status { status: 403 | 404, .. }) => Vec::new(),
            emails => emails?,
        };
        let primary = emails.into_iter().find(|email| email.primary);
        let email = EmailClaims {
            name: user.name.or(Some(user.login)),
            email_verified: primary.as_ref().map(|email| Value::Bool(email.verified)),
            email: primary.map(|email| email.email),
            ..EmailClaims::default()
        };
        Ok(Profile { subject: user.id.to_string(), email })
    }

    /// Calls of the Graph API carry a proof (`appsecret_proof`) that the caller knows the app
    /// secret.
    fn facebook_url(&self) -> String {
        let fields = format!("{}?fields=id,name,email", self.url);
        let ClientSecret::Fixed(secret) = self.client_secret else { return fields };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose());
        let proof = hmac::sign(&key, self.access_token.as_bytes());
        proof
            .as_ref()
            .iter()
            .fold(fields + "&appsecret_proof=", |url, byte| format!("{url}{byte:02x}"))
    }

    fn get<T: DeserializeOwned>(&self, url: &str) -> Result<T, ProviderError> {
        let authorization = format!("Bearer {}", self.access_token);
        let headers = [("Authorization", authorization.as_str()), ("Accept", "application/json")];
        let reply = self.client.get(url, &headers);
        let Reply { status, body } =
            reply.map_err(|source| ProviderError::Call { endpoint: PROFILE, source })?;
        if status != 200 {
            return Err(ProviderError::Status { endpoint: PROFILE, status });
        }
        serde_json::from_slice(&body)
            .map_err(|error| ProviderError::malformed(PROFILE, error.to_string()))
    }
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    name: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    hd: Option<String>,
}

impl From<UserInfo> for Profile {
    fn from(info: UserInfo) -> Self {
        let email = EmailClaims {
            name: info.name,
            email: info.email,
            email_verified: info.email_verified,
            hosted_domain: info.hd,
            domain_owner_verified: None,
        };
        Self { subject: info.sub, email }
    }
}

#[derive(Deserialize)]
struct KakaoUser {
    id: u64,
    kakao_account: Option<KakaoAccount>,
}

#[derive(Default, Deserialize)]
struct KakaoAccount {
    email: Option<String>,
    /// False if another account of Kakao has taken the address over.
    #[serde(default)]
    is_email_valid: bool,
    #[serde(default)]
    is_email_verified: bool,
    profile: Option<KakaoProfile>,
}

#[derive(Deserialize)]
struct KakaoProfile {
    nickname: Option<String>,
}

impl From<KakaoUser> for Profile {
    fn from(user: KakaoUser) -> Self {
        let account = user.kakao_account.unwrap_or_default();
        let is_verified = account.is_email_valid && account.is_email_verified;
        let email = EmailClaims {
            name: account.profile.and_then(|profile| profile.nickname),
            email: account.email.filter(|_| account.is_email_valid),
            email_verified: Some(Value::Bool(is_verified)),
            ..EmailClaims::default()
        };
        Self { subject: user.id.to_string(), email }
    }
}

#[derive(Deserialize)]
struct NaverEnvelope {
    resultcode: String,
    response: Option<NaverUser>,
}

#[derive(Deserialize)]
struct NaverUser {
    id: String,
    name: Option<String>,
    email: Option<String>,
}

impl NaverEnvelope {
    fn open(self) -> Result<Profile, ProviderError> {
        let user = self.response.filter(|_| self.resultcode == "00").ok_or_else(|| {
            ProviderError::malformed(PROFILE, format!("resultcode {:.16}", self.resultcode))
        })?;
        let email = EmailClaims { name: user.name, email: user.email, ..EmailClaims::default() };
        Ok(Profile { subject: user.id, email })
    }
}

#[derive(Deserialize)]
struct FacebookUser {
    id: String,
    name: Option<String>,
    email: Option<String>,
}

impl From<FacebookUser> for Profile {
    fn from(user: FacebookUser) -> Self {
        let email = EmailClaims { name: user.name, email: user.email, ..EmailClaims::default() };
        Self { subject: user.id, email }
    }
}

#[derive(Deserialize)]
struct GitHubUser {
    /// The number: `login` can pass to another user.
    id: u64,
    login: String,
    name: Option<String>,
}

#[derive(Deserialize)]
struct GitHubEmail {
    email: String,
    primary: bool,
    verified: bool,
}

#[derive(Deserialize)]
struct DiscordUser {
    id: String,
    username: String,
    global_name: Option<String>,
    email: Option<String>,
    verified: Option<bool>,
}

impl From<DiscordUser> for Profile {
    fn from(user: DiscordUser) -> Self {
        let email = EmailClaims {
            name: user.global_name.or(Some(user.username)),
            email: user.email,
            email_verified: user.verified.map(Value::Bool),
            ..EmailClaims::default()
        };
        Self { subject: user.id, email }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn trusted(trust: &EmailTrust, email: &str, verified: Value) -> bool {
        let claims = EmailClaims {
            email: Some(email.to_owned()),
            email_verified: Some(verified),
            ..EmailClaims::default()
        };
        claims.is_trusted(&claims.address().unwrap(), trust)
    }

    #[test]
    fn a_flag_is_set_by_true_and_its_text_only() {
        let trust = EmailTrust::Verified;
        for set in [json!(true), json!("true")] {
            assert!(trusted(&trust, "a@example.com", set));
        }
        let unset = [
            json!(false),
            json!("false"),
            json!("False"),
            json!("TRUE"),
            json!(""),
            json!(1),
            json!("1"),
            json!(["true"]),
            json!({"true": true}),
            Value::Null,
        ];
        for unset in unset {
            assert!(!trusted(&trust, "a@example.com", unset.clone()), "{unset}");
        }
        assert!(!trusted(&EmailTrust::Nothing, "a@example.com", json!(true)));
    }

    #[test]
    fn domains_are_compared_whole() {
        let trust = EmailTrust::parse("Example.com, bücher.example").unwrap();
        for good in ["a@example.com", "A@EXAMPLE.COM", "a@xn--bcher-kva.example"] {
            assert!(trusted(&trust, good, json!(true)), "{good}");
        }
        for bad in ["a@sub.example.com", "a@badexample.com", "a@example.com.evil.example"] {
            assert!(!trusted(&trust, bad, json!(true)), "{bad}");
        }
        assert_eq!(EmailTrust::parse("on"), Some(EmailTrust::Verified));
        assert_eq!(EmailTrust::parse("off"), Some(EmailTrust::Nothing));
        assert_eq!(EmailTrust::parse("example.com,"), None);
        assert_eq!(EmailTrust::parse("*"), None);
    }

    #[test]
    fn google_is_authoritative_for_gmail_and_workspace_only() {
        let hosted = |domain: &str| EmailClaims {
            email: Some("a@example.com".to_owned()),
            email_verified: Some(json!(true)),
            hosted_domain: Some(domain.to_owned()),
            ..EmailClaims::default()
        };
        let is_trusted = |claims: &EmailClaims| {
            claims.is_trusted(&claims.address().unwrap(), &EmailTrust::Google)
        };
        assert!(is_trusted(&hosted("example.com")));
        assert!(!is_trusted(&hosted("")));
        assert!(trusted(&EmailTrust::Google, "a@gmail.com", json!(true)));
        assert!(!trusted(&EmailTrust::Google, "a@gmail.com", json!(false)));
        assert!(!trusted(&EmailTrust::Google, "a@example.com", json!(true)));
    }

    #[test]
    fn microsoft_says_so_by_its_own_claim_only() {
        let said = |flag: Option<Value>| {
            let claims = EmailClaims {
                email: Some("a@example.com".to_owned()),
                email_verified: Some(json!(true)),
                domain_owner_verified: flag,
                ..EmailClaims::default()
            };
            claims.is_trusted(&claims.address().unwrap(), &EmailTrust::Microsoft)
        };
        assert!([json!(true), json!("true"), json!(1), json!("1")].map(Some).into_iter().all(said));
        for flag in
            [None, Some(json!(false)), Some(json!("false")), Some(json!(0)), Some(json!("0"))]
        {
            assert!(!said(flag.clone()), "{flag:?}");
        }
    }
}
