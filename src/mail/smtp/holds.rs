//! Mails that use a connection, and the end of one that holds up others.
//!
//! A recipient domain that hangs occupies a connection until the time-out. If all connections are
//! in use and mail to another domain waits, the mail whose recipient has been asked for longest is
//! put back once its time is up. A domain has more time at each further attempt, up to a bound, so
//! that one that is slow but does answer gets its mail beside a stream of mail to others. A mail
//! whose message was sent is never put back: the server may have accepted it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::jobs::{Progress, Stage};

/// After so many mails that were put back without one that was accepted, the server rather than
/// its recipients may be slow: the patience doubles.
const PUT_BACK_IN_A_ROW: u32 = 12;
/// The most that the time doubles, for all domains or for one.
const MOST_DOUBLINGS: u32 = 3;
/// Time after which a domain that was not sent to has the time of the others again.
const FORGET_AFTER: Duration = Duration::from_hours(1);

/// A mail that uses a connection.
struct Hold {
    domain: String,
    progress: Progress,
    /// Puts the mail back.
    end: Option<oneshot::Sender<()>>,
}

impl Hold {
    /// Returns for how long the recipient has been asked, if the mail can be put back for `domain`.
    fn asked_for(&self, domain: &str) -> Option<Duration> {
        match self.progress.stage() {
            Stage::Asking(since) if self.end.is_some() && self.domain != domain => {
                Some(since.elapsed())
            }
            Stage::Asking(_) | Stage::Idle | Stage::Submitted => None,
        }
    }
}

/// The additional time of a domain.
struct Allowance {
    doublings: u32,
    used_at: Instant,
}

/// The mails that use the connections of a pool.
pub(super) struct Holds {
    shortest_patience: Duration,
    /// The time that recipients of accepted mails usually take.
    usual: Duration,
    /// Mails that were put back since one was accepted.
    put_back: u32,
    next: u64,
    by_id: HashMap<u64, Hold>,
    /// The domains that were slow when they were last sent to.
    allowances: HashMap<String, Allowance>,
}

impl Holds {
    pub(super) fn new(shortest_patience: Duration) -> Self {
        Self {
            shortest_patience,
            usual: Duration::ZERO,
            put_back: 0,
            next: 0,
            by_id: HashMap::new(),
            allowances: HashMap::new(),
        }
    }

    /// Counts a mail that uses a connection. Returns its id and the signal to put it back.
    pub(super) fn begin(
        &mut self,
        domain: &str,
        progress: &Progress,
    ) -> (u64, oneshot::Receiver<()>) {
        let (end, ended) = oneshot::channel();
        let hold = Hold { domain: domain.to_owned(), progress: progress.clone(), end: Some(end) };
        self.next += 1;
        self.by_id.insert(self.next, hold);
        (self.next, ended)
    }

    /// Counts the end of the use.
    pub(super) fn end(&mut self, id: u64) {
        self.by_id.remove(&id);
    }

    /// Learns from an accepted mail how long recipients take.
    pub(super) fn note_accepted(&mut self, domain: &str, prepared_in: Duration, now: Instant) {
        self.usual = (self.usual * 3 + prepared_in) / 4;
        self.put_back = 0;
        if prepared_in < self.shortest_patience / 2 {
            self.allowances.remove(domain);
        } else if let Some(allowance) = self.allowances.get_mut(domain) {
            allowance.used_at = now;
        }
    }

    /// Returns the time for a recipient at this domain while other mail waits. It is longer where
    /// the server is slow for all recipients, or was for this domain.
    fn patience(&self, domain: &str) -> Duration {
        let for_all = self.put_back / PUT_BACK_IN_A_ROW;
        let for_domain = self.allowances.get(domain).map_or(0, |it| it.doublings);
        let doublings = for_all.max(for_domain).min(MOST_DOUBLINGS);
        self.shortest_patience.max(self.usual * 2) * 2_u32.pow(doublings)
    }

    /// Puts back a mail for one to `domain`: of those whose time is up, the one whose recipient has
    /// been asked for longest. Returns whether one is put back.
    pub(super) fn put_back_oldest(&mut self, domain: &str, now: Instant) -> bool {
        let asking = self.by_id.iter().filter_map(|(id, hold)| {
            let asked_for = hold.asked_for(domain)?;
            (asked_for >= self.patience(&hold.domain)).then_some((asked_for, *id))
        });
        let Some((_, oldest)) = asking.max() else { return false };
        let Some(hold) = self.by_id.get_mut(&oldest) else { return false };
        // The receiver is gone if the attempt ends by itself at this moment.
        if hold.end.take().is_none_or(|end| end.send(()).is_err()) {
            return false;
        }
        let slow = hold.domain.clone();
        self.put_back += 1;
        self.extend_allowance(slow, now);
        true
    }

