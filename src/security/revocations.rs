//! Sessions that ended and users whose rights changed within the lifetime of an access token, in
//! memory: a look-up needs no database and no other thread. Each instance adds its own changes at
//! once and polls those of others.

mod lists;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use self::lists::Ended;
use self::lists::{Lists, PART_ENTRIES};
use crate::domain::{EndReason, EndedSession, SessionId, UserId, UtcTime};

const OVERLAP: Duration = Duration::from_secs(60);
/// A clock that goes back further than this was set. Entries that were dropped while it was ahead
/// are needed again.
const CLOCK_STEP: Duration = Duration::from_secs(5);
/// Number of entries that are dropped per lock of the set, in a fraction of a millisecond.
const DROPPED_AT_ONCE: usize = 500;

/// The set of revocations. Adding an entry has a constant cost; a look-up takes a shared lock that
/// no writer holds for longer than [`DROPPED_AT_ONCE`] entries take.
pub struct Revocations {
    set: RwLock<Set>,
    lists: Mutex<Lists>,
    /// Age of entries that can be dropped: their last access token has expired.
    keep: Duration,
    synced_at: AtomicI64,
    /// Longest time without a sync with the database; later the set is stale.
    max_staleness: Duration,
}

#[derive(Default)]
struct Set {
    sessions: HashMap<Arc<str>, Entry>,
    by_end: BTreeSet<(UtcTime, Arc<str>)>,
    /// The generation of rights of the users whose rights changed.
    rights: HashMap<UserId, UtcTime>,
    by_change: BTreeSet<(UtcTime, UserId)>,
    /// Number of changes of this set.
    version: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    user_id: UserId,
    reason: Option<EndReason>,
}

impl Set {
    /// Returns the set of these sessions. That takes half the time of inserting them one by one.
    fn of<'a>(ended: impl Iterator<Item = &'a EndedSession>) -> Self {
        let mut sessions = HashMap::with_capacity(ended.size_hint().1.unwrap_or_default());
        let mut ends = Vec::with_capacity(sessions.capacity());
        for ended in ended {
            let id: Arc<str> = ended.id.as_str().into();
            let entry = Entry { user_id: ended.user_id, reason: ended.reason };
            if sessions.insert(Arc::clone(&id), entry).is_none() {
                ends.push((ended.at, id));
            }
        }
        Self { sessions, by_end: ends.into_iter().collect(), ..Self::default() }
    }

    fn insert(&mut self, ended: &EndedSession) {
        let id: Arc<str> = ended.id.as_str().into();
        let entry = Entry { user_id: ended.user_id, reason: ended.reason };
        if self.sessions.insert(Arc::clone(&id), entry).is_none() {
            self.by_end.insert((ended.at, id));
            self.version += 1;
        }
    }

    fn set_rights(&mut self, user: UserId, generation: UtcTime) {
        // Rights that never changed have the generation 0.
        let known = self.rights.get(&user).copied().unwrap_or(UtcTime::from_micros(0));
        if known < generation {
            self.by_change.remove(&(known, user));
            self.rights.insert(user, generation);
            self.by_change.insert((generation, user));
            self.version += 1;
        }
    }

    /// Returns whether every revocation is at or after `since`.
    fn begins_at(&self, since: UtcTime) -> bool {
        self.by_end.first().is_none_or(|(at, _)| *at >= since)
            && self.by_change.first().is_none_or(|(at, _)| *at >= since)
    }

    /// Drops a bounded number of entries from before `horizon`. Returns whether there may be more.
    fn drop_before(&mut self, horizon: UtcTime) -> bool {
        for _ in 0..DROPPED_AT_ONCE {
            if self.begins_at(horizon) {
                return false;
            }
            if let Some((_, id)) = pop_before(&mut self.by_end, horizon) {
                self.sessions.remove(&id);
            }
            if let Some((_, user)) = pop_before(&mut self.by_change, horizon) {
                self.rights.remove(&user);
            }
            self.version += 1;
        }
        true
    }

    /// Returns whether the list of revocations at or after `since` has few entries.
    fn is_short_since(&self, since: UtcTime) -> bool {
        let sessions = self.by_end.range((since, Arc::from(""))..).take(PART_ENTRIES + 1).count();
        let users = self.by_change.range((since, UserId::NONE)..).take(PART_ENTRIES + 1).count();
        sessions + users <= PART_ENTRIES
    }

    /// Returns the list of revocations at or after `since`. The cost is that of its entries.
    fn list(&self, since: UtcTime) -> Ended {
        let mut sessions = Vec::new();
        let mut users: BTreeMap<UserId, UtcTime> =
            self.by_change.range((since, UserId::NONE)..).map(|(at, user)| (*user, *at)).collect();
        let mut digest = digest::Context::new(&digest::SHA256);
        for (at, id) in self.by_end.range((since, Arc::from(""))..).rev() {
            let Some(Entry { user_id, reason }) = self.sessions.get(id).copied() else { continue };
            digest.update(id.as_bytes());
            sessions.push(EndedSession { id: SessionId(id.to_string()), user_id, at: *at, reason });
            if reason.is_some_and(EndReason::is_of_the_account) {
                let last = users.entry(user_id).or_insert(*at);
                *last = (*last).max(*at);
            }
        }
        for (user, at) in &users {
            digest.update(&user.0.to_be_bytes());
            digest.update(&at.micros().to_be_bytes());
        }
        let tag = URL_SAFE_NO_PAD.encode(&digest.finish().as_ref()[..16]);
        Ended { sessions, users, tag, rendered: OnceLock::new() }
    }
}

