//! Lanes: a limit of concurrent jobs for each, and pauses after failures that affect several jobs
//! (bulkheads and circuit breakers).
//!
//! A lane whose peer hangs or refuses must not delay the others:
//!
//! - A lane gets one attempt at a time until one has reached its peer, and again after a failure.
//! - A lane whose last attempt failed for its peer is slow. Slow lanes together leave a slot to the
//!   others.
//!
//! If all jobs fail, one job at a time is tried. The state belongs to the instance and starts
//! empty.

mod pause;

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::pause::{Failure, PeerHealth};
use self::pause::{LANE_EXPIRY, Pause};
use crate::domain::{JobId, UtcTime};
use crate::store::jobs::Job;

/// Largest number of lanes that a claim excludes: the database compares them with each job that is
/// due.
pub(super) const MAX_EXCLUDED_LANES: usize = 1_000;
/// Delay of a job whose lane has no free slot.
const BUSY_LANE_DELAY: Duration = Duration::from_secs(5);

/// Largest number of concurrent attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Attempts in all.
    pub total: usize,
    /// Attempts in one lane.
    pub per_lane: usize,
    /// Attempts in all slow lanes together.
    pub slow: usize,
}

/// Lanes of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SlowLanes {
    /// Slow lanes too, while they have a free slot.
    Included,
    /// Lanes that are not slow.
    Excluded,
}

/// The state of a lane after an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneStatus {
    /// True for a fault in the configuration that was not known before.
    pub is_new_fault: bool,
    /// The time at which the next job of the lane may begin, if it is paused.
    pub resumes_at: Option<UtcTime>,
}

#[derive(Default)]
struct Lane {
    busy: usize,
    pause: Pause,
    /// The time of the last attempt that reached the peer, if none has failed for it since.
    last_success_at: Option<UtcTime>,
}

impl Lane {
    const fn is_slow(&self) -> bool {
        self.pause.failures > 0
    }

    fn is_expired(&self, now: UtcTime) -> bool {
        let last = self.pause.until.max(self.last_success_at);
        self.busy == 0 && last.is_none_or(|last| now.remaining(last) >= LANE_EXPIRY)
    }
}

/// The running attempts, by lane.
pub(super) struct Lanes {
    capacity: Capacity,
    busy: usize,
    running: Vec<JobId>,
    all: Pause,
    by_name: HashMap<String, Lane>,
}

