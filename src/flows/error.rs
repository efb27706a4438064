//! Every failure that a client can tell apart, and the two that it cannot.

use std::time::Duration;

use crate::domain::Fault;
use crate::security::access_token::TokenError;
use crate::security::hasher::HashError;
use crate::security::keys::KeyError;
use crate::social::{ProviderError, ProviderErrorKind};
use crate::store;
use crate::telemetry::REFUSALS;

/// A field of a request, by its name in JSON.
pub type Field = &'static str;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The field, as the client named it.
    pub field: String,
    /// What is wrong.
    pub fault: Fault,
}

impl FieldFault {
    /// A fault of a known field.
    pub fn new(field: impl Into<String>, fault: Fault) -> Self {
        Self { field: field.into(), fault }
    }
}

/// Why a flow did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields that cannot be accepted, all of them.
    #[error("fields are not acceptable")]
    Invalid(Vec<FieldFault>),
    /// Wrong name or wrong password.
    #[error("wrong name or password")]
    InvalidCredentials,
    /// The right password of an account that is switched off.
    #[error("the account is disabled")]
    AccountDisabled,
    /// No credentials at all.
    #[error("no credentials")]
    AuthenticationRequired,
    /// Known, but not allowed.
    #[error("not allowed")]
    PermissionDenied,
    /// Not an access token of this service.
    #[error("the access token is not valid")]
    TokenInvalid,
    /// An access token whose time is over.
    #[error("the access token has expired")]
    TokenExpired,
    /// An access token of a session that was ended.
    #[error("the access token was revoked")]
    TokenRevoked,
    /// Never issued, or forgotten.
    #[error("the refresh token is unknown")]
    RefreshTokenUnknown,
    /// Its time is over.
    #[error("the refresh token has expired")]
    RefreshTokenExpired,
    /// Its session was ended.
    #[error("the refresh token was revoked")]
    RefreshTokenRevoked,
    /// Replaced long ago: its session is ended now.
    #[error("a replaced refresh token was used again")]
    RefreshTokenReused,
    /// Just replaced, and the successor is in use.
    #[error("the successor of the refresh token is in use")]
    RefreshTokenSuperseded,
    /// A wrong code, or too many of them.
    #[error("the code is not valid")]
    CodeInvalid,
    /// An unknown or used-up one-time token.
    #[error("the one-time token is not valid")]
    OneTimeTokenInvalid,
    /// A one-time token whose time is over.
    #[error("the one-time token has expired")]
    OneTimeTokenExpired,
    /// The mail's link alone is not enough.
    #[error("a proof is required")]
    ProofRequired,
    /// Accounts are created by invitation only.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The log-in is too long ago for what was asked, and no password came with it.
    #[error("a fresh log-in is required")]
    ReauthRequired,
    /// Without this account nobody could manage the others.
    #[error("the last active superuser stays")]
    LastSuperuser,
    /// A user has that name.
    #[error("the username is taken")]
    UsernameTaken,
    /// A user has that address (told only where addresses need no proof).
    #[error("the address is taken")]
    EmailTaken,
    /// The identity, or its e-mail address, belongs to another account.
    #[error("the identity belongs to another account")]
    IdentityConflict,
    /// Without this identity the account could not be logged in to.
    #[error("the last way to log in stays")]
    LastLoginMethod,
    /// A provider of social log-in does not work at the moment.
    #[error("the provider is not available: {0}")]
    ProviderUnavailable(String),
    /// No such thing.
    #[error("not found")]
    NotFound,
    /// Tried too often; worth trying again after that time.
    #[error("over the limit")]
    RateLimited(Duration),
    /// Too much to do at the moment.
    #[error("overloaded")]
    Overloaded,
    /// Something that is needed does not answer at the moment.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A fault in Hallpass or in its data.
    #[error("internal: {0}")]
    Internal(String),
}

impl Error {
    /// One faulty field.
    pub fn invalid(field: Field, fault: Fault) -> Self {
        Self::Invalid(vec![FieldFault::new(field, fault)])
    }
}

impl Error {
    /// Returns whether the service could not do its part: the same request may succeed later.
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
        Self::Internal(error.to_string())
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
