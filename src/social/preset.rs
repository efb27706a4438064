//! Presets of well-known providers.

use std::collections::HashMap;

use super::settings::TENANT;
use super::{
    ClientSecret, EmailTrust, Endpoints, IssuerName, ProfileFormat, ProviderSettings,
    SocialSettings,
};

/// A provider that needs a client id and a secret only.
#[derive(Debug)]
pub struct Preset {
    /// The name in paths; in settings in capitals.
    pub id: &'static str,
    display_name: &'static str,
    /// The issuer of its identities, and where its metadata lie, if it has any.
    pub issuer: &'static str,
    /// Other names of the issuer, in metadata and id tokens.
    issuer_aliases: &'static [&'static str],
    /// The `iss` of its authorization responses, where it is not `issuer`.
    response_issuer: Option<&'static str>,
    /// Authorization and token endpoint of a provider without metadata.
    endpoints: Option<(&'static str, &'static str)>,
    profile: ProfileFormat,
    profile_url: Option<&'static str>,
    scopes: &'static str,
    email_trust: EmailTrust,
    response_mode: Option<&'static str>,
    /// Authentication of the client at the provider.
    pub credential: Credential,
    /// True if the scopes may lack `openid`.
    pub works_without_openid: bool,
    /// True if the token endpoint requires the `state` of the authorization request.
    token_request_has_state: bool,
    /// True if django-allauth stores the subject as `uid`, under the same name of the provider.
    allauth_stores_subject: bool,
}

/// Authentication of a client at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A secret.
    Secret,
    /// A secret, if one is switched on in the provider's console.
    OptionalSecret,
    /// A secret that the client signs (Apple).
    SignedSecret,
}

/// An OpenID Connect provider with metadata.
const OPENID: Preset = Preset {
    id: "",
    display_name: "",
    issuer: "",
    issuer_aliases: &[],
    response_issuer: None,
    endpoints: None,
    profile: ProfileFormat::OpenId,
    profile_url: None,
    scopes: "openid email profile",
    email_trust: EmailTrust::Verified,
    response_mode: None,
    credential: Credential::Secret,
    works_without_openid: false,
    token_request_has_state: false,
    allauth_stores_subject: false,
};

/// An OAuth 2.0 provider without id tokens.
const OAUTH: Preset = Preset { works_without_openid: true, ..OPENID };

/// The issuer of Microsoft.
const MICROSOFT: &str = "https://login.microsoftonline.com/{tenantid}/v2.0";