impl Lanes {
    fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            busy: 0,
            running: Vec::new(),
            all: Pause::default(),
            by_name: HashMap::new(),
        }
    }

    /// Returns the number of jobs that may begin now.
    pub(super) fn free_slots(&self, now: UtcTime) -> usize {
        if !self.all.is_over(now) {
            return 0;
        }
        // After a failure, one job probes the connection.
        let limit = if self.all.failures > 0 { 1 } else { self.capacity.total };
        limit.saturating_sub(self.busy)
    }

    /// Returns the lanes in which no job may begin now. If there are too many for a claim, those
    /// that stay blocked for the longest time are returned.
    pub(super) fn blocked_lanes(&self, now: UtcTime, slow: SlowLanes) -> Vec<String> {
        let slow = if self.has_slot_for_slow() { slow } else { SlowLanes::Excluded };
        let blocked = self.by_name.iter().filter(|(_, lane)| self.is_blocked(lane, now, slow));
        let mut blocked: Vec<_> = blocked.collect();
        if blocked.len() > MAX_EXCLUDED_LANES {
            blocked.sort_by_key(|(_, lane)| Reverse((lane.busy, lane.pause.until)));
            blocked.truncate(MAX_EXCLUDED_LANES);
        }
        blocked.into_iter().map(|(name, _)| name.clone()).collect()
    }

    fn is_blocked(&self, lane: &Lane, now: UtcTime, slow: SlowLanes) -> bool {
        let limit = lane.last_success_at.map_or(1, |_| self.capacity.per_lane);
        let is_excluded = lane.is_slow() && slow == SlowLanes::Excluded;
        lane.busy >= limit || !lane.pause.is_over(now) || is_excluded
    }

    /// Returns the time at which a job may begin in this lane, if none may now.
    fn blocked_until(&self, name: &str, now: UtcTime) -> Option<UtcTime> {
        let lane = self.by_name.get(name)?;
        let until = lane.pause.until.filter(|_| !lane.pause.is_over(now));
        let slow = if self.has_slot_for_slow() { SlowLanes::Included } else { SlowLanes::Excluded };
        self.is_blocked(lane, now, slow)
            .then(|| until.unwrap_or_else(|| now.after(BUSY_LANE_DELAY)))
    }

    /// Returns whether a job of a slow lane leaves a slot to the others, also to those that hang
    /// without being slow yet.
    fn has_slot_for_slow(&self) -> bool {
        let slow = self.by_name.values().filter(|lane| lane.is_slow());
        let busy: usize = slow.map(|lane| lane.busy).sum();
        busy < self.capacity.slow && self.busy + 1 < self.capacity.total
    }

    /// Begins a job. Returns whether its lane is slow.
    fn begin(&mut self, name: &str) -> bool {
        self.busy += 1;
        let lane = self.by_name.entry(name.to_owned()).or_default();
        lane.busy += 1;
        lane.is_slow()
    }

    fn end(&mut self, name: &str) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(lane) = self.by_name.get_mut(name) {
            lane.busy = lane.busy.saturating_sub(1);
        }
    }

    fn record(&mut self, name: &str, health: &PeerHealth, now: UtcTime) -> LaneStatus {
        let is_new_fault = match health {
            PeerHealth::LaneDown(failure) | PeerHealth::AllDown(failure) => {
                failure.configuration.as_ref().is_some_and(|text| !self.is_known_fault(text))
            }
            PeerHealth::Up | PeerHealth::Unknown => false,
        };
        if matches!(health, PeerHealth::Up | PeerHealth::LaneDown(_)) {
            self.all = Pause::default();
        }
        let lane = self.by_name.entry(name.to_owned()).or_default();
        match health {
            PeerHealth::Up => {
                lane.pause = Pause::default();
                lane.last_success_at = Some(now);
            }
            PeerHealth::Unknown => {}
            PeerHealth::LaneDown(failure) => {
                lane.pause.begin(failure, now);
                lane.last_success_at = None;
            }
            PeerHealth::AllDown(failure) => self.all.begin(failure, now),
        }
        self.by_name.retain(|_, lane| !lane.is_expired(now));
        LaneStatus { is_new_fault, resumes_at: self.resumes_at(name) }
    }

    /// Returns the time at which the next job of this lane may begin.
    fn resumes_at(&self, name: &str) -> Option<UtcTime> {
        let of_lane = self.by_name.get(name).and_then(|lane| lane.pause.until);
        of_lane.max(self.all.until)
    }

    fn is_known_fault(&self, text: &str) -> bool {
        let mut pauses = self.by_name.values().map(|lane| &lane.pause).chain([&self.all]);
        pauses.any(|pause| pause.configuration.as_deref() == Some(text))
    }
}

/// The lanes of a worker, shared by its running attempts.
#[derive(Clone)]
pub(super) struct SharedLanes(Arc<Mutex<Lanes>>);

impl SharedLanes {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self(Arc::new(Mutex::new(Lanes::new(capacity))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the jobs that run.
    pub(super) fn running(&self) -> Vec<JobId> {
        self.lock().running.clone()
    }

    /// Begins this job in its lane.
    ///
    /// # Errors
    ///
    /// The time at which a job may begin, if the lane is blocked.
    pub(super) fn begin(&self, job: &Job, now: UtcTime) -> Result<LaneGuard, UtcTime> {
        let name = job.lane();
        let mut lanes = self.lock();
        if let Some(resumes_at) = lanes.blocked_until(&name, now) {
            return Err(resumes_at);
        }
        let is_slow = lanes.begin(&name);
        lanes.running.push(job.id.clone());
        Ok(LaneGuard { lanes: self.clone(), name, job: job.id.clone(), is_slow })
    }
}

/// An attempt's slot in its lane, until it is dropped.
pub struct LaneGuard {
    lanes: SharedLanes,
    name: String,
    job: JobId,
    is_slow: bool,
}

impl LaneGuard {
    /// Returns whether the lane was slow when the attempt began.
    pub(super) const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Records the health of the peer: a failure pauses other jobs, a success ends the pause.
    pub fn record(&self, health: &PeerHealth, now: UtcTime) -> LaneStatus {
        self.lanes.lock().record(&self.name, health, now)
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let mut lanes = self.lanes.lock();
        lanes.end(&self.name);
        lanes.running.retain(|it| *it != self.job);
    }
}

#[cfg(test)]
mod tests;