    fn extend_allowance(&mut self, domain: String, now: Instant) {
        let is_used = |it: &Allowance| now.saturating_duration_since(it.used_at) < FORGET_AFTER;
        self.allowances.retain(|_, allowance| is_used(allowance));
        let new = Allowance { doublings: 0, used_at: now };
        let allowance = self.allowances.entry(domain).or_insert(new);
        allowance.doublings = (allowance.doublings + 1).min(MOST_DOUBLINGS);
        allowance.used_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn asking_for(seconds: u64) -> Progress {
        let progress = Progress::default();
        progress
            .note(Stage::Asking(Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap()));
        progress
    }

    fn is_ended(ended: &mut oneshot::Receiver<()>) -> bool {
        ended.try_recv().is_ok()
    }

    #[test]
    fn the_mail_that_asks_for_longest_is_put_back_for_another_domain() {
        let mut holds = Holds::new(PATIENCE);
        let (_, mut short) = holds.begin("a.example", &asking_for(1));
        let (_, mut long) = holds.begin("b.example", &asking_for(3));
        let (id, mut longest) = holds.begin("c.example", &asking_for(4));
        let now = Instant::now();
        assert!(holds.put_back_oldest("c.example", now) && is_ended(&mut long));
        assert!(holds.put_back_oldest("d.example", now) && is_ended(&mut longest));
        assert!(!holds.put_back_oldest("d.example", now) && !is_ended(&mut short));
        holds.end(id);
        assert_eq!(holds.by_id.len(), 2);
    }

    #[test]
    fn a_mail_that_the_server_may_have_accepted_is_never_put_back() {
        let mut holds = Holds::new(PATIENCE);
        let progress = asking_for(100);
        let (_, mut ended) = holds.begin("a.example", &progress);
        for stage in [Stage::Submitted, Stage::Idle] {
            progress.note(stage);
            let is_put_back = holds.put_back_oldest("b.example", Instant::now());
            assert!(!is_put_back && !is_ended(&mut ended));
        }
    }

    /// Returns whether a mail whose recipient has been asked for so long is put back.
    fn is_put_back(holds: &mut Holds, domain: &str, seconds: u64, now: Instant) -> bool {
        let (id, _ended) = holds.begin(domain, &asking_for(seconds));
        let is_put_back = holds.put_back_oldest("other.example", now);
        holds.end(id);
        is_put_back
    }

    #[test]
    fn a_domain_has_twice_the_time_after_each_cut_up_to_a_bound() {
        let mut holds = Holds::new(PATIENCE);
        let now = Instant::now();
        for seconds in [2, 4, 8, 16, 16] {
            assert!(!is_put_back(&mut holds, "slow.example", seconds - 1, now), "{seconds}");
            assert!(is_put_back(&mut holds, "slow.example", seconds, now), "{seconds}");
            holds.note_accepted("fine.example", Duration::ZERO, now);
        }
        assert!(is_put_back(&mut holds, "new.example", 2, now), "others have the usual time");
        // It answers in five seconds, and goes on having the time.
        holds.note_accepted("slow.example", Duration::from_secs(5), now);
        holds.note_accepted("fine.example", Duration::ZERO, now);
        assert_eq!(holds.patience("slow.example"), 8 * holds.patience("unknown.example"));
        holds.note_accepted("slow.example", Duration::from_millis(100), now);
        assert_eq!(holds.patience("slow.example"), holds.patience("unknown.example"));
        let later = now + FORGET_AFTER;
        assert!(is_put_back(&mut holds, "slow.example", 100, later));
        assert_eq!(holds.allowances.keys().collect::<Vec<_>>(), ["slow.example"]);
    }

    #[test]
    fn a_server_that_is_slow_for_all_recipients_gets_more_time() {
        let mut holds = Holds::new(PATIENCE);
        let mut patience = Vec::new();
        let now = Instant::now();
        for _ in 0..60 {
            assert!(is_put_back(&mut holds, "a.example", 100, now));
            patience.push(holds.patience("new.example"));
        }
        assert_eq!(
            (patience[10], patience[11], patience[59]),
            (PATIENCE, 2 * PATIENCE, 8 * PATIENCE)
        );
        for _ in 0..10 {
            holds.note_accepted("b.example", Duration::from_secs(10), now);
        }
        let learnt = holds.patience("new.example");
        assert!(
            learnt > Duration::from_secs(15) && learnt <= Duration::from_secs(20),
            "{learnt:?}"
        );
        for _ in 0..20 {
            holds.note_accepted("b.example", Duration::ZERO, now);
        }
        assert_eq!(holds.patience("new.example"), PATIENCE);
    }
}
