//! What was ended within the life of an access token, in memory: a look-up costs no database, no
//! lock and no thread hop. Each instance adds what it ends itself at once and learns of the rest
//! by polling.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{EndReason, EndedSession, UserId, UtcTime};

const OVERLAP: Duration = Duration::from_secs(60);
/// A clock that goes back further than this was set. What the set forgot while the clock was ahead
/// counts again then.
const CLOCK_STEP: Duration = Duration::from_secs(5);

/// Ended sessions by their id, as they stood at one moment.
#[derive(Default)]
pub struct Ended {
    sessions: HashMap<String, EndedSession>,
    tag: String,
}

impl Ended {
    /// Names this content: instances that know the same have the same tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The sessions, the one that was ended last first.
    pub fn sessions(&self) -> Vec<&EndedSession> {
        let mut sessions: Vec<_> = self.sessions.values().collect();
        sessions.sort_by(|a, b| (b.at, b.id.as_str()).cmp(&(a.at, a.id.as_str())));
        sessions
    }

    /// The accounts that were switched off or removed, and when.
    pub fn users(&self) -> BTreeMap<UserId, UtcTime> {
        let mut users = BTreeMap::new();
        for session in self.sessions.values() {
            if session.reason.is_some_and(EndReason::is_of_the_account) {
                let at = users.entry(session.user_id).or_insert(session.at);
                *at = (*at).max(session.at);
            }
        }
        users
    }

    fn of(sessions: HashMap<String, EndedSession>) -> Self {
        let mut ids: Vec<_> = sessions.keys().map(String::as_str).collect();
        ids.sort_unstable();
        let digest = digest::digest(&digest::SHA256, ids.concat().as_bytes());
        Self { tag: URL_SAFE_NO_PAD.encode(&digest.as_ref()[..16]), sessions }
    }
}

/// The set of ended sessions, each with the moment of its end.
pub struct Revocations {
    ended: ArcSwap<Ended>,
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

    /// How long an ended session stays in the set.
    pub fn keep(&self) -> Duration {
        self.keep
    }

    /// Whether the session was ended; `None` when the set is too old to tell.
    pub fn contains(&self, session: &str, now: UtcTime) -> Option<bool> {
        if self.ended.load().sessions.contains_key(session) {
            return Some(true);
        }
        self.is_current(now).then_some(false)
    }

    /// Everything in it; `None` when it is too old to be relied on.
    pub fn all(&self, now: UtcTime) -> Option<Arc<Ended>> {
        self.is_current(now).then(|| self.ended.load_full())
    }

    /// Whether the last look at the database is recent enough.
    pub fn is_current(&self, now: UtcTime) -> bool {
        let synced_at = self.synced_at();
        now <= synced_at.after(self.max_staleness) && now >= synced_at.before(CLOCK_STEP)
    }

    /// How long ago the database was looked at.
    pub fn age(&self, now: UtcTime) -> Duration {
        now.remaining(self.synced_at())
    }

    fn synced_at(&self) -> UtcTime {
        UtcTime::from_micros(self.synced_at.load(Ordering::Relaxed))
    }

    /// Adds sessions that this instance has just ended.
    pub fn add(&self, ended: impl IntoIterator<Item = EndedSession>, now: UtcTime) {
        self.merge(&ended.into_iter().collect::<Vec<_>>(), now);
    }

    /// Adds what the database has, as of `now`.
    pub fn sync(&self, ended: &[EndedSession], now: UtcTime) {
        self.merge(ended, now);
        self.synced_at.store(now.micros(), Ordering::Relaxed);
    }

    /// Since when the database must be asked for ends: all that matter at first, then those that
    /// are new. Clocks of instances may differ a little, and a transaction that ended a session
    /// takes a moment to commit. All again after the clock went back.
    pub fn unseen_since(&self, now: UtcTime) -> UtcTime {
        let synced_at = self.synced_at();
        if now < synced_at {
            return self.horizon(now);
        }
        self.horizon(now).max(synced_at.before(OVERLAP))
    }

    fn horizon(&self, now: UtcTime) -> UtcTime {
        now.before(self.keep)
    }

    fn merge(&self, new: &[EndedSession], now: UtcTime) {
        let horizon = self.horizon(now);
        let current = self.ended.load();
        let nothing_new = new.iter().all(|it| current.sessions.contains_key(it.id.as_str()));
        if nothing_new && current.sessions.values().all(|it| it.at >= horizon) {
            return;
        }
        self.ended.rcu(|current| {
            let kept = current.sessions.values().chain(new).filter(|it| it.at >= horizon);
            Ended::of(kept.map(|it| (it.id.0.clone(), it.clone())).collect())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::SessionId;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    fn ended(id: &str, seconds: i64, reason: EndReason) -> EndedSession {
        let (id, user_id) = (SessionId(id.into()), UserId(7));
        EndedSession { id, user_id, at: at(seconds), reason: Some(reason) }
    }

    #[test]
    fn what_is_listed_tells_accounts_from_sessions() {
        let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
        assert!(set.all(at(0)).is_none());
        set.sync(&[ended("a", 1, EndReason::LoggedOut)], at(1));
        let first = set.all(at(1)).unwrap();
        assert!(first.users().is_empty());
        set.add([ended("b", 2, EndReason::AccountDisabled)], at(2));
        let second = set.all(at(2)).unwrap();
        assert_eq!(second.users(), BTreeMap::from([(UserId(7), at(2))]));
        let ids: Vec<&str> = second.sessions().iter().map(|it| it.id.as_str()).collect();
        assert_eq!(ids, ["b", "a"]);
        assert_ne!(first.tag(), second.tag());
        set.sync(&[ended("b", 2, EndReason::AccountDisabled)], at(3));
        assert_eq!(set.all(at(3)).unwrap().tag(), second.tag());
        assert!(set.all(at(14)).is_none());
    }

    #[test]
    fn what_was_forgotten_while_the_clock_was_ahead_is_learned_again_when_it_is_set_back() {
        let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
        let logged_out = ended("a", 1000, EndReason::LoggedOut);
        set.sync(std::slice::from_ref(&logged_out), at(1000));
        set.sync(&[], at(4600));
        assert_eq!(set.contains("a", at(4600)), Some(false), "its tokens have expired");
        assert_eq!(set.contains("a", at(1100)), None, "it may not be believed again");
        assert!(set.unseen_since(at(1100)) <= at(1000));
        set.sync(&[logged_out], at(1100));
        assert_eq!(set.contains("a", at(1101)), Some(true));
    }

    #[test]
    fn an_entry_lives_as_long_as_a_token_and_a_stale_set_does_not_guess() {
        let set = Revocations::new(Duration::from_secs(300), Duration::from_secs(10));
        assert_eq!(set.contains("a", at(0)), None);
        assert_eq!(set.unseen_since(at(0)), at(-300));
        set.sync(&[], at(0));
        assert_eq!(set.unseen_since(at(1)), at(-60));
        set.add([ended("a", 1, EndReason::LoggedOut)], at(1));
        assert_eq!(set.contains("a", at(1)), Some(true));
        assert_eq!(set.contains("b", at(10)), Some(false));
        assert_eq!(set.contains("b", at(11)), None);
        assert_eq!(set.contains("a", at(11)), Some(true));
        set.sync(&[ended("b", 290, EndReason::LoggedOut)], at(301));
        assert_eq!(set.contains("a", at(301)), Some(true));
        set.sync(&[], at(302));
        assert_eq!(set.contains("a", at(302)), Some(false));
        assert_eq!(set.contains("b", at(302)), Some(true));
    }
}
