//! Errors of flows: one variant for each failure that a client can distinguish.

use std::time::Duration;

use crate::domain::{Fault, Scope};
use crate::security::access_token::TokenError;
use crate::security::hasher::HashError;
use crate::security::keys::KeyError;
use crate::social::{ProviderError, ProviderErrorKind};
use crate::store;
use crate::telemetry::REFUSALS;

/// A field of a request, by its name in JSON.
pub type Field = &'static str;

/// A field of a request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field, as the client named it.
    pub field: String,
    /// The reason.
    pub fault: Fault,
}

impl FieldFault {
    /// Returns a fault of the named field.
    pub fn new(field: impl Into<String>, fault: Fault) -> Self {
        Self { field: field.into(), fault }
    }
}

/// Reasons why a flow failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that are not valid, all of them.
    #[error("fields are not acceptable")]
    Invalid(Vec<FieldFault>),
    /// Wrong user name or wrong password.
    #[error("wrong name or password")]
    InvalidCredentials,
    /// The right password of a disabled account.
    #[error("the account is disabled")]
    AccountDisabled,
    /// A request without credentials.
    #[error("no credentials")]
    AuthenticationRequired,
    /// An authenticated caller without the right to do this.
    #[error("not allowed")]
    PermissionDenied,
    /// An API key without the scope that the request needs.
    #[error("the API key lacks the scope {}", .0.name())]
    InsufficientScope(Scope),
    /// Not an access token of this service.
    #[error("the access token or API key is not valid")]
    TokenInvalid,
    /// An expired access token.
    #[error("the access token or API key has expired")]
    TokenExpired,
    /// An access token of an ended session.
    #[error("the access token or API key was revoked")]
    TokenRevoked,
    /// A refresh token that was never issued, or was purged.
    #[error("the refresh token is unknown")]
    RefreshTokenUnknown,
    /// An expired refresh token.
    #[error("the refresh token has expired")]
    RefreshTokenExpired,
    /// A refresh token of an ended session.
    #[error("the refresh token was revoked")]
    RefreshTokenRevoked,
    /// A refresh token that was replaced before the grace period. Its session is ended.
    #[error("a replaced refresh token was used again")]
    RefreshTokenReused,
    /// A refresh token that was just replaced, and whose successor is already in use.
    #[error("the successor of the refresh token is in use")]
    RefreshTokenSuperseded,
    /// A wrong code, or too many wrong codes.
    #[error("the code is not valid")]
    CodeInvalid,
    /// An unknown or used-up one-time token.
    #[error("the one-time token is not valid")]
    OneTimeTokenInvalid,
    /// An expired one-time token.
    #[error("the one-time token has expired")]
    OneTimeTokenExpired,
    /// The link of the mail without further evidence.
    #[error("a proof is required")]
    ProofRequired,
    /// Accounts are created by invitation only.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The log-in is too old for this operation, and the request has no password.
    #[error("a fresh log-in is required")]
    ReauthRequired,
    /// The access token of the account would be longer than services accept. The value names
    /// account and setting, for the log.
    #[error("{0}")]
    TokenTooLarge(String),
    /// The last active superuser, who must not be removed.
    #[error("the last active superuser stays")]
    LastSuperuser,
    /// The user name belongs to another account.
    #[error("the username is taken")]
    UsernameTaken,
    /// The e-mail address belongs to another account. Returned only where addresses are not
    /// verified.
    #[error("the address is taken")]
    EmailTaken,
    /// The identity, or its e-mail address, belongs to another account.
    #[error("the identity belongs to another account")]
    IdentityConflict,
    /// The last identity of an account without a password.
    #[error("the last way to log in stays")]
    LastLoginMethod,
    /// The provider of a social log-in is not available.
    #[error("the provider is not available: {0}")]
    ProviderUnavailable(String),
    /// The object does not exist.
    #[error("not found")]
    NotFound,
    /// A rate limit was reached. The value is the time to wait.
    #[error("over the limit")]
    RateLimited(Duration),
    /// The service is overloaded.
    #[error("overloaded")]
    Overloaded,
    /// A dependency, such as the database, does not respond.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A fault in Hallpass or in its data.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// Returns the error for one field that is not valid.
    pub fn invalid(field: Field, fault: Fault) -> Self {
        Self::Invalid(vec![FieldFault::new(field, fault)])
    }

    /// Returns whether the service failed, rather than the request: the same request may succeed
    /// later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Overloaded
                | Self::Unavailable(_)
                | Self::ProviderUnavailable(_)
                | Self::Internal(_)
        )
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Unavailable(cause) | store::Error::Locked(cause) => {
                Self::Unavailable(cause)
            }
            store::Error::ReadOnly(_) => Self::Unavailable(error.to_string()),
            store::Error::Duplicate(store::Unique::Username) => Self::UsernameTaken,
            store::Error::Duplicate(store::Unique::Email) => Self::EmailTaken,
            store::Error::Duplicate(store::Unique::Identity) => Self::IdentityConflict,
            store::Error::Duplicate(store::Unique::Other)
            | store::Error::Unsuitable(_)
            | store::Error::Internal(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::Overloaded,
            HashError::Failed(cause) => Self::Internal(cause),
        }
    }
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        match error.kind() {
            ProviderErrorKind::Unavailable => Self::ProviderUnavailable(error.to_string()),
            ProviderErrorKind::Refused => {
                tracing::info!(target: REFUSALS, %error, "the response of a provider was refused");
                Self::CodeInvalid
            }
        }
    }
}

impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::TokenTooLong { .. } => Self::TokenTooLarge(error.to_string()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<TokenError> for Error {
    fn from(refusal: TokenError) -> Self {
        match refusal {
            TokenError::Invalid => Self::TokenInvalid,
            TokenError::Expired => Self::TokenExpired,
            TokenError::Revoked => Self::TokenRevoked,
            TokenError::RevocationsStale => {
                Self::Unavailable("the list of revoked sessions is too old".to_owned())
            }
        }
    }
}
