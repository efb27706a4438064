//! Signing-key states. The state is a pure function of the `signing_keys` rows and the current
//! time, so instances agree without coordination.

use std::time::Duration;

use super::token_times::{LEEWAY, MAX_LIFETIME};
use crate::domain::UtcTime;

/// Longest validity of a token that was issued just before the next key signed.
const OVERLAP: Duration = MAX_LIFETIME.saturating_add(LEEWAY);

/// Time for which instances with the previous setting may sign after a change of the algorithm.
pub(super) const CHANGE_OF_ALGORITHM: Duration = Duration::from_hours(24);

/// Time for which the row of an expired key is kept, so that an instance whose clock is ahead does
/// not delete the key of the others.
const FORGET_AFTER: Duration = Duration::from_hours(24);

/// State of a signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Published, so that every service knows it before it signs.
    Next,
    /// Signs.
    Active,
    /// Signs no more; its tokens may still be valid.
    Retiring,
    /// All its tokens have expired.
    Expired,
}

impl KeyState {
    /// The name, as printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Expired => "expired",
        }
    }
}

/// Dates that determine the states of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyDates {
    /// Its id.
    pub kid: String,
    /// Its algorithm by name.
    pub algorithm: String,
    /// Time of creation.
    pub created_at: UtcTime,
    /// Time from which it signs.
    pub signs_from: UtcTime,
}

impl KeyDates {
    /// Returns the time from which it signs. Versions before rotation leave `signs_from` at zero
    /// and sign at once.
    pub fn begins_at(&self) -> UtcTime {
        self.signs_from.max(self.created_at)
    }

    /// The order in which keys replace each other.
    pub(super) fn order(&self) -> (UtcTime, UtcTime, &str) {
        (self.begins_at(), self.created_at, &self.kid)
    }
}

/// Schedule of a key, for an instance with a certain algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySchedule {
    /// Time from which it signs.
    pub begins_at: UtcTime,
    /// Time from which the next one signs.
    pub replaced_at: Option<UtcTime>,
    /// Time at which its last token has expired.
    pub ends_at: Option<UtcTime>,
    /// True if it is the first key, which signs before its time too.
    is_first: bool,
    /// True if this instance signs with keys of this algorithm.
    is_own: bool,
}

impl KeySchedule {
    /// Returns the schedule of `key` among `all`, for an instance that signs with `algorithm`.
    pub fn of(key: &KeyDates, all: &[KeyDates], algorithm: &str) -> Self {
        let is_own = key.algorithm == algorithm;
        let begin_of_first_after = |algorithm: &str| {
            all.iter()
                .filter(|other| other.algorithm == algorithm && other.order() > key.order())
                .map(KeyDates::begins_at)
                .min()
        };
        let replaced_at = begin_of_first_after(&key.algorithm);
        let ends_at = match replaced_at {
            Some(at) => Some(at.after(OVERLAP)),
            None if is_own => None,
            None => begin_of_first_after(algorithm).map(|at| at.after(CHANGE_OF_ALGORITHM)),
        };
        let is_first = all
            .iter()
            .all(|other| other.algorithm != key.algorithm || other.order() >= key.order());
        Self { begins_at: key.begins_at(), replaced_at, ends_at, is_first, is_own }
    }

    /// Returns the state of the key at `now`.
    pub fn state(&self, now: UtcTime) -> KeyState {
        if self.ends_at.is_some_and(|at| at <= now) {
            KeyState::Expired
        } else if self.begins_at > now && !self.is_first {
            KeyState::Next
        } else if self.is_own && self.replaced_at.is_none_or(|at| at > now) {
            KeyState::Active
        } else {
            KeyState::Retiring
        }
    }

    /// Returns whether its row can be deleted.
    pub fn is_forgotten(&self, now: UtcTime) -> bool {
        self.ends_at.is_some_and(|at| at.after(FORGET_AFTER) <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    fn key(kid: &str, algorithm: &str, created_at: i64, signs_from: i64) -> KeyDates {
        KeyDates {
            kid: kid.to_owned(),
            algorithm: algorithm.to_owned(),
            created_at: at(created_at),
            signs_from: at(signs_from),
        }
    }

    /// Returns the states of all keys at `now`, in the order given.
    fn states(keys: &[KeyDates], own: &str, now: i64) -> Vec<&'static str> {
        keys.iter().map(|key| KeySchedule::of(key, keys, own).state(at(now)).name()).collect()
    }

    #[test]
    fn a_key_waits_signs_retires_and_is_over_to_the_second() {
        let keys = [key("a", "ES256", 0, 0), key("b", "ES256", 1_000, 2_000)];
        for (now, expected) in [
            (1_000, ["active", "next"]),
            (1_999, ["active", "next"]),
            (2_000, ["retiring", "active"]),
            (2_000 + 904, ["retiring", "active"]),
            (2_000 + 905, ["expired", "active"]),
            (1_000_000, ["expired", "active"]),
        ] {
            assert_eq!(states(&keys, "ES256", now), expected, "{now}");
        }
        let life = KeySchedule::of(&keys[0], &keys, "ES256");
        assert!(!life.is_forgotten(at(2_000 + 905 + DAY - 1)));
        assert!(life.is_forgotten(at(2_000 + 905 + DAY)));
        assert!(!KeySchedule::of(&keys[1], &keys, "ES256").is_forgotten(at(i64::MAX)));
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter() {
        let keys =
            [key("c", "ES256", 200, 3_000), key("a", "ES256", 0, 0), key("b", "ES256", 100, 2_000)];
        assert_eq!(states(&keys, "ES256", 2_500), ["next", "retiring", "active"]);
        assert_eq!(states(&keys, "ES256", 3_000), ["active", "expired", "retiring"]);
    }

    #[test]
    fn rows_of_versions_before_rotation_sign_from_the_moment_they_were_made() {
        let keys = [key("a", "ES256", 1_000, 0)];
        assert_eq!(keys[0].begins_at(), at(1_000));
        assert_eq!(states(&keys, "ES256", 1_000), ["active"]);
    }

    #[test]
    fn the_only_key_signs_though_the_clock_of_its_maker_was_ahead() {
        let keys = [key("a", "ES256", 1_000, 1_000), key("b", "ES256", 1_000, 1_500)];
        assert_eq!(states(&keys, "ES256", 998), ["active", "next"]);
    }

    #[test]
    fn two_that_begin_together_are_one_after_the_other() {
        let keys = [key("a", "ES256", 0, 10), key("b", "ES256", 0, 10)];
        assert_eq!(states(&keys, "ES256", 10), ["retiring", "active"]);
    }

    #[test]
    fn a_key_of_the_algorithm_before_is_believed_for_a_day() {
        let keys = [key("a", "ES256", 0, 0), key("b", "EdDSA", 1_000, 1_000)];
        assert_eq!(states(&keys, "EdDSA", 1_000 + DAY - 1), ["retiring", "active"]);
        assert_eq!(states(&keys, "EdDSA", 1_000 + DAY), ["expired", "active"]);
        // An instance that still has the old setting signs with it meanwhile, and accepts both.
        assert_eq!(states(&keys, "ES256", 1_000 + DAY), ["active", "retiring"]);
    }
}
