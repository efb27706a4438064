//! Deletion of an account, by its user or by staff. All personal data is deleted. The ids of its
//! sessions are kept for a while, so that other instances refuse their access tokens.
//!
//! One short transaction ends the sessions and empties the row of the account, after which nothing
//! of it is found. What belongs to it is deleted in the steps of a purge: in one statement,
//! thousands of rows would hold SQLite's writer for a tenth of a second and more. A deletion that
//! is cut short is finished by the next purge. On SQLite the rows of an account that has few are
//! deleted in that transaction.

use std::time::Duration;

use crate::domain::{
    Device, EndReason, EventContext, EventId, EventKind, PlainPassword, SessionId, User, UserId,
    UtcTime,
};
use crate::flows::password::reauthenticate::lock_unchanged;
use crate::flows::{Claims, Error, Flows, Result};
use crate::store::sessions::known_devices;
use crate::store::users::deletion::{self, DeletedUser};
use crate::store::users::{self, erasures, rights};
use crate::store::{self, Conn, challenges, events, identities, outbox, sessions};

/// Time for which the response to a deletion waits until the rows of the account are deleted and
/// its sessions and events erased. It suffices for a few thousand rows.
const ERASE_AT_ONCE: Duration = Duration::from_secs(1);

/// Number of rows of one kind from which on an account has many.
const FEW: i64 = 50;

/// Number of rows per statement of [`complete_deletions`].
const ROWS_AT_ONCE: i64 = 1_000;

/// Time at which the rows of a deleted account are deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// In the transaction of the deletion, if they are few. Each page is written once then, not in
    /// each of the steps, and the emptied row and its index entries are never written.
    AtOnce,
    /// In steps after it. On Postgres, other transactions may refer to the account meanwhile.
    InSteps,
}

/// A deletion that is committed.
pub(crate) struct Deletion {
    /// The sessions that it ended.
    ended: Vec<SessionId>,
    /// True if all rows of the account are deleted.
    is_complete: bool,
}

impl Flows {
    /// Deletes the account of the caller. `password` may be missing right after a log-in.
    pub fn delete_own_account(
        &self,
        claims: &Claims,
        password: Option<&PlainPassword>,
        device: &Device,
    ) -> Result<()> {
        let (id, session) = (claims.user_id(), claims.session_id());
        let (deletion, now) = self.reauthenticated(claims, password, device, |user| {
            let now = self.now();
            let deletion = self.write_deletion(id, move |conn, rows| {
                lock_superusers_for(conn, &user)?;
                let user = lock_unchanged(conn, &user, &session)?;
                delete_account(conn, &user, &EventContext::of(id, now), rows)
            })?;
            Ok((deletion, now))
        })?;
        self.note_deleted(id, deletion, now);
        tracing::info!(user_id = id.0, "account deleted by its owner");
        Ok(())
    }

    /// Runs the transaction that deletes the account `id`. Rows that cannot be deleted are no reason
    /// to keep the account: they are left to the steps.
    pub(crate) fn write_deletion<T: Send + 'static>(
        &self,
        id: UserId,
        work: impl FnOnce(&mut Conn, Rows) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        if self.db.has_one_writer() {
            let at_once = work.clone();
            match self.db.write(move |conn| at_once(conn, Rows::AtOnce)) {
                Err(error) if error.is_temporary() => {
                    tracing::warn!(
                        user_id = id.0,
                        %error,
                        "the rows of an account are not deleted at once"
                    );
                }
                outcome => return outcome,
            }
        }
        self.db.write(move |conn| work(conn, Rows::InSteps))
    }

    /// Completes a deletion after its commit. If deleting the rows of the account fails now, the
    /// next purge does it.
    pub(crate) fn note_deleted(&self, id: UserId, deletion: Deletion, now: UtcTime) {
        self.note_ended(id, deletion.ended, EndReason::AccountDeleted, now);
        if !deletion.is_complete
            && let Err(error) = self.erase_account(id, ERASE_AT_ONCE)
        {
            tracing::warn!(user_id = id.0, %error, "data of a deleted user is not erased yet; the next purge does it");
        }
        self.forget_deleted_soon();
    }
}

