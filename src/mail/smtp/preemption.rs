//! Preemption of deliveries that delay others.
//!
//! A recipient domain that hangs occupies a connection until the time-out. If all connections are
//! in use and mail to another domain waits, the delivery that has waited longest for the reply to
//! its recipient is cut off once its time limit is over. A domain gets a longer limit at each
//! further attempt, up to a bound, so that one that is slow but does reply gets its mail beside a
//! stream of mail to others. A delivery whose message was sent is never preempted: the server may
//! have accepted it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::jobs::{Progress, Stage};

/// Number of preemptions without an accepted mail after which the limits double: the server rather
/// than its recipients may be slow.
const PREEMPTIONS_IN_A_ROW: u32 = 12;
/// Largest number of doublings, for all domains or for one.
const MAX_DOUBLINGS: u32 = 3;
/// Time without mail to a domain after which it has the usual limit again.
const ALLOWANCE_EXPIRY: Duration = Duration::from_hours(1);

/// A delivery that uses a connection.
struct Delivery {
    domain: String,
    progress: Progress,
    /// Preempts it.
    end: Option<oneshot::Sender<()>>,
}

impl Delivery {
    /// Returns the time without a reply to the recipient, if a mail to `domain` may preempt it.
    fn awaited_for(&self, domain: &str) -> Option<Duration> {
        match self.progress.stage() {
            Stage::AwaitingReply(since) if self.end.is_some() && self.domain != domain => {
                Some(since.elapsed())
            }
            Stage::AwaitingReply(_) | Stage::Idle | Stage::Submitted => None,
        }
    }
}

/// A longer time limit of a domain.
struct Allowance {
    doublings: u32,
    used_at: Instant,
}

/// The deliveries that use the connections of a pool.
pub(super) struct Deliveries {
    shortest_limit: Duration,
    /// Moving average of the time that the recipients of accepted mails take.
    usual: Duration,
    /// Number of preemptions since a mail was accepted.
    preempted: u32,
    next: u64,
    by_id: HashMap<u64, Delivery>,
    /// The domains that were slow at their last delivery.
    allowances: HashMap<String, Allowance>,
}

impl Deliveries {
    pub(super) fn new(shortest_limit: Duration) -> Self {
        Self {
            shortest_limit,
            usual: Duration::ZERO,
            preempted: 0,
            next: 0,
            by_id: HashMap::new(),
            allowances: HashMap::new(),
        }
    }

    /// Adds a delivery. Returns its id and the signal that preempts it.
    pub(super) fn begin(
        &mut self,
        domain: &str,
        progress: &Progress,
    ) -> (u64, oneshot::Receiver<()>) {
        let (end, ended) = oneshot::channel();
        let delivery =
            Delivery { domain: domain.to_owned(), progress: progress.clone(), end: Some(end) };
        self.next += 1;
        self.by_id.insert(self.next, delivery);
        (self.next, ended)
    }

    /// Removes a delivery.
    pub(super) fn end(&mut self, id: u64) {
        self.by_id.remove(&id);
    }

    /// Records the time that the recipient of an accepted mail took.
    pub(super) fn record_accepted(&mut self, domain: &str, prepared_in: Duration, now: Instant) {
        self.usual = (self.usual * 3 + prepared_in) / 4;
        self.preempted = 0;
        if prepared_in < self.shortest_limit / 2 {
            self.allowances.remove(domain);
        } else if let Some(allowance) = self.allowances.get_mut(domain) {
            allowance.used_at = now;
        }
    }

    /// Returns the time limit of this domain while other mail waits. It is longer if the server is
    /// slow for all recipients, or was for this domain.
    fn time_limit(&self, domain: &str) -> Duration {
        let for_all = self.preempted / PREEMPTIONS_IN_A_ROW;
        let for_domain = self.allowances.get(domain).map_or(0, |it| it.doublings);
        let doublings = for_all.max(for_domain).min(MAX_DOUBLINGS);
        self.shortest_limit.max(self.usual * 2) * 2_u32.pow(doublings)
    }

    /// Preempts a delivery for a mail to `domain`: of those whose limit is over, the one that has
    /// waited longest. Returns whether there was one.
    pub(super) fn preempt_oldest(&mut self, domain: &str, now: Instant) -> bool {
        let waiting = self.by_id.iter().filter_map(|(id, delivery)| {
            let awaited_for = delivery.awaited_for(domain)?;
            (awaited_for >= self.time_limit(&delivery.domain)).then_some((awaited_for, *id))
        });
        let Some((_, oldest)) = waiting.max() else { return false };
        let Some(delivery) = self.by_id.get_mut(&oldest) else { return false };
        // The receiver is gone if the attempt ends by itself at this moment.
        if delivery.end.take().is_none_or(|end| end.send(()).is_err()) {
            return false;
        }
        let slow = delivery.domain.clone();
        self.preempted += 1;
        self.extend_allowance(slow, now);
        true
    }

