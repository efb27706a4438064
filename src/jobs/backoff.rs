//! Exponential back-off with jitter.

use std::time::Duration;

use crate::domain::token::random_bytes;

/// The delays after consecutive failures, doubled from the first to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The delay after one failure.
    pub first: Duration,
    /// The longest delay.
    pub longest: Duration,
}

impl Backoff {
    /// Back-off between these delays.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest }
    }

    /// Returns the delay after a failure with `before` failures before it. It is up to a quarter
    /// shorter, at random, so that instances do not retry together.
    pub fn delay(&self, before: u32) -> Duration {
        let delay = self.first.saturating_mul(1 << before.min(16)).min(self.longest);
        let chance = u32::from(random_bytes::<1>()[0]);
        delay * 3 / 4 + delay / 4 * chance / 255
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_an_hour_and_never_beyond() {
        let (first, longest) = (Duration::from_secs(5), Duration::from_hours(1));
        let backoff = Backoff::new(first, longest);
        assert!(backoff.delay(0) <= first && backoff.delay(0) > first / 2);
        for before in [0, 1, 5, 20, u32::MAX] {
            let delay = backoff.delay(before);
            assert!(delay >= first * 3 / 4 && delay <= longest, "{before}: {delay:?}");
        }
        assert!(backoff.delay(12) >= longest * 3 / 4);
    }
}
