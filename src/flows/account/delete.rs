//! Removing an account, by its owner or by staff. Everything about the person goes. Of the sessions the
//! bare ids stay for a while, so that other instances refuse their access tokens.

use std::time::Duration;

use crate::domain::{
    Device, EndReason, EventContext, EventKind, PlainPassword, SessionId, User, UserId, UtcTime,
};
use crate::flows::password::reauthenticate::lock_unchanged;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::{Conn, challenges, erasures, events, outbox, sessions, users};

/// The time that the answer to a deletion waits for the erasure of sessions and events. It is enough for tens of
/// thousands of them.
const ERASE_AT_ONCE: Duration = Duration::from_secs(1);

impl Flows {
    /// Removes the holder's account. `password` may be missing right after a log-in.
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

    /// Does what follows the commit of a deletion. The user is gone: if the rest of the details cannot be
    /// erased now, the next purge does it.
    pub(crate) fn note_deleted(&self, id: UserId, ended: Vec<SessionId>, now: UtcTime) {
        self.note_ended(id, ended, EndReason::AccountDeleted, now);
        if let Err(error) = self.erase_deleted(ERASE_AT_ONCE) {
            tracing::warn!(user_id = id.0, %error, "details of a deleted user are erased later");
        }
        self.forget_deleted();
    }
}

/// Removes a locked account and all that belongs to it. Returns the sessions that this ended. `scene` names
/// who does it, unless it is the user.
pub(crate) fn delete_account(
    conn: &mut Conn,
    user: &User,
    scene: &EventContext,
) -> Result<Vec<SessionId>> {
    let now = scene.at;
    keep_one_superuser(conn, user)?;
    let reason = EndReason::AccountDeleted;
    let ended = sessions::end_all_sessions(conn, user.id, None, reason, now)?;
    erasures::request(conn, user.id, now)?;
    events::record(conn, scene, EventKind::AccountDeleted, "")?;
    outbox::erase_of(conn, user.id, user.email.as_ref())?;
    if let Some(email) = &user.email {
        challenges::delete_of_address(conn, email, None)?;
    }
    users::delete_user(conn, user.id)?;
    Ok(ended)
}

/// The lock that taking rights from a superuser needs, before that of the account itself.
pub(crate) fn lock_superusers_for(conn: &mut Conn, user: &User) -> Result<()> {
    if user.is_superuser { Ok(users::lock_superusers(conn)?) } else { Ok(()) }
}

/// Refuses to take away the last one who may manage superusers. For that they have to be active, and
/// staff.
pub(crate) fn keep_one_superuser(conn: &mut Conn, user: &User) -> Result<()> {
    let counts = user.is_superuser && user.is_staff && user.is_active;
    if counts && !users::is_other_superuser(conn, user.id)? {
        return Err(Error::LastSuperuser);
    }
    Ok(())
}

/// The account, held for being changed by staff; with the lock of superusers if it is one.
pub(crate) fn lock_for_staff(conn: &mut Conn, id: UserId) -> Result<User> {
    let seen = users::find_by_id(conn, id)?.ok_or(Error::NotFound)?;
    lock_superusers_for(conn, &seen)?;
    users::lock_user(conn, id)?.ok_or(Error::NotFound)
}
