//! Pauses after failures that affect several jobs.

use std::time::Duration;

use crate::domain::UtcTime;
use crate::jobs::backoff::Backoff;

/// Time after which a lane without attempts is deleted. No pause is as long.
pub(super) const LANE_EXPIRY: Duration = Duration::from_hours(1);

/// The health of a peer, as an attempt showed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerHealth {
    /// The peer works, whatever the outcome of this job.
    Up,
    /// The attempt does not show it.
    Unknown,
    /// The jobs of the lane fail.
    LaneDown(Failure),
    /// All jobs fail.
    AllDown(Failure),
}

/// A failure that affects other jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The pauses after it.
    pub backoff: Backoff,
    /// The text of a fault that an operator has to fix in the configuration. It is logged once.
    pub configuration: Option<String>,
}

/// A pause after consecutive failures.
#[derive(Default)]
pub(super) struct Pause {
    pub(super) failures: u32,
    pub(super) until: Option<UtcTime>,
    pub(super) configuration: Option<String>,
}

impl Pause {
    pub(super) fn is_over(&self, now: UtcTime) -> bool {
        // A clock that was set back must not stop the queue.
        let rest = self.until.map_or(Duration::ZERO, |until| until.remaining(now));
        rest.is_zero() || rest > LANE_EXPIRY
    }

    pub(super) fn begin(&mut self, failure: &Failure, now: UtcTime) {
        // Concurrent jobs fail together: that counts as one failure.
        if self.failures > 0 && !self.is_over(now) {
            return;
        }
        self.until = Some(now.after(failure.backoff.delay(self.failures)));
        self.failures = self.failures.saturating_add(1);
        self.configuration.clone_from(&failure.configuration);
    }
}
