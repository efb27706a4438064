//! A provider of social log-in, as front ends list it.

use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::flows::ListedProvider;
use crate::http::schema::open_words;

const OPENID: &str = "oidc";
const OAUTH: &str = "oauth2";

/// A provider that users can log in at.
#[derive(Serialize, ToSchema)]
pub struct SocialProvider {
    /// The name in paths.
    #[schema(example = "google")]
    id: String,
    /// The name for a button.
    #[schema(example = "Google")]
    display_name: String,
    /// The protocol.
    #[schema(value_type = ProviderKind, example = "oidc")]
    kind: &'static str,
    /// The URL of `start`.
    #[schema(example = "http://127.0.0.1:8000/v1/social/google/start")]
    start_url: String,
    /// True if native apps can present id tokens.
    #[schema(example = false)]
    accepts_id_tokens: bool,
}

impl From<ListedProvider> for SocialProvider {
    fn from(provider: ListedProvider) -> Self {
        Self {
            id: provider.id,
            display_name: provider.display_name,
            kind: if provider.is_openid { OPENID } else { OAUTH },
            start_url: provider.start_url,
            accepts_id_tokens: provider.accepts_id_tokens,
        }
    }
}

/// The protocols of providers, as a type of the document.
pub struct ProviderKind;

impl PartialSchema for ProviderKind {
    fn schema() -> RefOr<Schema> {
        let description =
            "`oidc`: OpenID Connect. `oauth2`: OAuth 2.0 and a profile. More kinds may come.";
        open_words([OPENID, OAUTH], description)
    }
}

impl ToSchema for ProviderKind {}
