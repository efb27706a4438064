//! Settings of providers.

use std::time::Duration;

use crate::domain::{Email, SecretText};

/// The placeholder in the issuer of [`IssuerName::Tenants`].
pub(super) const TENANT: &str = "{tenantid}";

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
    /// The `iss` of authorization responses (RFC 9207), where it is not the issuer of identities.
    pub response_issuer: Option<String>,
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
    /// True if the token endpoint requires the `state` of the authorization request.
    pub token_request_has_state: bool,
}

impl ProviderSettings {
    /// Returns whether the provider may have sent an authorization response with this `iss`.
    pub(super) fn sends_responses_as(&self, issuer: &str) -> bool {
        match &self.response_issuer {
            Some(own) => issuer == own,
            None => self.issuer.admits(issuer),
        }
    }

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
    /// One issuer that the provider also calls by other names. Its identities have the first name,
    /// whichever one an id token has.
    Aliased {
        /// The issuer, whose metadata lie below it.
        issuer: String,
        /// The other names.
        aliases: &'static [&'static str],
    },
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
    /// Returns the `issuer` of the metadata.
    pub fn advertised(&self) -> &str {
        match self {
            Self::Fixed(issuer) | Self::Aliased { issuer, .. } => issuer,
            Self::Tenants { template, .. } => template,
        }
    }

    /// Returns whether metadata may have this `issuer`.
    pub(super) fn is_advertised_as(&self, issuer: &str) -> bool {
        self.canonical(issuer) == self.advertised()
    }

    /// Returns the first name of an issuer that is given by one of its names, and any other issuer
    /// as it is.
    pub(super) fn canonical<'a>(&'a self, issuer: &'a str) -> &'a str {
        match self {
            Self::Aliased { issuer: first, aliases } if aliases.contains(&issuer) => first,
            _ => issuer,
        }
    }

    /// Returns whether an authorization response may name `issuer`: this one, the one of a tenant,
    /// or their template.
    fn admits(&self, issuer: &str) -> bool {
        self.is_advertised_as(issuer) || self.has_identities_of(issuer)
    }

    /// Returns whether identities of `issuer` come from here: it is this one, or that of a tenant.
    pub fn has_identities_of(&self, issuer: &str) -> bool {
        match self {
            Self::Fixed(own) | Self::Aliased { issuer: own, .. } => issuer == own,
            Self::Tenants { template, .. } => {
                let tenant = template.split_once(TENANT).and_then(|(start, end)| {
                    issuer.strip_prefix(start).and_then(|rest| rest.strip_suffix(end))
                });
                tenant.is_some_and(|it| uuid::Uuid::parse_str(it).is_ok())
            }
        }
    }

    /// Returns the URL that the well-known path is appended to.
    pub fn discovery(&self) -> &str {
        match self {
            Self::Fixed(issuer) | Self::Aliased { issuer, .. } => issuer,
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
    /// The team id of the developer account, the `iss` of client secrets.
    pub team_id: String,
    /// The id of the private key, the `kid` of client secrets.
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
    /// No address.
    Never,
    /// All addresses.
    Verified,
    /// Addresses of these domains.
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
            "off" => return Some(Self::Never),
            _ => {}
        }
        let domain = |part: &str| {
            let email = Email::parse(&format!("a@{}", part.trim())).ok()?;
            Some(email.domain().to_owned())
        };
        text.split(',').map(domain).collect::<Option<_>>().map(Self::Domains)
    }
}
