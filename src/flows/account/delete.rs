//! Deletion of an account, by its user or by staff. All personal data is deleted. The ids of its
//! sessions are kept for a while, so that other instances refuse their access tokens.

use std::time::Duration;

use crate::domain::{
    Device, EndReason, EventContext, EventKind, PlainPassword, SessionId, User, UserId, UtcTime,
};
use crate::flows::password::reauthenticate::lock_unchanged;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::users::{self, rights};
use crate::store::{Conn, challenges, events, outbox, sessions, users::erasures};

/// Time for which the response to a deletion waits for the erasure of sessions and events. It
/// suffices for tens of thousands.
const ERASE_AT_ONCE: Duration = Duration::from_secs(1);

impl Flows {
    /// Deletes the account of the caller. `password` may be missing right after a log-in.
    pub fn delete_own_account(
        &self,
        claims: &Claims,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<()> {
        let (id, session) = (claims.user_id(), claims.session_id());
        let (ended, now) = self.reauthenticated(claims, password, device, |user| {
            let now = self.now();
            let ended = self.db.write(move |conn| {
                lock_superusers_for(conn, &user)?;
                let user = lock_unchanged(conn, &user, &session)?;
                delete_account(conn, &user, &EventContext::of(id, now))
            })?;
            Ok((ended, now))
        })?;
        self.note_deleted(id, ended, now);
        tracing::info!(user_id = id.0, "account deleted by its owner");
        Ok(())
    }

    /// Completes a deletion after its commit. If erasing the sessions and events fails now, the
    /// next purge does it.
    pub(crate) fn note_deleted(&self, id: UserId, ended: Vec<SessionId>, now: UtcTime) {
        self.note_ended(id, ended, EndReason::AccountDeleted, now);
        if let Err(error) = self.erase_deleted(ERASE_AT_ONCE) {
            tracing::warn!(user_id = id.0, %error, "data of a deleted user is not erased yet; the next purge does it");
        }
        self.forget_deleted();
    }
}

/// Deletes a locked account and all that belongs to it. Returns the sessions that were ended.
/// `context` names the caller, unless it is the user.
pub(crate) fn delete_account(
    conn: &mut Conn,
    user: &User,
    context: &EventContext,
) -> Result<Vec<SessionId>> {
    let now = context.at;
    keep_one_superuser(conn, user)?;
    let reason = EndReason::AccountDeleted;
    let ended = sessions::end_all_sessions(conn, user.id, None, reason, now)?;
    erasures::request(conn, user.id, now)?;
    events::record(conn, context, EventKind::AccountDeleted, "")?;
    outbox::erase_of(conn, user.id, user.email.as_ref())?;
    if let Some(email) = &user.email {
        challenges::delete_of_address(conn, email, None)?;
        challenges::erase_from_notices(conn, email.normalised())?;
    }
    users::delete_user(conn, user.id)?;
    Ok(ended)
}

/// Takes the lock that changing a superuser requires, before the lock of the account itself.
pub(crate) fn lock_superusers_for(conn: &mut Conn, user: &User) -> Result<()> {
    if user.is_superuser { Ok(rights::lock_superusers(conn)?) } else { Ok(()) }
}

/// Refuses to remove the last active superuser.
pub(crate) fn keep_one_superuser(conn: &mut Conn, user: &User) -> Result<()> {
    let counts = user.is_superuser && user.is_staff && user.is_active;
    if counts && !rights::is_other_superuser(conn, user.id)? {
        return Err(Error::LastSuperuser);
    }
    Ok(())
}

/// Locks an account that staff are about to change, with the lock of superusers if it is one.
pub(crate) fn lock_for_staff(conn: &mut Conn, id: UserId) -> Result<User> {
    let seen = users::find_by_id(conn, id)?.ok_or(Error::NotFound)?;
    lock_superusers_for(conn, &seen)?;
    users::lock_user(conn, id)?.ok_or(Error::NotFound)
}