    fn extend_allowance(&mut self, domain: String, now: Instant) {
        let is_used = |it: &Allowance| now.saturating_duration_since(it.used_at) < ALLOWANCE_EXPIRY;
        self.allowances.retain(|_, allowance| is_used(allowance));
        let new = Allowance { doublings: 0, used_at: now };
        let allowance = self.allowances.entry(domain).or_insert(new);
        allowance.doublings = (allowance.doublings + 1).min(MAX_DOUBLINGS);
        allowance.used_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREEMPT_AFTER: Duration = Duration::from_secs(2);

    fn waiting_for(seconds: u64) -> Progress {
        let progress = Progress::default();
        progress.set_stage(Stage::AwaitingReply(
            Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap(),
        ));
        progress
    }

    fn is_ended(ended: &mut oneshot::Receiver<()>) -> bool {
        ended.try_recv().is_ok()
    }

    #[test]
    fn the_delivery_that_has_waited_longest_is_preempted_for_another_domain() {
        let mut deliveries = Deliveries::new(PREEMPT_AFTER);
        let (_, mut short) = deliveries.begin("a.example", &waiting_for(1));
        let (_, mut long) = deliveries.begin("b.example", &waiting_for(3));
        let (id, mut longest) = deliveries.begin("c.example", &waiting_for(4));
        let now = Instant::now();
        assert!(deliveries.preempt_oldest("c.example", now) && is_ended(&mut long));
        assert!(deliveries.preempt_oldest("d.example", now) && is_ended(&mut longest));
        assert!(!deliveries.preempt_oldest("d.example", now) && !is_ended(&mut short));
        deliveries.end(id);
        assert_eq!(deliveries.by_id.len(), 2);
    }

    #[test]
    fn a_mail_that_the_server_may_have_accepted_is_never_preempted() {
        let mut deliveries = Deliveries::new(PREEMPT_AFTER);
        let progress = waiting_for(100);
        let (_, mut ended) = deliveries.begin("a.example", &progress);
        for stage in [Stage::Submitted, Stage::Idle] {
            progress.set_stage(stage);
            let is_preempted = deliveries.preempt_oldest("b.example", Instant::now());
            assert!(!is_preempted && !is_ended(&mut ended));
        }
    }

    /// Returns whether a delivery that has waited for so long is preempted.
    fn is_preempted(deliveries: &mut Deliveries, domain: &str, seconds: u64, now: Instant) -> bool {
        let (id, _ended) = deliveries.begin(domain, &waiting_for(seconds));
        let is_preempted = deliveries.preempt_oldest("other.example", now);
        deliveries.end(id);
        is_preempted
    }

    #[test]
    fn the_limit_of_a_domain_doubles_after_each_preemption_up_to_a_bound() {
        let mut deliveries = Deliveries::new(PREEMPT_AFTER);
        let now = Instant::now();
        for seconds in [2, 4, 8, 16, 16] {
            assert!(!is_preempted(&mut deliveries, "slow.example", seconds - 1, now), "{seconds}");
            assert!(is_preempted(&mut deliveries, "slow.example", seconds, now), "{seconds}");
            deliveries.record_accepted("fine.example", Duration::ZERO, now);
        }
        assert!(is_preempted(&mut deliveries, "new.example", 2, now), "others have the usual time");
        // It answers in five seconds, and goes on having the time.
        deliveries.record_accepted("slow.example", Duration::from_secs(5), now);
        deliveries.record_accepted("fine.example", Duration::ZERO, now);
        assert_eq!(
            deliveries.time_limit("slow.example"),
            8 * deliveries.time_limit("unknown.example")
        );
        deliveries.record_accepted("slow.example", Duration::from_millis(100), now);
        assert_eq!(deliveries.time_limit("slow.example"), deliveries.time_limit("unknown.example"));
        let later = now + ALLOWANCE_EXPIRY;
        assert!(is_preempted(&mut deliveries, "slow.example", 100, later));
        assert_eq!(deliveries.allowances.keys().collect::<Vec<_>>(), ["slow.example"]);
    }

    #[test]
    fn a_server_that_is_slow_for_all_recipients_gets_more_time() {
        let mut deliveries = Deliveries::new(PREEMPT_AFTER);
        let mut limits = Vec::new();
        let now = Instant::now();
        for _ in 0..60 {
            assert!(is_preempted(&mut deliveries, "a.example", 100, now));
            limits.push(deliveries.time_limit("new.example"));
        }
        assert_eq!(
            (limits[10], limits[11], limits[59]),
            (PREEMPT_AFTER, 2 * PREEMPT_AFTER, 8 * PREEMPT_AFTER)
        );
        for _ in 0..10 {
            deliveries.record_accepted("b.example", Duration::from_secs(10), now);
        }
        let adapted = deliveries.time_limit("new.example");
        assert!(
            adapted > Duration::from_secs(15) && adapted <= Duration::from_secs(20),
            "{adapted:?}"
        );
        for _ in 0..20 {
            deliveries.record_accepted("b.example", Duration::ZERO, now);
        }
        assert_eq!(deliveries.time_limit("new.example"), PREEMPT_AFTER);
    }
}
