//! Mails that use a connection, and the end of one that holds up others.
//!
//! A recipient domain that hangs occupies a connection until the time-out. If all connections are
//! in use and mail to another domain waits, the mail whose recipient has been asked for longest is
//! put back after [`Holds::patience`]. A mail whose message was sent is never put back: the server
//! may have accepted it.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::jobs::{Progress, Stage};

/// After so many mails that were put back without one that was accepted, the server rather than
/// its recipients may be slow: the patience doubles.
const PUT_BACK_IN_A_ROW: u32 = 12;
/// The most that it doubles.
const MOST_DOUBLINGS: u32 = 3;

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

/// The mails that use the connections of a pool.
pub(super) struct Holds {
    shortest_patience: Duration,
    /// The time that recipients of accepted mails usually take.
    usual: Duration,
    /// Mails that were put back since one was accepted.
    put_back: u32,
    next: u64,
    by_id: HashMap<u64, Hold>,
}

impl Holds {
    pub(super) fn new(shortest_patience: Duration) -> Self {
        let (usual, put_back, next, by_id) = (Duration::ZERO, 0, 0, HashMap::new());
        Self { shortest_patience, usual, put_back, next, by_id }
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
    pub(super) fn note_accepted(&mut self, prepared_in: Duration) {
        self.usual = (self.usual * 3 + prepared_in) / 4;
        self.put_back = 0;
    }

    /// Returns the time for a recipient while other mail waits. It is longer where the server is
    /// slow for all of them.
    pub(super) fn patience(&self) -> Duration {
        let doublings = (self.put_back / PUT_BACK_IN_A_ROW).min(MOST_DOUBLINGS);
        self.shortest_patience.max(self.usual * 2) * 2_u32.pow(doublings)
    }

    /// Puts back the mail whose recipient has been asked for longest, for a mail to `domain`, if
    /// the patience is over. Returns whether one is put back.
    pub(super) fn put_back_oldest(&mut self, domain: &str) -> bool {
        let patience = self.patience();
        let asking =
            self.by_id.values_mut().filter_map(|hold| Some((hold.asked_for(domain)?, hold)));
        let oldest = asking.max_by_key(|(asked_for, _)| *asked_for);
        let Some((_, hold)) = oldest.filter(|(asked_for, _)| *asked_for >= patience) else {
            return false;
        };
        // The receiver is gone if the attempt ends by itself at this moment.
        let is_put_back = hold.end.take().is_some_and(|end| end.send(()).is_ok());
        self.put_back += u32::from(is_put_back);
        is_put_back
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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
        assert!(holds.put_back_oldest("c.example") && is_ended(&mut long));
        assert!(holds.put_back_oldest("d.example") && is_ended(&mut longest));
        assert!(!holds.put_back_oldest("d.example") && !is_ended(&mut short));
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
            assert!(!holds.put_back_oldest("b.example") && !is_ended(&mut ended));
        }
    }

    #[test]
    fn a_server_that_is_slow_for_all_recipients_gets_more_time() {
        let mut holds = Holds::new(PATIENCE);
        let mut patience = Vec::new();
        for _ in 0..60 {
            let (id, _ended) = holds.begin("a.example", &asking_for(100));
            assert!(holds.put_back_oldest("b.example"));
            holds.end(id);
            patience.push(holds.patience());
        }
        assert_eq!(
            (patience[10], patience[11], patience[59]),
            (PATIENCE, 2 * PATIENCE, 8 * PATIENCE)
        );
        for _ in 0..10 {
            holds.note_accepted(Duration::from_secs(10));
        }
        let learnt = holds.patience();
        assert!(
            learnt > Duration::from_secs(15) && learnt <= Duration::from_secs(20),
            "{learnt:?}"
        );
        for _ in 0..20 {
            holds.note_accepted(Duration::ZERO);
        }
        assert_eq!(holds.patience(), PATIENCE);
    }
}
