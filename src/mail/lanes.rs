//! Which mails may leave now: a bound for each recipient domain, and pauses after errors that are
//! not about a mail.
//!
//! A domain that hangs or is refused must not hold up the others, and a server that refuses this
//! service is asked by one mail at a time. The state is the instance's own and starts empty.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::outgoing::{Affects, SendError, Verdict};
use crate::domain::UtcTime;
use crate::domain::token::random_bytes;

/// The most domains that a claim leaves out. Those beyond are asked for nothing.
const MOST_CLOSED: usize = 1_000;
/// Time after which a pause that no mail has ended is forgotten.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// The delays of a pause, doubled from the first to the longest.
#[derive(Clone, Copy)]
struct Delays(Duration, Duration);

impl Delays {
    /// A server that is busy: it said so, and is soon asked again.
    const BUSY: Self = Self(Duration::from_secs(1), Duration::from_mins(1));
    /// A fault in the configuration: mail leaves within a minute after it is fixed.
    const CONFIGURATION: Self = Self(Duration::from_secs(5), Duration::from_mins(1));
    /// A domain that hangs: each attempt holds a connection for as long as a time-out.
    const SLOW: Self = Self(Duration::from_secs(30), Duration::from_mins(5));

    fn of(verdict: Verdict, affects: Affects) -> Self {
        match (verdict, affects) {
            (Verdict::Configuration, _) => Self::CONFIGURATION,
            (_, Affects::Domain) => Self::SLOW,
            _ => Self::BUSY,
        }
    }
}

/// A pause after errors in a row.
#[derive(Default)]
struct Pause {
    errors: u32,
    until: Option<UtcTime>,
    configuration: Option<String>,
}

impl Pause {
    fn is_over(&self, now: UtcTime) -> bool {
        // A clock that was set back must not stop the mail.
        let rest = self.until.map_or(Duration::ZERO, |until| until.remaining(now));
        rest.is_zero() || rest > FORGET_AFTER
    }

    fn begin(&mut self, error: &SendError, now: UtcTime) {
        // Mails that began together fail together: that is one error.
        if self.errors > 0 && !self.is_over(now) {
            return;
        }
        let Delays(first, longest) = Delays::of(error.verdict, error.affects);
        let delay = first.saturating_mul(1 << self.errors.min(16)).min(longest);
        self.errors = self.errors.saturating_add(1);
        self.until = Some(now.after(less_by_chance(delay)));
        let is_configuration = error.verdict == Verdict::Configuration;
        self.configuration = is_configuration.then(|| error.text.clone());
    }
}

/// A quarter of a delay by chance, so that instances do not come back together.
pub(super) fn less_by_chance(delay: Duration) -> Duration {
    let chance = u32::from(random_bytes::<1>()[0]);
    delay * 3 / 4 + delay / 4 * chance / 255
}

#[derive(Default)]
struct Lane {
    busy: usize,
    pause: Pause,
}

/// The use of the connections, by recipient domain.
pub(super) struct Lanes {
    connections: usize,
    per_domain: usize,
    busy: usize,
    server: Pause,
    domains: HashMap<String, Lane>,
}

impl Lanes {
    fn new((connections, per_domain): (usize, usize)) -> Self {
        let (server, domains) = (Pause::default(), HashMap::new());
        Self { connections, per_domain, busy: 0, server, domains }
    }

    /// The number of mails that may begin now.
    pub(super) fn free(&self, now: UtcTime) -> usize {
        if !self.server.is_over(now) {
            return 0;
        }
        // After an error one mail finds out whether the server has recovered.
        let most = if self.server.errors > 0 { 1 } else { self.connections };
        most.saturating_sub(self.busy)
    }

    /// Domains to which no mail may begin now.
    pub(super) fn closed_domains(&self, now: UtcTime) -> Vec<String> {
        let closed = self.domains.iter().filter(|(_, lane)| {
            let most = if lane.pause.errors > 0 { 1 } else { self.per_domain };
            lane.busy >= most || !lane.pause.is_over(now)
        });
        closed.map(|(domain, _)| domain.clone()).take(MOST_CLOSED).collect()
    }