/// Removes and returns the first entry, if it is from before `horizon`.
fn pop_before<T: Ord>(
    entries: &mut BTreeSet<(UtcTime, T)>,
    horizon: UtcTime,
) -> Option<(UtcTime, T)> {
    if entries.first()?.0 < horizon { entries.pop_first() } else { None }
}

impl Revocations {
    /// Returns an empty set, which is stale until the first sync with the database.
    pub fn new(keep: Duration, max_staleness: Duration) -> Self {
        Self {
            set: RwLock::default(),
            lists: Mutex::default(),
            keep,
            synced_at: AtomicI64::new(i64::MIN),
            max_staleness,
        }
    }

    /// Returns the time for which a revoked session stays in the set.
    pub fn keep(&self) -> Duration {
        self.keep
    }

    /// Returns whether a token is revoked: its session was ended, or the rights of its user are of
    /// a later generation than `rights`. `None` if the set is stale.
    pub fn revokes(&self, session: &str, user: UserId, rights: i64, now: UtcTime) -> Option<bool> {
        let set = self.read();
        let is_outdated = |generation: &UtcTime| rights < generation.micros();
        if set.sessions.contains_key(session) || set.rights.get(&user).is_some_and(is_outdated) {
            return Some(true);
        }
        self.is_current(now).then_some(false)
    }

    /// Returns all revocations, or those at or after `since`; `None` if the set is stale. Making a
    /// long list takes a millisecond for 2,000 entries: see [`Self::is_at_hand`].
    pub fn list(&self, since: Option<UtcTime>, now: UtcTime) -> Option<Arc<Ended>> {
        self.list_as_of(self.version(), since, now)
    }

    /// Returns the list of the version `asked`, or of a later one. With frequent changes, all who
    /// wait for the whole list get the same one.
    pub fn list_as_of(
        &self,
        asked: u64,
        since: Option<UtcTime>,
        now: UtcTime,
    ) -> Option<Arc<Ended>> {
        if !self.is_current(now) {
            return None;
        }
        let (since, version) = self.asked(since);
        let known = self.lists().find(if since.is_none() { asked } else { version }, since);
        if known.is_some() {
            return known;
        }
        let (version, list) = {
            let set = self.read();
            let from = since.unwrap_or(UtcTime::from_micros(0));
            (set.version, Arc::new(set.list(from)))
        };
        self.lists().keep(version, since, &list);
        Some(list)
    }

