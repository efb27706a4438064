//! Re-authentication: a password or a recent log-in, before an operation that a thief of the
//! session must not do.

use crate::domain::{Counted, Device, PlainPassword, SessionId, User, UserId, UtcTime};
use crate::flows::access::require_open;
use crate::flows::audit::context_of;
use crate::flows::limits::{account_of, requester};
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::{Conn, users};
use crate::telemetry::REFUSALS;

impl Flows {
    /// Runs `work` with the user of the token, if `password` is right or, without one, if the
    /// log-in is recent. An attempt is counted before the password is hashed.
    pub(crate) fn reauthenticated<T>(
        &self,
        claims: &Claims,
        password: Option<&PlainPassword>,
        device: &Device,
        work: impl FnOnce(User) -> Result<T>,
    ) -> Result<T> {
        let check = || work(self.check_again(claims, password, device)?);
        if password.is_none() {
            return check();
        }
        self.count_hashes(Counted::HashesOfUser, claims.user_id(), device, check)
    }

    /// Returns that user for a request that is already counted.
    pub(crate) fn check_again(
        &self,
        claims: &Claims,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<User> {
        let id = claims.user_id();
        let Some(password) = password else {
            let logged_in_at = UtcTime::from_seconds(claims.auth_time);
            if self.now() >= logged_in_at.after(self.policy.reauth_window) {
                return Err(Error::ReauthRequired);
            }
            return self.require_active_user(id);
        };
        let user = self.require_active_user(id)?;
        let context = context_of(claims, device, self.now());
        self.attempt_again(id, &claims.session_id(), context, || {
            let whose = requester(account_of(id), device);
            let verdict = self.hasher.verify(whose, password, Some(&user.password_hash))?;
            if verdict.matches {
                return Ok(user);
            }
            tracing::info!(target: REFUSALS, user_id = id.0, "wrong password within a session");
            Err(Error::InvalidCredentials)
        })
    }
}

/// Locks the account and checks that it is unchanged since the re-authentication: active, with the
/// same password, and `session` open.
pub(crate) fn lock_unchanged(conn: &mut Conn, seen: &User, session: &SessionId) -> Result<User> {
    let user = lock_for(conn, seen.id, session)?;
    if user.password_hash == seen.password_hash { Ok(user) } else { Err(Error::InvalidCredentials) }
}

/// Locks the account for an operation of `session`. All transactions lock the account before its
/// sessions, so that they do not deadlock. Verifying a password takes a while, in which the owner
/// may have ended a thief's session.
pub(crate) fn lock_for(conn: &mut Conn, id: UserId, session: &SessionId) -> Result<User> {
    let user = lock_active(conn, id)?.ok_or(Error::TokenRevoked)?;
    require_open(conn, session)?;
    Ok(user)
}

/// Locks the account, if it is active.
pub(crate) fn lock_active(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(users::lock_user(conn, id)?.filter(|user| user.is_active))
}