/// Deletes a locked account. What belongs to it and is not deleted at once, [`delete_some_rows`]
/// deletes. `context` names the caller, unless it is the user.
pub(crate) fn delete_account(
    conn: &mut Conn,
    user: &User,
    context: &EventContext,
    rows: Rows,
) -> Result<Deletion> {
    let now = context.at;
    keep_one_superuser(conn, user)?;
    let reason = EndReason::AccountDeleted;
    let ended = sessions::end_all_sessions(conn, user.id, None, reason, now)?;
    events::record(conn, context, EventKind::AccountDeleted, "")?;
    // Another account may be linked to them at once.
    identities::unlink_since(conn, user.id, UtcTime::from_micros(0))?;
    for former in deletion::list_former_addresses(conn, user.id)? {
        // It may be the address of another account by now.
        let holder = users::find_id_by_email(conn, &former)?;
        if holder.is_none_or(|holder| holder == user.id) {
            challenges::erase_from_notices(conn, former.normalised())?;
        }
    }
    if let Some(email) = &user.email {
        challenges::erase_from_notices(conn, email.normalised())?;
        // The limits of mail keep them few.
        challenges::delete_of_address(conn, email, None)?;
    }
    let deleted = DeletedUser { id: user.id, email: user.email.clone(), deleted_at: now };
    let is_complete = rows == Rows::AtOnce && delete_few_rows(conn, &deleted)?;
    if !is_complete {
        erasures::request(conn, user.id, now)?;
        deletion::mark_deleted(conn, user.id, now)?;
    }
    Ok(Deletion { ended, is_complete })
}

/// Deletes the rows of an account and then its own, unless they are many. Returns whether its own
/// is deleted.
fn delete_few_rows(conn: &mut Conn, user: &DeletedUser) -> store::Result<bool> {
    // Events first: they are the most.
    let are_many = events::erase_details(conn, user.id, None, FEW)?.is_some()
        || sessions::erase_devices(conn, user.id, FEW)?
        || delete_rows(conn, user, FEW)?;
    if !are_many {
        deletion::delete_user(conn, user.id)?;
    }
    Ok(!are_many)
}

/// Deletes up to `limit` rows of a deleted account, and after the last of them the account's own.
/// Returns whether there may be more.
pub(crate) fn delete_some_rows(
    conn: &mut Conn,
    user: &DeletedUser,
    limit: i64,
) -> store::Result<bool> {
    let may_be_more = delete_rows(conn, user, limit)?;
    if !may_be_more {
        deletion::delete_user(conn, user.id)?;
    }
    Ok(may_be_more)
}

/// Deletes up to `limit` rows of one kind after the other, until there may be more of one. Returns
/// whether there may be.
fn delete_rows(conn: &mut Conn, user: &DeletedUser, limit: i64) -> store::Result<bool> {
    Ok(outbox::erase_of(conn, user.id, limit)?
        || challenges::erase_of(conn, user.id, limit)?
        || known_devices::erase_of(conn, user.id, limit)?
        || match &user.email {
            Some(email) => outbox::erase_to(conn, email, user.deleted_at, limit)?,
            None => false,
        })
}

/// Erases up to `limit` rows of the sessions and events of a deleted account, the events after
/// `last`, and after the last of them the request. Returns whether there may be more.
pub(crate) fn erase_some_rows(
    conn: &mut Conn,
    id: UserId,
    last: &mut Option<EventId>,
    limit: i64,
) -> store::Result<bool> {
    if !erasures::is_requested(conn, id)? {
        return Ok(false);
    }
    if sessions::erase_devices(conn, id, limit)? {
        return Ok(true);
    }
    *last = events::erase_details(conn, id, last.as_ref(), limit)?;
    if last.is_none() {
        erasures::finish(conn, id)?;
    }
    Ok(last.is_some())
}

/// Completes the deletions that are under way, in one transaction.
pub(crate) fn complete_deletions(conn: &mut Conn) -> store::Result<()> {
    while let Some(deleted) = deletion::list_deleted(conn, 1)?.pop() {
        while delete_some_rows(conn, &deleted, ROWS_AT_ONCE)? {}
    }
    while let Some(id) = erasures::list_requested(conn, 1)?.pop() {
        let mut last = None;
        while erase_some_rows(conn, id, &mut last, ROWS_AT_ONCE)? {}
    }
    Ok(())
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