    /// Returns whether [`Self::list`] takes a moment only: the list is kept, or short.
    pub fn is_at_hand(&self, since: Option<UtcTime>) -> bool {
        let (since, version) = self.asked(since);
        let is_kept = self.lists().find(version, since).is_some();
        is_kept || self.read().is_short_since(since.unwrap_or(UtcTime::from_micros(0)))
    }

    /// Returns the version of the set, which increases with each change.
    pub fn version(&self) -> u64 {
        self.read().version
    }

    /// Returns whether no revocation is earlier than `since`.
    pub fn are_all_since(&self, since: Option<UtcTime>) -> bool {
        self.asked(since).0.is_none()
    }

    /// Returns the version of the set, and `since` unless nothing is earlier.
    fn asked(&self, since: Option<UtcTime>) -> (Option<UtcTime>, u64) {
        // No thread waits for the lock of the lists while it has that of the set.
        let set = self.read();
        (since.filter(|since| !set.begins_at(*since)), set.version)
    }

    /// Returns whether the last sync with the database is recent enough.
    pub fn is_current(&self, now: UtcTime) -> bool {
        let synced_at = self.synced_at();
        now <= synced_at.after(self.max_staleness) && now >= synced_at.before(CLOCK_STEP)
    }

    /// Returns the time since the last sync with the database.
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

    /// Records a change of a user's rights.
    pub fn change_rights(&self, user: UserId, generation: UtcTime) {
        self.write().set_rights(user, generation);
    }

    /// Adds the revocations of the database as of `now`.
    pub fn sync(&self, ended: &[EndedSession], rights: &[(UserId, UtcTime)], now: UtcTime) {
        self.merge(ended, now);
        let horizon = self.horizon(now);
        let is_new = |set: &Set, user: &UserId, at: &UtcTime| {
            *at >= horizon && set.rights.get(user).is_none_or(|known| known < at)
        };
        let has_new = {
            let set = self.read();
            rights.iter().any(|(user, at)| is_new(&set, user, at))
        };
        if has_new {
            let mut set = self.write();
            for (user, at) in rights.iter().filter(|(_, at)| *at >= horizon) {
                set.set_rights(*user, *at);
            }
        }
        self.synced_at.store(now.micros(), Ordering::Relaxed);
    }

    /// Returns the time since when revocations must be read from the database: at first all that
    /// matter, then the new ones. The range overlaps the last one, because clocks differ a little
    /// and a transaction takes a moment to commit. After the clock went back, all are read again.
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

    fn merge(&self, ended: &[EndedSession], now: UtcTime) {
        let horizon = self.horizon(now);
        if ended.len() > DROPPED_AT_ONCE && self.has_merged_first(ended, horizon) {
            return;
        }
        let unknown: Vec<&EndedSession> = {
            let set = self.read();
            let is_new =
                |it: &&EndedSession| it.at >= horizon && !set.sessions.contains_key(it.id.as_str());
            ended.iter().filter(is_new).collect()
        };
        for part in unknown.chunks(DROPPED_AT_ONCE) {
            let mut set = self.write();
            for ended in part {
                set.insert(ended);
            }
        }
        while self.write().drop_before(horizon) {}
    }

    /// Adds sessions, of which there may be many at the start, if there are no others yet. Returns
    /// whether it did.
    fn has_merged_first(&self, ended: &[EndedSession], horizon: UtcTime) -> bool {
        if !self.read().sessions.is_empty() {
            return false;
        }
        let first = Set::of(ended.iter().filter(|it| it.at >= horizon));
        let mut set = self.write();
        if !set.sessions.is_empty() {
            return false;
        }
        set.sessions = first.sessions;
        set.by_end = first.by_end;
        set.version += 1;
        true
    }

    fn lists(&self) -> MutexGuard<'_, Lists> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Set> {
        self.set.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Set> {
        self.set.write().unwrap_or_else(PoisonError::into_inner)
    }
}
