//! Proving once more who one is, before something that a thief of the session must not do.

use crate::domain::{Counted, Device, PlainPassword, SessionId, User, UserId, UtcTime};
use crate::flows::audit::scene;
use crate::flows::limits::{account_of, requester};
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::{Conn, sessions, users};
use crate::telemetry::REFUSALS;

impl Flows {
    /// Does `work` with the account of the token's holder, if `password` is its password or, where none is
    /// given, if the log-in is recent. A password is counted before it is hashed.
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

    /// Returns that account for a request that is counted already.
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
        let scene = scene(claims, device, self.now());
        self.attempt_again(id, &claims.session_id(), scene, || {
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

/// The account as it was when it proved itself: still there, active, with the same password, and
/// `session` still open. Held until the transaction is over.
pub(crate) fn lock_unchanged(conn: &mut Conn, seen: &User, session: &SessionId) -> Result<User> {
    let user = lock_for(conn, seen.id, session)?;
    if user.password_hash == seen.password_hash { Ok(user) } else { Err(Error::InvalidCredentials) }
}

/// The account for something that `session` asks for, held until the transaction is over. Whoever locks
/// both takes the account first and sessions then, or two of them would wait for each other. Comparing
/// a password takes a while, in which the owner may have ended a thief's session.
pub(crate) fn lock_for(conn: &mut Conn, id: UserId, session: &SessionId) -> Result<User> {
    let user = lock_active(conn, id)?.ok_or(Error::TokenRevoked)?;
    let session = sessions::find_session(conn, session)?;
    let is_open = session.is_some_and(|session| session.ended_at.is_none());
    if is_open { Ok(user) } else { Err(Error::TokenRevoked) }
}

/// The account, if it is active, held until the transaction is over.
pub(crate) fn lock_active(conn: &mut Conn, id: UserId) -> Result<Option<User>> {
    Ok(users::lock_user(conn, id)?.filter(|user| user.is_active))
}