/// The presets, in the order in which they are listed.
pub static PRESETS: [Preset; 9] = [
    Preset {
        id: "google",
        display_name: "Google",
        issuer: "https://accounts.google.com",
        // "The value of iss in the ID token is equal to accounts.google.com or
        // https://accounts.google.com" ("Verify the Google ID token on your server side").
        issuer_aliases: &["accounts.google.com"],
        email_trust: EmailTrust::Google,
        allauth_stores_subject: true,
        ..OPENID
    },
    // The issuer names the tenant; see `Preset::microsoft_issuer`. The `uid` of django-allauth comes
    // from the Graph API.
    Preset {
        id: "microsoft",
        display_name: "Microsoft",
        issuer: MICROSOFT,
        email_trust: EmailTrust::Microsoft,
        ..OPENID
    },
    Preset {
        id: "apple",
        display_name: "Apple",
        issuer: "https://appleid.apple.com",
        // In June 2025 metadata and id tokens had one name or the other, without notice.
        issuer_aliases: &["https://account.apple.com"],
        scopes: "openid email name",
        // Apple requires it for the scopes `email` and `name`.
        response_mode: Some("form_post"),
        credential: Credential::SignedSecret,
        allauth_stores_subject: true,
        ..OPENID
    },
    Preset {
        id: "kakao",
        display_name: "Kakao",
        issuer: "https://kauth.kakao.com",
        profile: ProfileFormat::Kakao,
        profile_url: Some("https://kapi.kakao.com/v2/user/me"),
        scopes: "openid account_email profile_nickname",
        credential: Credential::OptionalSecret,
        works_without_openid: true,
        allauth_stores_subject: true,
        ..OPENID
    },
    Preset {
        id: "naver",
        display_name: "Naver",
        issuer: "https://nid.naver.com",
        endpoints: Some((
            "https://nid.naver.com/oauth2.0/authorize",
            "https://nid.naver.com/oauth2.0/token",
        )),
        profile: ProfileFormat::Naver,
        profile_url: Some("https://openapi.naver.com/v1/nid/me"),
        // The console decides what is shared.
        scopes: "",
        email_trust: EmailTrust::Never,
        token_request_has_state: true,
        allauth_stores_subject: true,
        ..OAUTH
    },
    Preset {
        id: "facebook",
        display_name: "Facebook",
        issuer: "https://www.facebook.com",
        endpoints: Some((
            "https://www.facebook.com/v23.0/dialog/oauth",
            "https://graph.facebook.com/v23.0/oauth/access_token",
        )),
        profile: ProfileFormat::Facebook,
        profile_url: Some("https://graph.facebook.com/v23.0/me"),
        scopes: "email public_profile",
        email_trust: EmailTrust::Never,
        allauth_stores_subject: true,
        ..OAUTH
    },
    Preset {
        id: "github",
        display_name: "GitHub",
        issuer: "https://github.com",
        response_issuer: Some("https://github.com/login/oauth"),
        endpoints: Some((
            "https://github.com/login/oauth/authorize",
            "https://github.com/login/oauth/access_token",
        )),
        profile: ProfileFormat::GitHub,
        profile_url: Some("https://api.github.com/user"),
        scopes: "read:user user:email",
        allauth_stores_subject: true,
        ..OAUTH
    },
    Preset {
        id: "discord",
        display_name: "Discord",
        issuer: "https://discord.com",
        endpoints: Some((
            "https://discord.com/oauth2/authorize",
            "https://discord.com/api/oauth2/token",
        )),
        profile: ProfileFormat::Discord,
        profile_url: Some("https://discord.com/api/users/@me"),
        scopes: "identify email",
        allauth_stores_subject: true,
        ..OAUTH
    },
    // The name of django-allauth does not tell which server it is.
    Preset { id: "gitlab", display_name: "GitLab", issuer: "https://gitlab.com", ..OPENID },
];

impl Preset {
    /// The tenant of Microsoft, unless another is set.
    pub const DEFAULT_TENANT: &str = "common";