    fn begin(&mut self, domain: &str) {
        self.busy += 1;
        self.domains.entry(domain.to_owned()).or_default().busy += 1;
    }

    fn end(&mut self, domain: &str) {
        self.busy = self.busy.saturating_sub(1);
        if let Some(lane) = self.domains.get_mut(domain) {
            lane.busy = lane.busy.saturating_sub(1);
        }
        self.domains.retain(|_, lane| lane.busy > 0 || lane.pause.errors > 0);
    }

    /// Learns from what became of a mail. Returns true for an error in the configuration that no
    /// pause has met yet.
    pub(super) fn learn(
        &mut self,
        domain: &str,
        outcome: Result<(), &SendError>,
        now: UtcTime,
    ) -> bool {
        let affects = outcome.map_or_else(|error| error.affects, |()| Affects::Mail);
        let is_new = outcome.is_err_and(|error| {
            error.verdict == Verdict::Configuration && !self.has_met(&error.text)
        });
        if matches!(affects, Affects::Mail | Affects::Domain) {
            self.server = Pause::default();
        }
        let lane = self.domains.entry(domain.to_owned()).or_default();
        match (affects, outcome) {
            (Affects::Mail, _) => lane.pause = Pause::default(),
            (Affects::Domain, Err(error)) => lane.pause.begin(error, now),
            (Affects::Server, Err(error)) => self.server.begin(error, now),
            _ => {}
        }
        self.domains.retain(|_, lane| {
            let over_for = lane.pause.until.map_or(Duration::ZERO, |until| now.remaining(until));
            lane.busy > 0 || over_for < FORGET_AFTER
        });
        is_new
    }

    /// When the next mail to this domain may begin.
    fn next_at(&self, domain: &str) -> Option<UtcTime> {
        let of_domain = self.domains.get(domain).and_then(|lane| lane.pause.until);
        of_domain.max(self.server.until)
    }

    fn has_met(&self, text: &str) -> bool {
        let mut pauses = self.domains.values().map(|lane| &lane.pause).chain([&self.server]);
        pauses.any(|pause| pause.configuration.as_deref() == Some(text))
    }
}

/// The lanes of a worker, shared by the mails that are under way.
#[derive(Clone)]
pub(super) struct SharedLanes(Arc<Mutex<Lanes>>);

