//! Lanes: a bound of concurrent jobs for each, and pauses after failures that affect several jobs.
//!
//! A lane whose peer hangs or refuses must not delay the others:
//!
//! - A lane gets one attempt at a time until one has reached its peer, and again after a failure.
//! - A lane whose last attempt failed for its peer is slow. Slow lanes together leave a place to
//!   the others.
//!
//! If all jobs fail, one job at a time is tried. The state belongs to the instance and starts empty.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::backoff::Backoff;
use crate::domain::UtcTime;

/// Largest number of lanes that a claim excludes: the database compares them with each job that is
/// due.
pub(super) const MOST_CLOSED: usize = 1_000;
/// Time for which a job of a lane without a free place is put back.
const NO_PLACE: Duration = Duration::from_secs(5);
/// Time after which a lane without attempts is deleted.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// Largest number of concurrent attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// In all.
    pub total: usize,
    /// In one lane.
    pub per_lane: usize,
    /// In all slow lanes together.
    pub slow: usize,
}

/// The consequence of an attempt for other jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// The connection works, whatever the outcome of this job.
    Open,
    /// None.
    Nothing,
    /// The other jobs of the lane fail, too.
    Lane(Trouble),
    /// All jobs fail.
    All(Trouble),
}

/// A problem that affects other jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The pauses after it.
    pub backoff: Backoff,
    /// The text of a problem that an operator has to fix in the configuration. It is logged once.
    pub configuration: Option<String>,
}

/// The consequence of a lesson for the job that it came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// True for a problem of the configuration that was not known before.
    pub is_news: bool,
    /// The time at which the next job of the lane may begin, if there is a problem.
    pub opens_at: Option<UtcTime>,
}

/// A pause after consecutive failures.
#[derive(Default)]
struct Pause {
    failures: u32,
    until: Option<UtcTime>,
    configuration: Option<String>,
}

impl Pause {
    fn is_over(&self, now: UtcTime) -> bool {
        // A clock that was set back must not stop the queue.
        let rest = self.until.map_or(Duration::ZERO, |until| until.remaining(now));
        rest.is_zero() || rest > FORGET_AFTER
    }

    fn begin(&mut self, trouble: &Trouble, now: UtcTime) {
        // Concurrent jobs fail together: that counts as one failure.
        if self.failures > 0 && !self.is_over(now) {
            return;
        }
        self.until = Some(now.after(trouble.backoff.delay(self.failures)));
        self.failures = self.failures.saturating_add(1);
        self.configuration.clone_from(&trouble.configuration);
    }
}

#[derive(Default)]
struct Lane {
    busy: usize,
    pause: Pause,
    /// The time of the last attempt that reached the peer, if none has failed for it since.
    worked_at: Option<UtcTime>,
}

impl Lane {
    const fn is_slow(&self) -> bool {
        self.pause.failures > 0
    }

    fn is_over(&self, now: UtcTime) -> bool {
        let last = self.pause.until.max(self.worked_at);
        self.busy == 0 && last.is_none_or(|last| now.remaining(last) >= FORGET_AFTER)
    }
}

/// The running attempts, by lane.
pub(super) struct Lanes {
    capacity: Capacity,
    busy: usize,
    all: Pause,
    by_name: HashMap<String, Lane>,
}

impl Lanes {
    fn new(capacity: Capacity) -> Self {
        Self { capacity, busy: 0, all: Pause::default(), by_name: HashMap::new() }
    }

    /// Returns the number of jobs that may begin now.
    pub(super) fn free(&self, now: UtcTime) -> usize {
        if !self.all.is_over(now) {
            return 0;
        }
        // After a failure one job tries whether the connection works again.
        let most = if self.all.failures > 0 { 1 } else { self.capacity.total };
        most.saturating_sub(self.busy)
    }

    /// Returns the lanes in which no job may begin now, with all slow ones unless `with_slow`. If
    /// there are too many for a claim, those that stay closed for the longest time are returned.
    pub(super) fn closed_lanes(&self, now: UtcTime, with_slow: bool) -> Vec<String> {
        let with_slow = with_slow && self.has_place_for_slow();
        let closed = self.by_name.iter().filter(|(_, lane)| self.is_closed(lane, now, with_slow));
        let mut closed: Vec<_> = closed.collect();
        if closed.len() > MOST_CLOSED {
            closed.sort_by_key(|(_, lane)| Reverse((lane.busy, lane.pause.until)));
            closed.truncate(MOST_CLOSED);
        }
        closed.into_iter().map(|(name, _)| name.clone()).collect()
    }

    fn is_closed(&self, lane: &Lane, now: UtcTime, with_slow: bool) -> bool {
        let most = lane.worked_at.map_or(1, |_| self.capacity.per_lane);
        lane.busy >= most || !lane.pause.is_over(now) || (lane.is_slow() && !with_slow)
    }

