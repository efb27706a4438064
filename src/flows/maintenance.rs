//! Periodic work: reading what other instances changed, and deleting expired rows.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::domain::{
    ChallengeKind, EventContext, EventKind, Limits, RefreshToken, UserId, UtcTime,
};
use crate::flows::account::delete::{delete_some_rows, erase_some_rows};
use crate::flows::{Error, Flows, Result};
use crate::store::jobs::backlog;
use crate::store::sessions::refresh_tokens;
use crate::store::users::{changes, deletion, rights};
use crate::store::{
    self, Conn, WriteKind, challenges, challenges::verifications, events, limits, sessions,
    signing_keys, users::erasures, users::released_names,
};

/// Time for which the refresh token of an ended session is refused as "revoked" or "expired" rather
/// than "unknown".
const REMEMBER_SESSIONS: Duration = Duration::from_hours(30 * 24);
/// Time for which a mail that was sent or failed permanently stays in the outbox, with its e-mail
/// address.
const REMEMBER_MAIL: Duration = Duration::from_hours(30 * 24);
/// Time for which the read of one table waits for a lock. All reads together are shorter than the
/// time after which a database that does not respond counts as down.
const LOCK_WAIT: Duration = Duration::from_millis(400);
const FIRST_LOCK_WAIT: Duration = Duration::from_secs(3);
/// Duration of one transaction of a purge before its commit. With the commit it holds SQLite's one
/// writer for less than 20 ms.
const STEP: Duration = Duration::from_millis(3);
/// Number of rows that one statement of a purge deletes. It is much faster than [`STEP`].
const ROWS: i64 = 20;
/// Number of deleted accounts that one purge erases.
const MANY: i64 = 10_000;
/// Attempts to make deleted data unreadable where the next purge tries again.
const ONE_ATTEMPT: u32 = 1;
/// Attempts before the response to the deletion of an account.
const ATTEMPTS_OF_DELETION: u32 = 5;

impl Flows {
    /// Reads signing keys and revocations from the database. A table that another program has
    /// locked does not delay the others.
    pub fn sync(&self) -> Result<()> {
        self.sync_within(LOCK_WAIT)
    }

    /// Syncs at the start, where it may wait longer for a lock.
    pub fn first_sync(&self) -> Result<()> {
        self.sync_within(FIRST_LOCK_WAIT)
    }

    fn sync_within(&self, wait: Duration) -> Result<()> {
        let now = self.now();
        let revocations = &self.access_tokens.revocations;
        let since = revocations.unseen_since(now);
        let keys = match self.look(wait, signing_keys::list_keys) {
            Err(error @ store::Error::Unavailable(_)) => return Err(error.into()),
            keys => keys.map(|keys| self.install_keys(&keys)),
        };
        let ended = self.look(wait, |conn| sessions::ended::list_since(conn, since));
        let rights = self.look(wait, |conn| rights::list_rights_changed_since(conn, since));
        // The revocation list is current only with both.
        match (ended, rights) {
            (Ok(ended), Ok(rights)) => revocations.sync(&ended, &rights, now),
            (Ok(ended), Err(error)) => {
                revocations.add(ended, now);
                return Err(error.into());
            }
            (Err(error), rights) => {
                for (user, generation) in rights.into_iter().flatten() {
                    revocations.change_rights(user, generation);
                }
                return Err(error.into());
            }
        }
        Ok(keys?)
    }

