//! Log-in at other services ([ADR 22](../../docs/adr/0022-social-log-in.md)): from the redirect to
//! a provider to a session, and the identities of an account.

mod callback;
mod finish;
mod id_token;
pub(crate) mod identities;
mod link;
mod log_in;
mod start;

pub use callback::ProviderResponse;
pub use finish::{FinishRequest, FinishedFlow};
pub use id_token::IdTokenRequest;
pub use start::{StartRequest, StartedFlow};

use super::{Error, Flows, Result};
use crate::domain::LinkedIdentity;
use crate::social::{Callback, Provider, Providers, SocialSettings};

/// The configured providers, and the pages that flows return to.
pub struct SocialLogin {
    providers: Providers,
    return_urls: Vec<String>,
    callback: Callback,
    public_url: String,
}

/// A provider, as front ends list it.
#[derive(Clone, Debug)]
pub struct ListedProvider {
    /// The name in paths.
    pub id: String,
    /// The name for display.
    pub display_name: String,
    /// True for OpenID Connect, false for OAuth 2.0 with a profile.
    pub is_openid: bool,
    /// True if native apps can present id tokens.
    pub accepts_id_tokens: bool,
    /// The URL of `start`.
    pub start_url: String,
}

/// An identity of an account, as it is listed.
#[derive(Clone, Debug)]
pub struct ListedIdentity {
    /// The identity.
    pub identity: LinkedIdentity,
    /// False if no provider of its issuer is configured: it logs no user in.
    pub is_usable: bool,
}

impl SocialLogin {
    /// Returns the providers of these settings. Makes no calls.
    pub fn new(settings: &SocialSettings, public_url: &str) -> Self {
        Self {
            providers: Providers::new(settings),
            return_urls: settings.return_urls.clone(),
            callback: settings.callback,
            public_url: public_url.to_owned(),
        }
    }

    fn provider(&self, id: &str) -> Result<&Provider> {
        self.providers.find(id).ok_or(Error::NotFound)
    }

    /// Returns the redirect URI of a flow.
    fn redirect_uri(&self, provider: &Provider, return_to: &str) -> String {
        match self.callback {
            Callback::Service => SocialSettings::redirect_uri(&self.public_url, provider.id()),
            Callback::FrontEnd => return_to.to_owned(),
        }
    }

    /// Returns whether users can log in with the identities of an issuer.
    fn logs_in(&self, issuer: &str) -> bool {
        self.providers.have_identities_of(issuer)
    }

    /// Returns identities with whether users can log in with them.
    pub(crate) fn listed(&self, identities: Vec<LinkedIdentity>) -> Vec<ListedIdentity> {
        let listed = |identity: LinkedIdentity| {
            let is_usable = self.logs_in(&identity.key.issuer);
            ListedIdentity { identity, is_usable }
        };
        identities.into_iter().map(listed).collect()
    }

    /// Returns the name for display of a provider, which may not be configured any more.
    pub(crate) fn display_name<'a>(&'a self, id: &'a str) -> &'a str {
        self.providers.find(id).map_or(id, Provider::display_name)
    }
}

impl Flows {
    /// Lists the configured providers.
    pub fn list_providers(&self) -> Vec<ListedProvider> {
        let listed = |provider: &Provider| ListedProvider {
            id: provider.id().to_owned(),
            display_name: provider.display_name().to_owned(),
            is_openid: provider.is_openid(),
            accepts_id_tokens: provider.accepts_id_tokens(),
            start_url: format!("{}/v1/social/{}/start", self.social.public_url, provider.id()),
        };
        self.social.providers.list().iter().map(listed).collect()
    }
}
