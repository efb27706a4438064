//! What has to happen by itself: learning what other instances did, forgetting what is over.

use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use crate::domain::{ChallengeKind, Counted, FEW_FAILURES, Limits, RefreshToken};
use crate::flows::{Error, Flows, Result};
use crate::store::{
    self, Conn, challenges, erasures, events, limits, outbox, registrations, sessions,
    signing_keys, users,
};

/// How long a refresh token of an ended session says "revoked" or "expired" rather than "unknown".
const REMEMBER_SESSIONS: Duration = Duration::from_hours(30 * 24);
/// How long a mail that was sent or given up can be looked up, and with it the address.
const REMEMBER_MAIL: Duration = Duration::from_hours(30 * 24);
/// The time that one transaction of a purge works before it commits. With the commit it holds SQLite's one
/// writer for less than 20 ms.
const STEP: Duration = Duration::from_millis(3);
/// The number of rows that a statement of a purge takes: so few that it is shorter than a step.
const ROWS: i64 = 20;

impl Flows {
    /// Brings the set of ended sessions and the signing keys in step with the database.
    pub fn sync(&self) -> Result<()> {
        let outcome = self.sync_with_database();
        self.health.note(&outcome);
        outcome
    }

    fn sync_with_database(&self) -> Result<()> {
        let now = self.now();
        let since = self.access_tokens.revocations.unseen_since(now);
        let (ended, rights, keys) = self.db.read(|conn| {
            let ended = sessions::list_ended_since(conn, since)?;
            let rights = users::list_rights_changed_since(conn, since)?;
            Ok::<_, Error>((ended, rights, signing_keys::list_keys(conn)?))
        })?;
        self.access_tokens.revocations.sync(&ended, &rights, now);
        self.install_keys(keys);
        Ok(())
    }

    /// Forgets what is over.
    pub fn purge(&self) -> Result<()> {
        let now = self.now();
        self.seal_keys_anew()?;
        self.erase_deleted(Duration::MAX)?;
        self.in_steps(move |conn| registrations::erase_expired(conn, now, ROWS))?;
        for kind in ChallengeKind::ALL {
            let over = now.before(kind.remembered());
            self.in_steps(move |conn| challenges::purge(conn, kind, over, ROWS))?;
        }
        let replaced = now.before(RefreshToken::REMEMBER_REPLACED);
        let expired = now.before(RefreshToken::REMEMBER_LANDMARKS);
        self.in_steps(move |conn| sessions::purge_replaced(conn, replaced, expired, ROWS))?;
        let over = now.before(REMEMBER_SESSIONS);
        self.in_steps(move |conn| sessions::purge(conn, over, ROWS))?;
        let few_end = Limits::few_failures_end(now);
        self.in_steps(move |conn| {
            limits::purge(conn, now, Counted::FailedLoginsInARow, FEW_FAILURES, few_end, ROWS)
        })?;
        let over = now.before(REMEMBER_MAIL);
        self.in_steps(move |conn| outbox::purge(conn, over, ROWS))?;
        let over = now.before(self.policy.event_retention);
        self.in_steps(move |conn| events::purge(conn, over, ROWS))?;
        Ok(self.db.forget_deleted()?)
    }

    /// Erases what sessions and events still tell about deleted users. What takes longer than `patience` is
    /// left for the next purge.
    pub(super) fn erase_deleted(&self, patience: Duration) -> Result<()> {
        let began = Instant::now();
        let goes_on = move || began.elapsed() < patience;
        loop {
            let users = self.db.read(|conn| erasures::list_requested(conn, ROWS))?;
            if users.is_empty() {
                return Ok(());
            }
            for user in users {
                self.in_steps_while(goes_on, move |conn| {
                    sessions::erase_devices(conn, user, ROWS)
                })?;
                let mut last = None;
                self.in_steps_while(goes_on, move |conn| {
                    last = events::erase_details(conn, user, last.as_ref(), ROWS)?;
                    Ok(last.is_some())
                })?;
                if self.is_stopping() || !goes_on() {
                    return Ok(());
                }
                self.db.write(move |conn| erasures::finish(conn, user))?;
            }
        }
    }

    /// Lets purges end soon: the service stops.
    pub fn stop_upkeep(&self) {
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

    /// Does `work`, a few rows at a time, until it returns that nothing is left. A transaction takes as many
    /// rows as fit into [`STEP`], and the next one waits for as long: the writes of requests come in between.
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
            let (step, may_be_more) = self.db.write(move |conn| {
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
