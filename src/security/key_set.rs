//! Key set of an instance. A set is immutable: new keys in the database make a new set, which
//! replaces the old one while the service runs.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use super::key_schedule::{CHANGE_OF_ALGORITHM, KeyDates, KeySchedule, KeyState};
use super::keys::{KeyError, SigningAlgorithm, SigningKey};
use crate::domain::{SealedKey, UtcTime};

/// Time from the publication of a scheduled key until it signs: longer than a JWKS is cached, and
/// long enough to replace instances of a version that reads the keys at its start only.
pub const PUBLISHED_BY_SCHEDULE: Duration = Duration::from_hours(24);

/// The keys that sign and validate.
pub struct KeySet {
    algorithm: SigningAlgorithm,
    keys: Vec<KeyOfSet>,
    /// Keys of the database, including those that could not be opened.
    rows: Vec<KeyDates>,
}

#[derive(Clone)]
struct KeyOfSet {
    key: Arc<SigningKey>,
    /// `None` for a shared secret: it is a setting, and signs as long as it is set.
    schedule: Option<KeySchedule>,
}

impl KeyOfSet {
    fn state(&self, now: UtcTime) -> KeyState {
        self.schedule.map_or(KeyState::Active, |schedule| schedule.state(now))
    }
}

/// A signing key, for operators.
#[derive(Clone, Debug)]
pub struct KeyAge {
    /// Its id.
    pub kid: String,
    /// JWS algorithm (RFC 7518).
    pub algorithm: &'static str,
    /// State at the time of the question.
    pub state: KeyState,
    /// The time since its creation; `None` for a shared secret, whose age is unknown.
    pub age: Option<Duration>,
}

/// A key to create.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueKey {
    /// Time from which the newest existing key signs.
    pub after: UtcTime,
    /// Time from which the new key signs.
    pub signs_from: UtcTime,
}

impl DueKey {
    /// The first key of its algorithm.
    pub fn first(now: UtcTime) -> Self {
        Self { after: UtcTime::from_micros(i64::MIN), signs_from: now }
    }
}

impl KeySet {
    /// Returns a set without keys, for an instance that signs with `algorithm`.
    pub fn empty(algorithm: SigningAlgorithm) -> Self {
        Self { algorithm, keys: Vec::new(), rows: Vec::new() }
    }

    /// Returns a set with one secret that is shared with the services that check tokens.
    pub fn shared(secret: &[u8]) -> Self {
        let key = KeyOfSet { key: Arc::new(SigningKey::shared(secret)), schedule: None };
        Self { algorithm: SigningAlgorithm::Hs256, keys: vec![key], rows: Vec::new() }
    }

    /// Adds a shared secret that only validates. No setting does that: it is for tests with keys of
    /// every kind.
    #[must_use]
    pub fn with_shared(mut self, secret: &[u8]) -> Self {
        self.keys.extend(Self::shared(secret).keys);
        self
    }

    /// Returns the algorithm of the keys in the database; `None` if a shared secret signs.
    pub fn stored_algorithm(&self) -> Option<SigningAlgorithm> {
        (self.algorithm != SigningAlgorithm::Hs256).then_some(self.algorithm)
    }

    /// Returns whether this set was created from `stored`.
    pub fn is_of(&self, stored: &[SealedKey]) -> bool {
        self.rows.len() == stored.len()
            && self.rows.iter().zip(stored).all(|(row, key)| *row == key.dates())
    }

    /// Returns the set of the stored keys, and the reasons why some cannot be used. Without a
    /// stored key that can sign, the keys of this set stay.
    pub fn renewed(
        &self,
        stored: &[SealedKey],
        sealing_keys: &[&[u8; 32]],
    ) -> (Self, Vec<KeyError>) {
        let mut open = Vec::new();
        let mut faults = Vec::new();
        for sealed in stored {
            let known = self.keys.iter().find(|known| known.key.kid == sealed.kid);
            let opened = match known {
                Some(known) => Ok(Arc::clone(&known.key)),
                None => sealed.open(sealing_keys).map(Arc::new),
            };
            match opened {
                Ok(key) => open.push((key, sealed.dates())),
                Err(fault) => faults.push(fault),
            }
        }
        // Only the opened keys count: a key that cannot be opened here replaces none that can be
        // used.
        let dates: Vec<KeyDates> = open.iter().map(|(_, dates)| dates.clone()).collect();
        let schedule = |key| Some(KeySchedule::of(key, &dates, self.algorithm.name()));
        let keys = if open.iter().any(|(key, _)| key.algorithm == self.algorithm) {
            open.iter()
                .map(|(key, dates)| KeyOfSet { key: Arc::clone(key), schedule: schedule(dates) })
                .collect()
        } else {
            self.keys.clone()
        };
        let rows = stored.iter().map(SealedKey::dates).collect();
        (Self { algorithm: self.algorithm, keys, rows }, faults)
    }

    /// Returns whether no key can sign.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Returns the last row of the configured algorithm, unless it already signs.
    pub fn waiting(&self, now: UtcTime) -> Option<&KeyDates> {
        self.newest().filter(|newest| newest.begins_at() > now)
    }

