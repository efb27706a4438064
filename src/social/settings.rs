//! Settings of providers.

use std::time::Duration;

use crate::domain::{Email, SecretText};

/// Settings of social log-in.
#[derive(Clone, Debug)]
pub struct SocialSettings {
    /// The providers, in the order in which they are listed.
    pub providers: Vec<ProviderSettings>,
    /// The pages of front ends that a flow may return to, compared whole.
    pub return_urls: Vec<String>,
    /// The target of the provider's redirect.
    pub callback: Callback,
    /// True if providers may have private addresses and `http` URLs.
    pub allow_private: bool,
    /// The time that one call to a provider may take.
    pub timeout: Duration,
}

impl SocialSettings {
    /// The time that one call to a provider may take, unless a test sets another.
    pub const TIMEOUT: Duration = Duration::from_secs(5);

    /// Returns the redirect URI of a provider, as it is registered there.
    pub fn redirect_uri(public_url: &str, provider: &str) -> String {
        format!("{public_url}/v1/social/{provider}/callback")
    }
}

/// The target of the provider's redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callback {
    /// The service, which redirects to the front end.
    Service,
    /// The page of the front end, `return_to`.
    FrontEnd,
}

/// Settings of one provider.
#[derive(Clone, Debug)]
pub struct ProviderSettings {
    /// The name in paths.
    pub id: String,
    /// The name for display.
    pub display_name: String,
    /// The issuer of its identities.
    pub issuer: IssuerName,
    /// Endpoints; `None` if they are discovered.
    pub endpoints: Option<Endpoints>,
    /// The format of the profile.
    pub profile: ProfileFormat,
    /// The URL of the profile, where it is not the discovered userinfo endpoint.
    pub profile_url: Option<String>,
    /// The OAuth client id.
    pub client_id: String,
    /// The credential of the client.
    pub client_secret: ClientSecret,
    /// Client ids of native apps whose id tokens are accepted.
    pub native_client_ids: Vec<String>,
    /// Scopes, separated by spaces. With `openid` among them, an id token is required.
    pub scopes: String,
    /// E-mail addresses of this provider that count as verified.
    pub email_trust: EmailTrust,
    /// The `response_mode` of the authorization request, if not the default.
    pub response_mode: Option<&'static str>,
}

impl ProviderSettings {
    /// Returns whether the provider issues id tokens for the configured scopes.
    pub fn is_openid(&self) -> bool {
        self.scopes.split(' ').any(|scope| scope == "openid")
    }
}

/// The issuer of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerName {
    /// One issuer, whose metadata lie below it.
    Fixed(String),
    /// Microsoft for several tenants: `{tenantid}` in the issuer stands for the claim `tid` of the
    /// id token. The metadata lie below `discovery`.
    Tenants {
        /// The template, which is the `issuer` of the metadata.
        template: String,
        /// The URL that the well-known path is appended to.
        discovery: String,
    },
}

impl IssuerName {
    /// Returns the `issuer` that the metadata must have.
    pub fn advertised(&self) -> &str {
        match self {
            Self::Fixed(issuer) => issuer,
            Self::Tenants { template, .. } => template,
        }
    }

    /// Returns the URL that the well-known path is appended to.
    pub fn discovery(&self) -> &str {
        match self {
            Self::Fixed(issuer) => issuer,
            Self::Tenants { discovery, .. } => discovery,
        }
    }
}

/// Endpoints of a provider without discovery.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// The authorization endpoint.
    pub authorization: String,
    /// The token endpoint.
    pub token: String,
}

/// The credential of the client at the token endpoint.
#[derive(Clone, Debug)]
pub enum ClientSecret {
    /// None: a public client.
    None,
    /// A fixed secret.
    Fixed(SecretText),
    /// A key that signs a secret for each request.
    Apple(AppleKey),
}

/// The key of Sign in with Apple.
#[derive(Clone, Debug)]
pub struct AppleKey {
    /// The team id.
    pub team_id: String,
    /// The key id.
    pub key_id: String,
    /// The private key, PKCS #8 in PEM.
    pub private_key: SecretText,
}

/// The format of a profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileFormat {
    /// The userinfo endpoint of OpenID Connect.
    OpenId,
    /// `/v2/user/me` of Kakao.
    Kakao,
    /// `/v1/nid/me` of Naver.
    Naver,
    /// `/me` of the Graph API of Facebook.
    Facebook,
    /// `/user` and `/user/emails` of GitHub.
    GitHub,
    /// `/users/@me` of Discord.
    Discord,
}

/// E-mail addresses of a provider that count as verified, where it says that they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EmailTrust {
    /// None.
    Nothing,
    /// All.
    Verified,
    /// Those of these domains.
    Domains(Vec<String>),
    /// Those that Google is authoritative for: of Gmail, and of Workspace accounts (claim `hd`).
    Google,
    /// Those with the claim `xms_edov` of Microsoft ("e-mail domain owner verified").
    Microsoft,
}

impl EmailTrust {
    /// Reads `on`, `off` or domains separated by commas.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "on" => return Some(Self::Verified),
            "off" => return Some(Self::Nothing),
            _ => {}
        }
        let domain = |part: &str| {
            let email = Email::parse(&format!("a@{}", part.trim())).ok()?;
            Some(domain_of(&email).to_owned())
        };
        text.split(',').map(domain).collect::<Option<_>>().map(Self::Domains)
    }
}

/// Returns the domain of an e-mail address, in lower case.
pub(super) fn domain_of(email: &Email) -> &str {
    email.normalised().rsplit_once('@').map_or("", |(_, domain)| domain)
}
