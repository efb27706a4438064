//! Readiness, and the metrics that operators watch.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Flows, Result};
use crate::domain::UtcTime;
use crate::mail::ConnectionUse;
use crate::security::hash_queue::HashLoad;
use crate::security::key_set::KeyAge;
use crate::store::jobs::backlog::{self, OpenJobs};
use crate::store::{self, PoolUse};

/// Time without a response after which the database counts as down. The service asks it twice a
/// second, and the pool reports a refused connection only after some seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Difference of clocks that is logged: tokens would begin or expire too early or too late.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

/// State of the database at the last requests to it. Times are of the monotonic clock, so setting
/// the clock of the machine has no effect.
pub(crate) struct DatabaseHealth {
    since: Instant,
    /// Time of the last response, in milliseconds after `since`.
    answered_at: AtomicU64,
    has_failed: AtomicBool,
    /// The clock of the database minus the clock of this instance, in microseconds; [`UNKNOWN`]
    /// without one.
    clock_difference: AtomicI64,
}

const UNKNOWN: i64 = i64::MIN;

impl Default for DatabaseHealth {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            answered_at: AtomicU64::new(0),
            has_failed: AtomicBool::new(false),
            clock_difference: AtomicI64::new(UNKNOWN),
        }
    }
}

impl DatabaseHealth {
    /// Records the outcome of a request to the database. An SQL error is a response, too.
    pub(super) fn note<T>(&self, outcome: &store::Result<T>) {
        let has_failed = matches!(outcome, Err(store::Error::Unavailable(_)));
        if !has_failed {
            let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.answered_at.store(now, Ordering::Relaxed);
        }
        self.has_failed.store(has_failed, Ordering::Relaxed);
    }

    fn is_up(&self) -> bool {
        let answered = Duration::from_millis(self.answered_at.load(Ordering::Relaxed));
        !self.has_failed.load(Ordering::Relaxed)
            && self.since.elapsed().saturating_sub(answered) < ANSWERS_WITHIN
    }

    fn clock_difference(&self) -> Option<i64> {
        Some(self.clock_difference.load(Ordering::Relaxed)).filter(|it| *it != UNKNOWN)
    }
}

/// State of the components that requests need.
#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    /// The database responds: requests that change data can be served.
    pub has_database: bool,
    /// The database accepts writes, according to the last transactions; `None` while it does not
    /// respond.
    pub can_write: Option<bool>,
    /// The revocation list is recent enough to check tokens.
    pub knows_revocations: bool,
    /// There is a key that validates tokens.
    pub has_key: bool,
}

impl Readiness {
    /// Returns whether access tokens can be validated, which needs no database.
    pub fn can_check_tokens(&self) -> bool {
        self.knows_revocations && self.has_key
    }
}

/// Gauges that need no database.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// The database responds.
    pub database_is_up: bool,
    /// The database accepts writes, according to the last transactions; `None` while it does not
    /// respond.
    pub can_write: Option<bool>,
    /// The clock of the database minus the clock of this instance, in microseconds; `None` for
    /// SQLite, before the first response, and while the database does not respond.
    pub clock_difference: Option<i64>,
    /// The time since the revocation list was read.
    pub revocations_age: Duration,
    /// The use of the connection pool.
    pub pool: PoolUse,
    /// The hash queue.
    pub hashes: HashLoad,
    /// Log-ins by outcome.
    pub log_ins: Vec<(&'static str, u64)>,
    /// Attempts to send mail by outcome.
    pub mails: Vec<(&'static str, u64)>,
    /// The connections to the mail server, if there is one.
    pub smtp: Option<ConnectionUse>,
    /// The signing keys.
    pub keys: Vec<KeyAge>,
}

/// Mails that wait or failed permanently.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// Mails that wait to be sent.
    pub mails_waiting: i64,
    /// Mails that failed permanently.
    pub mails_failed: i64,
    /// The age of the oldest waiting mail; zero without one.
    pub oldest_mail_age: Duration,
}