impl SharedLanes {
    pub(super) fn new(capacity: (usize, usize)) -> Self {
        Self(Arc::new(Mutex::new(Lanes::new(capacity))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a mail to this domain.
    pub(super) fn begin(&self, domain: &str) -> LaneGuard {
        self.lock().begin(domain);
        LaneGuard { lanes: self.clone(), domain: domain.to_owned() }
    }
}

/// The place of a mail in its lane, until it is dropped.
pub(super) struct LaneGuard {
    lanes: SharedLanes,
    domain: String,
}

impl LaneGuard {
    /// See [`Lanes::learn`]. Returns also when the next mail to the domain may begin.
    pub(super) fn learn(
        &self,
        outcome: Result<(), &SendError>,
        now: UtcTime,
    ) -> (bool, Option<UtcTime>) {
        let mut lanes = self.lanes.lock();
        let is_new = lanes.learn(&self.domain, outcome, now);
        (is_new, lanes.next_at(&self.domain))
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        self.lanes.lock().end(&self.domain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(seconds)
    }

    fn error(verdict: Verdict, affects: Affects) -> SendError {
        SendError { verdict, affects, text: format!("{verdict:?} {affects:?}") }
    }

    fn lanes() -> Lanes {
        Lanes::new((4, 2))
    }

    fn finish(lanes: &mut Lanes, domain: &str, outcome: Result<(), &SendError>, now: i64) -> bool {
        let is_new = lanes.learn(domain, outcome, at(now));
        lanes.end(domain);
        is_new
    }

    #[test]
    fn a_domain_gets_its_share_of_the_connections() {
        let mut lanes = lanes();
        lanes.begin("slow.example");
        assert!(lanes.closed_domains(at(0)).is_empty());
        lanes.begin("slow.example");
        assert_eq!(lanes.closed_domains(at(0)), ["slow.example"]);
        assert_eq!(lanes.free(at(0)), 2);
        finish(&mut lanes, "slow.example", Ok(()), 0);
        assert!(lanes.closed_domains(at(0)).is_empty());
    }

    #[test]
    fn a_domain_that_timed_out_cools_down_and_is_tried_by_one_mail() {
        let mut lanes = lanes();
        let slow = error(Verdict::Temporary, Affects::Domain);
        lanes.begin("slow.example");
        assert!(!finish(&mut lanes, "slow.example", Err(&slow), 0));
        assert_eq!(lanes.closed_domains(at(20)), ["slow.example"]);
        assert_eq!(lanes.free(at(20)), 4, "others go on");
        assert!(lanes.closed_domains(at(31)).is_empty());
        lanes.begin("slow.example");
        assert_eq!(lanes.closed_domains(at(31)), ["slow.example"]);
        finish(&mut lanes, "slow.example", Ok(()), 32);
        assert!(lanes.closed_domains(at(32)).is_empty() && lanes.domains.is_empty());
    }

    #[test]
    fn a_server_that_refuses_us_is_asked_by_one_mail_after_a_pause() {
        let mut lanes = lanes();
        let refused = error(Verdict::Configuration, Affects::Server);
        lanes.begin("a.example");
        lanes.begin("b.example");
        assert!(finish(&mut lanes, "a.example", Err(&refused), 0), "the first is told");
        assert!(!finish(&mut lanes, "b.example", Err(&refused), 0), "the second is known");
        assert_eq!((lanes.free(at(1)), lanes.free(at(11))), (0, 1));
        for number in 1..20 {
            lanes.begin("a.example");
            assert!(!finish(&mut lanes, "a.example", Err(&refused), 100 * number));
        }
        assert_eq!((lanes.free(at(1_940)), lanes.free(at(1_960))), (0, 1), "a minute at the most");
        lanes.begin("a.example");
        finish(&mut lanes, "a.example", Ok(()), 1_960);
        assert_eq!(lanes.free(at(1_960)), 4);
        lanes.begin("a.example");
        assert!(finish(&mut lanes, "a.example", Err(&refused), 2_000), "it is told again");
    }

    #[test]
    fn a_refusal_of_many_domains_is_told_once() {
        let mut lanes = lanes();
        let refused = error(Verdict::Configuration, Affects::Domain);
        for number in 0..50 {
            let domain = format!("{number}.example");
            lanes.begin(&domain);
            assert_eq!(finish(&mut lanes, &domain, Err(&refused), 0), number == 0);
            lanes.begin("fine.example");
            finish(&mut lanes, "fine.example", Ok(()), 0);
        }
        assert_eq!(lanes.closed_domains(at(1)).len(), 50);
        assert_eq!(lanes.free(at(1)), 4);
    }

    #[test]
    fn a_lost_connection_tells_nothing_of_others() {
        let mut lanes = lanes();
        lanes.begin("a.example");
        finish(&mut lanes, "a.example", Err(&error(Verdict::Temporary, Affects::Unknown)), 0);
        assert!(lanes.closed_domains(at(0)).is_empty());
        assert_eq!(lanes.free(at(0)), 4);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_the_mail() {
        let mut lanes = lanes();
        lanes.begin("a.example");
        finish(
            &mut lanes,
            "a.example",
            Err(&error(Verdict::Configuration, Affects::Server)),
            1_000_000,
        );
        assert_eq!((lanes.free(at(1_000_000)), lanes.free(at(0))), (0, 1));
    }
}
