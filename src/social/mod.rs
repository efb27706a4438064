//! The client of other services at which users log in: OpenID Connect and the OAuth 2.0 dialects of
//! the well-known ones. Makes authorization URLs, redeems codes, verifies id tokens and reads
//! profiles; the result is an [`Identity`](crate::domain::Identity). Knows neither accounts nor a
//! database.

mod apple;
mod cached;
mod discovery;
mod error;
mod id_token;
mod key_set;
mod preset;
mod profile;
mod provider;
mod settings;

pub use error::{IdTokenError, ProviderError, ProviderErrorKind};
pub use preset::{Credential, PRESETS, Preset};
pub use provider::{AuthorizationRequest, CodeResponse, Provider, Providers};
pub use settings::{
    AppleKey, Callback, ClientSecret, EmailTrust, Endpoints, IssuerName, ProfileFormat,
    ProviderSettings, SocialSettings,
};
