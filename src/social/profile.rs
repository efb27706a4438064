//! Profiles: the userinfo endpoint of OpenID Connect and the dialects of providers without id
//! tokens.

use aws_lc_rs::hmac;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::email_claims::EmailClaims;
use super::{ClientSecret, ProfileFormat, ProviderError};
use crate::outgoing::{Client, Reply};

/// The name of the profile in errors.
pub(super) const PROFILE: &str = "profile";

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

    /// Reads the profile of GitHub, which has the public address only, and the list of all
    /// addresses. A page of the list has 30 addresses by default.
    fn read_github(&self) -> Result<Profile, ProviderError> {
        let user: GitHubUser = self.get(self.url)?;
        let emails: Vec<GitHubEmail> = match self.get(&format!("{}/emails?per_page=100", self.url))
        {
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

    /// Returns the URL of the profile at the Graph API, with the proof that the caller knows the
    /// app secret (`appsecret_proof`).
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
        serde_json::from_slice(&body).map_err(|error| ProviderError::unreadable(PROFILE, &error))
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
