//! Flows of the adapter for tokens: the same accounts, hashing and rules as behind `/v1`. Only the
//! kind of token differs.

use crate::domain::{Counted, Counter, Device, EventContext, EventKind, PlainPassword, User};
use crate::drf::token::{Claims, DrfTokens, Origin, RefreshError, TokenError};
use crate::flows::limits::Attempt;
use crate::flows::{Error, Flows, LogInOutcome, LoginContext, Result};
use crate::store::sessions::candidate::Named;
use crate::store::{Conn, events, users};

/// Reasons to refuse a token of the adapter.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token is malformed, or signed with another key.
    #[error("the token cannot be decoded")]
    Undecodable,
    /// The token can be decoded, but is not acceptable here.
    #[error("the token is not acceptable")]
    Unacceptable,
    /// The token has expired.
    #[error("the token has expired")]
    Expired,
    /// The token names no account.
    #[error("the token names no account")]
    Nameless,
    /// The token names an account that does not exist.
    #[error("the token names no known account")]
    UnknownAccount,
    /// The account is disabled.
    #[error("the account is disabled")]
    AccountDisabled,
    /// The token lacks the time of the log-in, so it cannot be refreshed.
    #[error("the token has no moment of log-in")]
    NoOrigin,
    /// The log-in is too long ago.
    #[error("the log-in is too long ago")]
    OriginTooOld,
    /// The check itself failed.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<TokenError> for AccessError {
    fn from(refusal: TokenError) -> Self {
        match refusal {
            TokenError::Undecodable => Self::Undecodable,
            TokenError::Unacceptable => Self::Unacceptable,
            TokenError::Expired => Self::Expired,
        }
    }
}

impl From<RefreshError> for AccessError {
    fn from(refusal: RefreshError) -> Self {
        match refusal {
            RefreshError::NoOrigin => Self::NoOrigin,
            RefreshError::TooOld => Self::OriginTooOld,
            RefreshError::Undecodable => Self::Undecodable,
        }
    }
}

/// The result of a flow that takes a token.
pub type TokenResult<T> = std::result::Result<T, AccessError>;

/// The sender of a request, as read when the credentials were checked.
#[derive(Clone, Debug)]
pub struct Authenticated {
    /// The user that the credentials name.
    pub user: User,
    by: Credentials,
}

/// The credentials of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Credentials {
    Password,
    Token,
}

impl Authenticated {
    /// Returns the user, read again in the transaction of a change. Hashing and waiting for the
    /// writer take a while, in which the password may be changed, and rights and tokens revoked.
    pub(super) fn recheck(&self, conn: &mut Conn) -> Result<User> {
        let seen = &self.user;
        let user = users::find_by_id(conn, seen.id)?.filter(|user| {
            let has_same_tokens = user.tokens_from == seen.tokens_from;
            // A log-in may have upgraded the hash; a new password ends the tokens too.
            let has_same_password =
                self.by == Credentials::Password && user.password_hash == seen.password_hash;
            user.is_active && (has_same_tokens || has_same_password)
        });
        let user = user.ok_or(match self.by {
            Credentials::Password => Error::InvalidCredentials,
            Credentials::Token => Error::TokenRevoked,
        })?;
        // The request was read with the rights of staff.
        if seen.is_staff && !user.is_staff {
            return Err(Error::PermissionDenied);
        }
        Ok(user)
    }
}

/// The adapter's flows: those of the core, with the adapter's tokens.
#[derive(Clone, Copy)]
pub struct DrfFlows<'a> {
    /// The core's flows.
    pub(super) core: &'a Flows,
    tokens: &'a DrfTokens,
}

impl<'a> DrfFlows<'a> {
    /// Returns the flows over `core` that issue and validate `tokens`.
    pub fn new(core: &'a Flows, tokens: &'a DrfTokens) -> Self {
        Self { core, tokens }
    }

    /// Returns a token for a user who knows the password. The e-mail address is not accepted as
    /// user name here, and a disabled account gets the same error as a wrong password.
    pub fn log_in(
        &self,
        username: &str,
        password: &PlainPassword,
        login_context: &LoginContext,
    ) -> Result<String> {
        let named = Named::username(username);
        let open = |attempt: &Attempt| {
            let (device, now) = (login_context.device.clone(), self.core.now());
            let entered = self.core.with_password(password, attempt, move |conn, user| {
                let context = EventContext::of(user.id, now).on(&device);
                Ok(events::record(conn, &context, EventKind::LoggedIn, "django")?)
            });
            entered.map(LogInOutcome::LoggedIn).map_err(disabled_as_unknown)
        };
        let LogInOutcome::LoggedIn((user, ())) =
            self.core.attempt(username, &named, login_context, open)?;
        tracing::info!(user_id = user.id.0, "logged in at the Django REST adapter");
        let now = self.core.now();
        Ok(self.tokens.issue(&user, &Origin::at(now), now))
    }

    /// Returns the active user with that name and password, as the sender of a single request.
    pub fn sender_by_password(
        &self,
        username: &str,
        password: &PlainPassword,
        login_context: &LoginContext,
    ) -> Result<Authenticated> {
        let named = Named::username(username);
        let check = |attempt: &Attempt| {
            let compared = attempt.compared.clone();
            let checked = self.core.check_password(password, attempt, compared);
            checked.map(LogInOutcome::LoggedIn).map_err(disabled_as_unknown)
        };
        let LogInOutcome::LoggedIn((user, _)) =
            self.core.attempt(username, &named, login_context, check)?;
        Ok(Authenticated { user, by: Credentials::Password })
    }

    /// Returns the user of a valid token, as the sender of a request.
    pub fn sender_by_token(&self, token: &str) -> TokenResult<Authenticated> {
        Ok(Authenticated { user: self.user_by_token(token)?, by: Credentials::Token })
    }

    /// Returns the user of a valid token.
    pub fn user_by_token(&self, token: &str) -> TokenResult<User> {
        Ok(self.accept(token)?.1)
    }

    /// Returns a new token for a valid one. The time of the log-in is copied.
    pub fn refresh(&self, token: &str, device: &Device) -> TokenResult<String> {
        let network = vec![Counter::new(Counted::RefreshesOfNetwork, &device.network)];
        self.core.count(network, || match self.renew(token) {
            Err(AccessError::Failed(error)) => Err(error),
            answered => Ok(answered),
        })?
    }

    fn renew(&self, token: &str) -> TokenResult<String> {
        let (claims, user) = self.accept(token)?;
        let now = self.core.now();
        let origin = self.tokens.origin(&claims, now)?;
        Ok(self.tokens.issue(&user, &origin, now))
    }

    fn accept(&self, token: &str) -> TokenResult<(Claims, User)> {
        let claims = self.tokens.check(token, self.core.now())?;
        let name = claims.username().ok_or(AccessError::Nameless)?;
        let user = self
            .core
            .db
            .read(|conn| users::find_by_exact_username(conn, &name))
            .map_err(Error::from)?
            .ok_or(AccessError::UnknownAccount)?;
        if !user.is_active {
            return Err(AccessError::AccountDisabled);
        }
        // Its tokens were revoked, or the name belonged to another account.
        if !self.tokens.belongs_to(&claims, &user, self.core.now()) {
            return Err(AccessError::Expired);
        }
        Ok((claims, user))
    }
}

fn disabled_as_unknown(error: Error) -> Error {
    match error {
        Error::AccountDisabled => Error::InvalidCredentials,
        other => other,
    }
}