    /// Returns the first row of the configured algorithm, if the clock of its creator was ahead.
    pub fn first_if_ahead(&self, now: UtcTime) -> Option<&KeyDates> {
        let first = self.own_rows().min_by_key(|row| row.order());
        first.filter(|first| first.begins_at() > now)
    }

    fn newest(&self) -> Option<&KeyDates> {
        self.own_rows().max_by_key(|row| row.order())
    }

    fn own_rows(&self) -> impl Iterator<Item = &KeyDates> {
        self.rows.iter().filter(|row| row.algorithm == self.algorithm.name())
    }

    /// Returns the key that signs.
    pub(super) fn active(&self, now: UtcTime) -> Option<&SigningKey> {
        let active = self.keys.iter().find(|key| key.state(now) == KeyState::Active);
        active.map(|key| key.key.as_ref())
    }

    /// Returns the key with that id, if its tokens may be valid.
    pub(super) fn find(&self, kid: &str, now: UtcTime) -> Option<&SigningKey> {
        let named = self.keys.iter().find(|key| key.key.kid == kid)?;
        (named.state(now) != KeyState::Expired).then_some(named.key.as_ref())
    }

    /// Returns the keys whose tokens may be valid now or soon: the one that signs first, then the
    /// newer before the older.
    fn accepted(&self, now: UtcTime) -> Vec<&KeyOfSet> {
        let mut keys: Vec<&KeyOfSet> =
            self.keys.iter().filter(|key| key.state(now) != KeyState::Expired).collect();
        keys.sort_by_key(|key| {
            let begins_at = key.schedule.map(|schedule| schedule.begins_at);
            (key.state(now) != KeyState::Active, Reverse(begins_at), key.key.kid.as_str())
        });
        keys
    }

    /// Returns the public keys of the accepted keys. A shared secret has none.
    pub(super) fn public_keys(&self, now: UtcTime) -> Vec<serde_json::Value> {
        let keys = self.accepted(now);
        keys.into_iter().filter_map(|key| key.key.public_jwk.clone()).collect()
    }

    /// Returns the algorithms of the accepted keys, each once.
    pub(super) fn algorithms(&self, now: UtcTime) -> Vec<&'static str> {
        let mut algorithms = Vec::new();
        for key in self.accepted(now) {
            let name = key.key.algorithm.name();
            if !algorithms.contains(&name) {
                algorithms.push(name);
            }
        }
        algorithms
    }

    /// Returns the keys with their state and age at `now`.
    pub fn ages(&self, now: UtcTime) -> Vec<KeyAge> {
        let created_at =
            |kid: &str| self.rows.iter().find(|row| row.kid == kid).map(|row| row.created_at);
        let age = |key: &KeyOfSet| KeyAge {
            kid: key.key.kid.clone(),
            algorithm: key.key.algorithm.name(),
            state: key.state(now),
            age: created_at(&key.key.kid).map(|at| now.remaining(at)),
        };
        self.keys.iter().map(age).collect()
    }

    /// Returns the key to create if an operator wants one that signs from `signs_from`.
    pub fn wanted_key(&self, signs_from: UtcTime, now: UtcTime) -> DueKey {
        let newest = self.newest().map(KeyDates::begins_at);
        newest.map_or_else(|| DueKey::first(now), |after| DueKey { after, signs_from })
    }

    /// Returns the key to create now, if each signs for `period`; without any key, the first one.
    pub fn due_key(&self, period: Option<Duration>, now: UtcTime) -> Option<DueKey> {
        let Some(newest) = self.newest() else {
            return self.stored_algorithm().map(|_| DueKey::first(now));
        };
        let after = newest.begins_at();
        let earliest = now.after(PUBLISHED_BY_SCHEDULE);
        if self.has_come_back(newest, now) {
            return Some(DueKey { after, signs_from: earliest });
        }
        let due_at = after.after(period?);
        let is_due = after <= now && due_at.before(PUBLISHED_BY_SCHEDULE) <= now;
        is_due.then(|| DueKey { after, signs_from: due_at.max(earliest) })
    }

    /// Returns whether the algorithm was changed to another one and back: keys of the other one are
    /// accepted until a newer key of this one signs.
    fn has_come_back(&self, newest: &KeyDates, now: UtcTime) -> bool {
        self.rows.iter().any(|row| {
            row.algorithm != newest.algorithm
                && row.order() > newest.order()
                && row.begins_at().after(CHANGE_OF_ALGORITHM) <= now
        })
    }

    /// Returns the ids of keys to delete. Only keys that were opened count: a key that cannot be
    /// opened here replaces none.
    pub fn forgotten(&self, now: UtcTime) -> Vec<String> {
        let is_forgotten =
            |key: &KeyOfSet| key.schedule.is_some_and(|schedule| schedule.is_forgotten(now));
        self.keys
            .iter()
            .filter(|key| is_forgotten(key) && self.rows.iter().any(|row| row.kid == key.key.kid))
            .map(|key| key.key.kid.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests;
