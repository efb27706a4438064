//! Proving once more who one is, before something that a thief of the session must not do.

use super::audit::scene;
use super::{Claims, Error, Flows, Result};
use crate::domain::{Device, PlainPassword, User, UserId, UtcTime};

impl Flows {
    /// The account of the token's holder, if `password` is its password or, where none is given, if
    /// the log-in is recent.
    pub(super) fn reauthenticate(
        &self,
        claims: &Claims,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<User> {
        let id = claims.user_id();
        let Some(password) = password else {
            let logged_in_at = UtcTime::from_seconds(claims.auth_time);
            if self.now() > logged_in_at.after(self.policy.reauth_window) {
                return Err(Error::ReauthRequired);
            }
            return self.own_profile(id);
        };
        let user = self.own_profile(id)?;
        self.attempt_again(id, scene(claims, device, self.now()), || {
            let verdict = self.hasher.verify(password, Some(&user.password_hash))?;
            if verdict.matches {
                return Ok(user);
            }
            tracing::info!(user_id = id.0, "wrong password within a session");
            Err(Error::InvalidCredentials)
        })
    }
}

/// The account as it was when it proved itself: still there, active, with the same password.
/// Held until the transaction is over.
pub(super) fn lock_unchanged(conn: &mut crate::store::Conn, seen: &User) -> Result<User> {
    lock_active(conn, seen.id)?
        .filter(|user| user.password_hash == seen.password_hash)
        .ok_or(Error::InvalidCredentials)
}

/// The account, if it is active, held until the transaction is over.
pub(super) fn lock_active(conn: &mut crate::store::Conn, id: UserId) -> Result<Option<User>> {
    Ok(crate::store::users::lock_user(conn, id)?.filter(|user| user.is_active))
}