    /// Returns the time at which a job may begin in this lane, if none may now.
    fn closed_until(&self, name: &str, now: UtcTime) -> Option<UtcTime> {
        let lane = self.by_name.get(name)?;
        let until = lane.pause.until.filter(|_| !lane.pause.is_over(now));
        let is_closed = self.is_closed(lane, now, self.has_place_for_slow());
        is_closed.then(|| until.unwrap_or_else(|| now.after(NO_PLACE)))
    }

    /// Returns whether a job of a slow lane leaves a place to the others, also to those that hang
    /// without being slow yet.
    fn has_place_for_slow(&self) -> bool {
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

    fn learn(&mut self, name: &str, lesson: &Lesson, now: UtcTime) -> Learned {
        let is_news = match lesson {
            Lesson::Lane(trouble) | Lesson::All(trouble) => {
                trouble.configuration.as_ref().is_some_and(|text| !self.has_met(text))
            }
            Lesson::Open | Lesson::Nothing => false,
        };
        if matches!(lesson, Lesson::Open | Lesson::Lane(_)) {
            self.all = Pause::default();
        }
        let lane = self.by_name.entry(name.to_owned()).or_default();
        match lesson {
            Lesson::Open => {
                lane.pause = Pause::default();
                lane.worked_at = Some(now);
            }
            Lesson::Nothing => {}
            Lesson::Lane(trouble) => {
                lane.pause.begin(trouble, now);
                lane.worked_at = None;
            }
            Lesson::All(trouble) => self.all.begin(trouble, now),
        }
        self.by_name.retain(|_, lane| !lane.is_over(now));
        Learned { is_news, opens_at: self.opens_at(name) }
    }

    /// Returns the time at which the next job of this lane may begin.
    fn opens_at(&self, name: &str) -> Option<UtcTime> {
        let of_lane = self.by_name.get(name).and_then(|lane| lane.pause.until);
        of_lane.max(self.all.until)
    }

    fn has_met(&self, text: &str) -> bool {
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

    /// Begins a job in this lane.
    ///
    /// # Errors
    ///
    /// The time at which a job may begin, if the lane is closed.
    pub(super) fn begin(&self, name: &str, now: UtcTime) -> Result<LaneGuard, UtcTime> {
        let mut lanes = self.lock();
        if let Some(opens_at) = lanes.closed_until(name, now) {
            return Err(opens_at);
        }
        let is_slow = lanes.begin(name);
        Ok(LaneGuard { lanes: self.clone(), name: name.to_owned(), is_slow })
    }
}

/// An attempt's place in its lane, until it is dropped.
pub struct LaneGuard {
    lanes: SharedLanes,
    name: String,
    is_slow: bool,
}

impl LaneGuard {
    /// Returns whether the lane was slow when the attempt began.
    pub(super) const fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// Applies the lesson of an attempt: a problem pauses other jobs, a success ends the pause.
    pub fn learn(&self, lesson: &Lesson, now: UtcTime) -> Learned {
        self.lanes.lock().learn(&self.name, lesson, now)
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.lanes.lock().end(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    const SLOW: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(5));
    const CONFIGURATION: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(1));

    fn refused() -> Trouble {
        Trouble { backoff: CONFIGURATION, configuration: Some("relay denied".to_owned()) }
    }

    fn lanes() -> Lanes {
        Lanes::new(Capacity { total: 4, per_lane: 2, slow: 2 })
    }

    /// Ends a job and returns whether its lesson was news.
    fn finish(lanes: &mut Lanes, lane: &str, lesson: &Lesson, now: i64) -> bool {
        let learned = lanes.learn(lane, lesson, at(now));
        lanes.end(lane);
        learned.is_news
    }

    #[test]
    fn a_domain_gets_its_share_of_the_connections() {
        let mut lanes = lanes();
        lanes.begin("a.example");
        assert_eq!(lanes.closed_lanes(at(0), true), ["a.example"], "it is new");
        finish(&mut lanes, "a.example", &Lesson::Open, 0);
        lanes.begin("a.example");
        assert!(lanes.closed_lanes(at(0), true).is_empty());
        lanes.begin("a.example");
        assert_eq!(lanes.closed_lanes(at(0), true), ["a.example"]);
        assert_eq!(lanes.free(at(0)), 2);
        finish(&mut lanes, "a.example", &Lesson::Open, 0);
        assert!(lanes.closed_lanes(at(0), true).is_empty());
    }

    #[test]
    fn a_domain_that_timed_out_cools_down_and_is_tried_by_one_mail() {
        let mut lanes = lanes();
        let slow = Lesson::Lane(Trouble { backoff: SLOW, configuration: None });
        lanes.begin("slow.example");
        assert!(!finish(&mut lanes, "slow.example", &slow, 0));
        assert_eq!(lanes.closed_lanes(at(20), true), ["slow.example"]);
        assert_eq!(lanes.free(at(20)), 4, "others go on");
        assert!(lanes.closed_lanes(at(31), true).is_empty());
        lanes.begin("slow.example");
        assert_eq!(lanes.closed_lanes(at(31), true), ["slow.example"]);
        finish(&mut lanes, "slow.example", &Lesson::Open, 32);
        assert!(lanes.closed_lanes(at(32), true).is_empty());
        lanes.begin("other.example");
        finish(&mut lanes, "other.example", &Lesson::Nothing, 5_000);
        lanes.begin("other.example");
        finish(&mut lanes, "other.example", &Lesson::Nothing, 5_000);
        assert!(!lanes.by_name.contains_key("slow.example"), "it is forgotten");
    }

    #[test]
    fn slow_domains_leave_a_connection_to_the_others() {
        let mut lanes = lanes();
        let slow = Lesson::Lane(Trouble { backoff: SLOW, configuration: None });
        let closed = |lanes: &Lanes, with_slow| {
            let mut closed = lanes.closed_lanes(at(100), with_slow);
            closed.sort();
            closed
        };
        for name in ["a", "b", "c"] {
            assert!(!lanes.begin(name));
            finish(&mut lanes, name, &slow, 0);
        }
        assert_eq!(closed(&lanes, false), ["a", "b", "c"]);
        assert!(closed(&lanes, true).is_empty());
        assert!(lanes.begin("a"));
        assert_eq!(closed(&lanes, true), ["a"]);
        lanes.begin("b");
        assert_eq!(closed(&lanes, true), ["a", "b", "c"]);
        finish(&mut lanes, "a", &Lesson::Open, 100);
        assert_eq!(closed(&lanes, true), ["b"], "one is left");
    }

    #[test]
    fn slow_domains_leave_the_last_place_to_the_others() {
        let mut lanes = lanes();
        let slow = Lesson::Lane(Trouble { backoff: SLOW, configuration: None });
        lanes.begin("slow.example");
        finish(&mut lanes, "slow.example", &slow, 0);
        // Domains that hang and are not known to be slow yet.
        for name in ["a.example", "b.example"] {
            lanes.begin(name);
        }
        assert!(!lanes.closed_lanes(at(100), true).contains(&"slow.example".to_owned()));
        lanes.begin("c.example");
        assert!(lanes.closed_lanes(at(100), true).contains(&"slow.example".to_owned()));
        assert_eq!(lanes.free(at(100)), 1);
    }

    #[test]
    fn a_server_that_refuses_us_is_asked_by_one_mail_after_a_pause() {
        let mut lanes = lanes();
        let refused = Lesson::All(refused());
        lanes.begin("a.example");
        lanes.begin("b.example");
        assert!(finish(&mut lanes, "a.example", &refused, 0), "the first is told");
        assert!(!finish(&mut lanes, "b.example", &refused, 0), "the second is known");
        assert_eq!((lanes.free(at(1)), lanes.free(at(11))), (0, 1));
        for number in 1..20 {
            lanes.begin("a.example");
            assert!(!finish(&mut lanes, "a.example", &refused, 100 * number));
        }
        assert_eq!((lanes.free(at(1_940)), lanes.free(at(1_960))), (0, 1), "a minute at the most");
        lanes.begin("a.example");
        finish(&mut lanes, "a.example", &Lesson::Open, 1_960);
        assert_eq!(lanes.free(at(1_960)), 4);
        lanes.begin("a.example");
        assert!(finish(&mut lanes, "a.example", &refused, 2_000), "it is told again");
    }

    #[test]
    fn a_refusal_of_many_domains_is_told_once() {
        let mut lanes = lanes();
        let refused = Lesson::Lane(refused());
        for number in 0..50 {
            let domain = format!("{number}.example");
            lanes.begin(&domain);
            assert_eq!(finish(&mut lanes, &domain, &refused, 0), number == 0);
            lanes.begin("fine.example");
            finish(&mut lanes, "fine.example", &Lesson::Open, 0);
        }
        assert_eq!(lanes.closed_lanes(at(1), true).len(), 50);
        assert_eq!(lanes.free(at(1)), 4);
    }

    #[test]
    fn a_lost_connection_tells_nothing_of_others() {
        let mut lanes = lanes();
        lanes.begin("a.example");
        finish(&mut lanes, "a.example", &Lesson::Nothing, 0);
        assert!(lanes.closed_lanes(at(0), true).is_empty());
        assert_eq!(lanes.free(at(0)), 4);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_mail() {
        let mut lanes = lanes();
        lanes.begin("a.example");
        finish(&mut lanes, "a.example", &Lesson::All(refused()), 1_000_000);
        assert_eq!((lanes.free(at(1_000_000)), lanes.free(at(0))), (0, 1));
    }
}
