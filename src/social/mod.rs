//! The client of other services at which users log in: OpenID Connect and the OAuth 2.0 dialects of
//! the well-known ones. Makes authorization URLs, redeems codes, verifies id tokens and reads
//! profiles; the result is an [`Identity`](crate::domain::Identity). Knows neither accounts nor a
//! database.

mod apple;
mod cached;
mod discovery;
mod email_claims;
mod error;
mod id_token;
mod key_set;
mod preset;
mod profile;
mod provider;
mod request;
mod settings;
mod token_endpoint;

pub use discovery::is_endpoint;
pub use error::{IdTokenError, ProviderError, ProviderErrorKind};
pub use preset::{Credential, PRESETS, Preset};
pub use provider::{Provider, Providers};
pub use request::{AuthorizationRequest, CodeResponse};
pub use settings::{
    AppleKey, Callback, ClientSecret, EmailTrust, Endpoints, IssuerName, ProfileFormat,
    ProviderSettings, SocialSettings,
};