    /// Returns the preset of that name.
    pub fn find(id: &str) -> Option<&'static Self> {
        PRESETS.iter().find(|preset| preset.id == id)
    }

    /// Returns the issuer of the identities that django-allauth stores under the name of a
    /// provider, if its `uid` is the subject of that issuer.
    pub fn issuer_of_allauth(provider: &str) -> Option<&'static str> {
        Self::find(provider).filter(|it| it.allauth_stores_subject).map(|it| it.issuer)
    }

    /// Returns whether each tenant has an issuer of its own, as with Microsoft.
    pub fn has_tenants(&self) -> bool {
        self.issuer.contains(TENANT)
    }

    /// Returns whether the provider issues id tokens, which native apps can present.
    pub fn has_id_tokens(&self) -> bool {
        self.endpoints.is_none()
    }

    /// Returns the settings of the provider for a client.
    pub fn settings(&self, client_id: String, client_secret: ClientSecret) -> ProviderSettings {
        let endpoints = self.endpoints.map(|(authorization, token)| Endpoints {
            authorization: authorization.to_owned(),
            token: token.to_owned(),
        });
        ProviderSettings {
            id: self.id.to_owned(),
            display_name: self.display_name.to_owned(),
            issuer: self.issuer_name(),
            response_issuer: self.response_issuer.map(str::to_owned),
            endpoints,
            profile: self.profile,
            profile_url: self.profile_url.map(str::to_owned),
            client_id,
            client_secret,
            native_client_ids: Vec::new(),
            scopes: self.scopes.to_owned(),
            email_trust: self.email_trust.clone(),
            response_mode: self.response_mode,
            token_request_has_state: self.token_request_has_state,
        }
    }

    fn issuer_name(&self) -> IssuerName {
        let of_all_tenants = || Self::microsoft_issuer(Self::DEFAULT_TENANT);
        let tenants = self.has_tenants().then(of_all_tenants).flatten();
        let issuer = self.issuer.to_owned();
        tenants.unwrap_or(match self.issuer_aliases {
            [] => IssuerName::Fixed(issuer),
            aliases => IssuerName::Aliased { issuer, aliases },
        })
    }

    /// Returns the settings of a provider that is known by its issuer only.
    pub fn generic(
        id: String,
        issuer: String,
        client_id: String,
        client_secret: ClientSecret,
    ) -> ProviderSettings {
        let issuer = IssuerName::Fixed(issuer);
        let email_trust = EmailTrust::Never;
        let display_name = id.clone();
        let settings = OPENID.settings(client_id, client_secret);
        ProviderSettings { id, display_name, issuer, email_trust, ..settings }
    }

    /// Returns the issuer of Microsoft for a tenant: its id, or `common`, `organizations`,
    /// `consumers`. `None` for anything else, such as the domain of a tenant, which is not what the
    /// issuer contains.
    pub fn microsoft_issuer(tenant: &str) -> Option<IssuerName> {
        /// The tenant of all personal accounts.
        const CONSUMERS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
        let of = |tenant: &str| MICROSOFT.replace(TENANT, tenant);
        match tenant {
            "common" | "organizations" => {
                Some(IssuerName::Tenants { template: MICROSOFT.to_owned(), discovery: of(tenant) })
            }
            "consumers" => Some(IssuerName::Fixed(of(CONSUMERS))),
            _ => {
                let id = uuid::Uuid::parse_str(tenant).ok()?;
                Some(IssuerName::Fixed(of(&id.hyphenated().to_string())))
            }
        }
    }
}

impl SocialSettings {
    /// Returns the issuers of the providers without a preset, by the names of the providers.
    pub fn issuers(&self) -> HashMap<String, String> {
        let generic = self.providers.iter().filter(|it| Preset::find(&it.id).is_none());
        generic.map(|it| (it.id.clone(), it.issuer.advertised().to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing::Targets;
    use crate::social::discovery::is_endpoint;

    #[test]
    fn presets_are_complete_and_use_https() {
        for preset in &PRESETS {
            let settings = preset.settings("client".to_owned(), ClientSecret::None);
            assert!(preset.id.bytes().all(|byte| byte.is_ascii_lowercase()), "{}", preset.id);
            let endpoints = settings.endpoints.iter().flat_map(|it| [&it.authorization, &it.token]);
            let urls = endpoints.chain(&settings.profile_url);
            assert!(urls.into_iter().all(|url| is_endpoint(url, Targets::Public)), "{}", preset.id);
            assert!(is_endpoint(preset.issuer, Targets::Public), "{}", preset.id);
            // Without an id token, the subject comes from the profile.
            assert!(settings.is_openid() || settings.profile_url.is_some(), "{}", preset.id);
            assert_eq!(settings.is_openid(), preset.has_id_tokens(), "{}", preset.id);
        }
    }

    #[test]
    fn a_tenant_is_an_id_or_a_word_of_microsoft() {
        let id = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        let fixed = format!("https://login.microsoftonline.com/{id}/v2.0");
        assert_eq!(Preset::microsoft_issuer(&id.to_uppercase()), Some(IssuerName::Fixed(fixed)));
        let common = Preset::microsoft_issuer("common").unwrap();
        assert_eq!(common.discovery(), "https://login.microsoftonline.com/common/v2.0");
        assert!(common.advertised().contains(TENANT));
        for bad in ["", "contoso.onmicrosoft.com", "Common", "../common"] {
            assert_eq!(Preset::microsoft_issuer(bad), None, "{bad}");
        }
    }
}
