//! Points in time and durations, with the precision of the database.

use std::time::Duration;

/// Tolerated difference between the clocks of instances.
pub const CLOCKS_DIFFER: Duration = Duration::from_secs(5);

/// A point in time: whole microseconds since the Unix epoch, UTC.
///
/// Microseconds in a `BIGINT` compare and sort alike on SQLite and Postgres.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcTime(i64);

impl UtcTime {
    /// Returns the time of microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Returns the time of whole seconds since the Unix epoch, as JWT claims count (RFC 7519
    /// `NumericDate`).
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Returns this time, `span` later.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(micros(span)))
    }

    /// Returns this time, `span` earlier.
    #[must_use]
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(micros(span)))
    }

    /// Returns the begin of the next day.
    #[must_use]
    pub const fn next_midnight(self) -> Self {
        Self(self.0.div_euclid(MICROS_OF_DAY).saturating_add(1).saturating_mul(MICROS_OF_DAY))
    }

    /// Returns the time from `now` until this one; zero when it has passed.
    #[must_use]
    pub fn remaining(self, now: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(now.0)).unwrap_or(0))
    }
}

const MICROS_OF_DAY: i64 = 24 * 60 * 60 * 1_000_000;

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
