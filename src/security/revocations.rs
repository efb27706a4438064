//! What was ended within the life of an access token, in memory: a look-up costs no database, no
//! lock and no thread hop. Each instance adds what it ends itself at once and learns of the rest
//! by polling.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::domain::{SessionId, UtcTime};

const OVERLAP: Duration = Duration::from_secs(60);

/// The set of ended sessions, each with the moment of its end.
pub struct Revocations {
    ended: ArcSwap<HashMap<String, UtcTime>>,
    /// Entries older than this are of no use: their last access token has expired.
    keep: Duration,
    synced_at: AtomicI64,
    /// How long the set may go without a look at the database before it is no longer believed.
    max_staleness: Duration,
}

impl Revocations {
    /// An empty set, of no use before it was in step with the database once.
    pub fn new(keep: Duration, max_staleness: Duration) -> Self {
        Self { ended: ArcSwap::default(), keep, synced_at: AtomicI64::new(i64::MIN), max_staleness }
    }

    /// Whether the session was ended; `None` when the set is too old to tell.
    pub fn contains(&self, session: &str, now: UtcTime) -> Option<bool> {
        if self.ended.load().contains_key(session) {
            return Some(true);
        }
        self.is_current(now).then_some(false)
    }

    /// Whether the last look at the database is recent enough.
    pub fn is_current(&self, now: UtcTime) -> bool {
        now <= self.synced_at().after(self.max_staleness)
    }

    fn synced_at(&self) -> UtcTime {
        UtcTime::from_micros(self.synced_at.load(Ordering::Relaxed))
    }

    /// Adds sessions that this instance has just ended.
    pub fn add(&self, sessions: &[SessionId], now: UtcTime) {
        let ended: Vec<_> = sessions.iter().map(|id| (id.clone(), now)).collect();
        self.merge(&ended, now);
    }

    /// Adds what the database has, as of `now`.
    pub fn sync(&self, ended: &[(SessionId, UtcTime)], now: UtcTime) {
        self.merge(ended, now);
        self.synced_at.store(now.micros(), Ordering::Relaxed);
    }

    /// Since when the database must be asked for ends: all that matter at first, then those that
    /// are new. Clocks of instances may differ a little, and a transaction that ended a session
    /// takes a moment to commit.
    pub fn unseen_since(&self, now: UtcTime) -> UtcTime {
        self.horizon(now).max(self.synced_at().before(OVERLAP))
    }

    fn horizon(&self, now: UtcTime) -> UtcTime {
        now.before(self.keep)
    }

    fn merge(&self, new: &[(SessionId, UtcTime)], now: UtcTime) {
        let horizon = self.horizon(now);
        let current = self.ended.load();
        let nothing_new = new.iter().all(|(id, _)| current.contains_key(id.as_str()));
        if nothing_new && current.values().all(|at| *at >= horizon) {
            return;
        }
        self.ended.rcu(|current| {
            let mut next: HashMap<_, _> = current
                .iter()
                .filter(|(_, at)| **at >= horizon)
                .map(|(k, v)| (k.clone(), *v))
                .collect();
            next.extend(new.iter().map(|(id, at)| (id.0.clone(), *at)));
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    #[test]
    fn an_entry_lives_as_long_as_a_token_and_a_stale_set_does_not_guess() {
        let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
        assert_eq!(set.contains("a", at(0)), None);
        assert_eq!(set.unseen_since(at(0)), at(-300));
        set.sync(&[], at(0));
        assert_eq!(set.unseen_since(at(1)), at(-60));
        set.add(&[SessionId("a".into())], at(1));
        assert_eq!(set.contains("a", at(1)), Some(true));
        assert_eq!(set.contains("b", at(10)), Some(false));
        assert_eq!(set.contains("b", at(11)), None);
        assert_eq!(set.contains("a", at(11)), Some(true));
        set.sync(&[(SessionId("b".into()), at(290))], at(301));
        assert_eq!(set.contains("a", at(301)), Some(true));
        set.sync(&[], at(302));
        assert_eq!(set.contains("a", at(302)), Some(false));
        assert_eq!(set.contains("b", at(302)), Some(true));
    }
}