    /// Reads one table, and records whether the database responds.
    fn look<T>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Conn) -> store::Result<T>,
    ) -> store::Result<T> {
        let outcome = self.db.read_soon(wait, work);
        self.health.note(&outcome);
        outcome
    }

    /// Deletes expired rows.
    pub fn purge(&self) -> Result<()> {
        let now = self.now();
        self.access_tokens.drop_expired(now);
        self.seal_keys_anew()?;
        self.erase_deleted()?;
        self.forget_deleted();
        self.enable_due_accounts(now)?;
        self.in_steps(move |conn| verifications::erase_expired(conn, now, ROWS))?;
        for kind in ChallengeKind::ALL {
            let over = now.before(kind.remembered());
            self.in_steps(move |conn| challenges::purge(conn, kind, over, ROWS))?;
        }
        let replaced = now.before(RefreshToken::REMEMBER_REPLACED);
        let expired = now.before(RefreshToken::REMEMBER_LANDMARKS);
        self.in_steps(move |conn| refresh_tokens::purge_replaced(conn, replaced, expired, ROWS))?;
        let over = now.before(REMEMBER_SESSIONS);
        self.in_steps(move |conn| sessions::purge(conn, over, ROWS))?;
        // Access tokens that contain the names have expired, whatever their lifetime was.
        let over = now.before(self.access_tokens.revocations.keep());
        self.in_steps(move |conn| released_names::purge(conn, over, ROWS))?;
        let few_end = Limits::few_failures_end(now);
        self.in_steps(move |conn| limits::purge(conn, now, few_end, ROWS))?;
        let over = now.before(REMEMBER_MAIL);
        self.in_steps(move |conn| backlog::purge(conn, over, ROWS))?;
        let over = now.before(self.policy.event_retention);
        self.in_steps(move |conn| events::purge(conn, over, ROWS))?;
        Ok(self.db.forget_deleted(ONE_ATTEMPT)?)
    }

    /// Enables the accounts that are disabled until a time that has passed.
    fn enable_due_accounts(&self, now: UtcTime) -> Result<()> {
        self.in_steps(move |conn| {
            let enabled = changes::enable_due(conn, now, ROWS)?;
            for user in &enabled {
                let context = EventContext::of(user.id, now);
                events::record(conn, &context, EventKind::AccountEnabled, "date")?;
                rights::renew_rights(conn, user.id, now)?;
                tracing::info!(user_id = user.id.0, "account enabled at its date");
            }
            Ok(enabled.len() == usize::try_from(ROWS).unwrap_or(usize::MAX))
        })
    }

    /// Tries a write while writes fail, or after one failed for an unknown reason. Without requests,
    /// nothing else would notice that they succeed again, for example after a full disk.
    pub fn probe_writes(&self) -> Result<()> {
        if let Err(error) = self.db.probe_writes() {
            tracing::debug!(%error, "a trial write fails");
        }
        Ok(())
    }

    /// Deletes the rows of deleted users, and erases their sessions and events. One that fails does
    /// not keep the others.
    fn erase_deleted(&self) -> Result<()> {
        let users = self.db.read(|conn| deletion::list_deleted(conn, MANY))?;
        let requested = self.db.read(|conn| erasures::list_requested(conn, MANY))?;
        let ids: BTreeSet<UserId> = users.iter().map(|it| it.id).chain(requested).collect();
        for id in ids {
            if let Err(error) = self.erase_account(id, Duration::MAX) {
                tracing::warn!(user_id = id.0, %error, "cannot erase a deleted account; it is tried again");
            }
        }
        Ok(())
    }

    /// Deletes the rows of a deleted user, and erases the sessions and events. What takes longer
    /// than `time_limit` is left for the next purge.
    pub(super) fn erase_account(&self, id: UserId, time_limit: Duration) -> Result<()> {
        let began = Instant::now();
        let goes_on = move || began.elapsed() < time_limit;
        // An import may complete the deletion meanwhile, and make a new account with this id.
        let mut last = None;
        self.in_steps_while(goes_on, move |conn| {
            if let Some(user) = deletion::find_deleted(conn, id)?
                && delete_some_rows(conn, &user, ROWS)?
            {
                return Ok(true);
            }
            erase_some_rows(conn, id, &mut last, ROWS)
        })
    }

    /// Makes deleted data unreadable in the files of the database. If it fails, or others use the
    /// files, the next purge does it.
    pub fn forget_deleted(&self) {
        self.try_to_forget(ONE_ATTEMPT);
    }

    /// Does the same before the response to the deletion of an account, with several attempts while
    /// others use the files.
    pub(super) fn forget_deleted_soon(&self) {
        self.try_to_forget(ATTEMPTS_OF_DELETION);
    }

    fn try_to_forget(&self, attempts: u32) {
        if let Err(error) = self.db.forget_deleted(attempts) {
            tracing::warn!(%error, "deleted rows stay readable in the files of the database for now");
        }
    }

    /// Lets purges end early, because the service is stopping.
    pub fn stop_purges(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    fn in_steps(
        &self,
        work: impl FnMut(&mut Conn) -> store::Result<bool> + Clone + Send + 'static,
    ) -> Result<()> {
        self.in_steps_while(|| true, work)
    }

    /// Runs `work`, which processes a few rows at a time, until it returns that none is left. A
    /// transaction takes as many rows as fit into [`STEP`], and the next one waits for as long, so
    /// that writes of requests come in between.
    fn in_steps_while(
        &self,
        goes_on: impl Fn() -> bool,
        work: impl FnMut(&mut Conn) -> store::Result<bool> + Clone + Send + 'static,
    ) -> Result<()> {
        let mut work = Some(work);
        while let Some(mut step) = work.take()
            && goes_on()
            && !self.is_stopping()
        {
            let ordered = Instant::now();
            // The next purge repeats a step that a power failure undid.
            let (step, may_be_more) = self.db.write_as(WriteKind::Lazy, move |conn| {
                let began = Instant::now();
                while step(conn)? {
                    if began.elapsed() >= STEP {
                        return Ok((step, true));
                    }
                }
                Ok::<_, Error>((step, false))
            })?;
            work = Some(step).filter(|_| may_be_more);
            if may_be_more {
                thread::sleep(ordered.elapsed());
            }
        }
        Ok(())
    }
}