impl Flows {
    /// Returns the state of the components as last observed. It does not query the database: a
    /// health check must not wait for it.
    pub fn readiness(&self) -> Readiness {
        let has_database = self.health.is_up();
        Readiness {
            has_database,
            can_write: has_database.then(|| self.db.can_write()),
            knows_revocations: self.access_tokens.revocations.is_current(self.now()),
            has_key: !self.access_tokens.keys().is_empty(),
        }
    }

    /// Returns the gauges that need no query.
    pub fn gauges(&self) -> Gauges {
        let now = self.now();
        let database_is_up = self.health.is_up();
        Gauges {
            database_is_up,
            can_write: database_is_up.then(|| self.db.can_write()),
            clock_difference: self.health.clock_difference().filter(|_| database_is_up),
            revocations_age: self.access_tokens.revocations.age(now),
            pool: self.db.pool_use(),
            hashes: self.hasher.load(),
            log_ins: self.log_ins.totals(),
            mails: self.mails.outcomes(),
            smtp: self.mails.connection_use(),
            keys: self.access_tokens.keys().ages(now),
        }
    }

    /// Queries the backlog of mails.
    pub fn backlog(&self) -> Result<Backlog> {
        let OpenJobs { waiting, failed, oldest } = self.db.read(backlog::count_open)?;
        let now = self.now();
        let oldest_mail_age = oldest.map_or(Duration::ZERO, |oldest| now.remaining(oldest));
        Ok(Backlog { mails_waiting: waiting, mails_failed: failed, oldest_mail_age })
    }

    /// Compares the clock of the database with the clock of this instance.
    pub fn check_clock(&self) -> Result<()> {
        let asked = self.now();
        let Some(theirs) = self.db.clock()? else { return Ok(()) };
        let answered = self.now();
        let difference = clock_difference(asked, theirs, answered);
        self.health.clock_difference.store(difference, Ordering::Relaxed);
        let apart = Duration::from_micros(difference.unsigned_abs());
        if apart > CLOCK_TOLERANCE + answered.remaining(asked) / 2 {
            tracing::warn!(
                ?apart,
                "the clocks of the database and this machine differ: keep both with NTP"
            );
        }
        Ok(())
    }
}

/// Returns the time of the database minus the time of this instance in the middle of the query, in
/// microseconds.
fn clock_difference(asked: UtcTime, theirs: UtcTime, answered: UtcTime) -> i64 {
    let middle = asked.micros() + (answered.micros() - asked.micros()) / 2;
    theirs.micros().saturating_sub(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_up_while_it_answers_whatever_it_says() {
        let health = DatabaseHealth::default();
        assert!(health.is_up());
        for answer in [
            store::Error::Internal("no such column".into()),
            store::Error::Locked("lock timeout".into()),
        ] {
            health.note::<()>(&Err(store::Error::Unavailable("refused".into())));
            assert!(!health.is_up());
            health.note::<()>(&Err(answer));
            assert!(health.is_up());
        }
        health.note(&Ok(()));
        assert!(health.is_up());
    }

    #[test]
    fn a_database_that_says_nothing_is_down() {
        let long_ago = Instant::now().checked_sub(ANSWERS_WITHIN * 2).unwrap();
        let health = DatabaseHealth { since: long_ago, ..DatabaseHealth::default() };
        assert!(!health.is_up());
        health.note(&Ok(()));
        assert!(health.is_up());
    }

    #[test]
    fn the_time_of_a_question_is_no_difference() {
        let at = UtcTime::from_micros;
        assert_eq!(clock_difference(at(100), at(200), at(300)), 0);
        assert_eq!(clock_difference(at(100), at(5_000_200), at(300)), 5_000_000);
        assert_eq!(clock_difference(at(5_000_000), at(0), at(5_000_000)), -5_000_000);
    }
}
