//! Admission: the number of connections to a mail server, and the order in which mails get one.
//!
//! - No more connections are open than the settings allow and the server admits. The server shows
//!   its bound by a refusal; one connection more is tried after [`Bounds::retry`].
//! - Connections are opened one at a time, so that a refusal counts for one connection.
//! - A recipient domain that uses a connection gets another one only if one more is open, which is
//!   left to the other domains. A domain that hangs therefore never occupies all of them, unless
//!   there is only one.
//! - Domains take turns: the one that was served longest ago goes first, slow ones last.
//! - A failure that is not about one mail ends the waiting of the mails that it affects.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::mail::envelope::SendError;

/// Bounds that the settings set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The most connections that may be open.
    pub connections: usize,
    /// Time after a refusal until one connection more is tried.
    pub retry: Duration,
}

/// Failures that are not about one mail.
#[derive(Debug, Default)]
struct Failures {
    count: u64,
    last: Option<SendError>,
}

impl Failures {
    fn add(&mut self, error: &SendError) {
        self.count += 1;
        self.last = Some(error.clone());
    }

    /// Returns the last one, if there was one after the first `seen`.
    fn since(&self, seen: u64) -> Option<SendError> {
        self.last.clone().filter(|_| self.count > seen)
    }
}

/// The mails to one recipient domain that wait for a connection or use one.
#[derive(Debug, Default)]
struct Domain {
    waiting: usize,
    sending: usize,
    /// True if the last attempt to send to it failed for the domain.
    is_slow: bool,
    /// Rank of the last time that it got a connection; 0 if it has none since mails began to wait.
    served: u64,
    failures: Failures,
}

impl Domain {
    const fn rank(&self) -> (bool, u64) {
        (self.is_slow, self.served)
    }
}

/// The failures that there were when a mail began to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct FailureCounts {
    of_server: u64,
    of_domain: u64,
}

/// The state of the connections to one mail server.
#[derive(Debug)]
pub(super) struct Admission {
    bounds: Bounds,
    /// The number of connections that the server admits, as far as it has shown.
    admitted: usize,
    /// The time of the last refusal, or of the last trial of one connection more.
    lowered_at: Instant,
    /// Number of connections, with those that are being opened or closed.
    open: usize,
    /// True while one is being opened.
    is_opening: bool,
    /// Connections that the server did not admit.
    refused: u64,
    /// Number of times that a mail got a connection: the source of [`Domain::served`].
    served: u64,
    /// Failures that affect all domains.
    failures: Failures,
    /// The recipient domains with mails that wait or are sent.
    domains: HashMap<String, Domain>,
}

impl Admission {
    pub(super) fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            bounds,
            admitted: bounds.connections,
            lowered_at: now,
            open: 0,
            is_opening: false,
            refused: 0,
            served: 0,
            failures: Failures::default(),
            domains: HashMap::new(),
        }
    }

    /// Returns the number of open connections.
    pub(super) const fn open(&self) -> usize {
        self.open
    }

    /// Returns whether no further connection can be opened now. The one that is being opened may
    /// get its greeting only after another one is closed.
    pub(super) const fn is_full(&self) -> bool {
        self.is_opening || self.open >= self.admitted
    }

    /// Returns the number of connections that the server admits, as far as it has shown.
    pub(super) const fn admitted(&self) -> usize {
        self.admitted
    }

    /// Returns how many connections the server did not admit.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Counts a mail that waits for a connection.
    pub(super) fn wait(&mut self, name: &str, is_slow: bool) -> FailureCounts {
        let domain = self.domains.entry(name.to_owned()).or_default();
        domain.waiting += 1;
        domain.is_slow = is_slow;
        FailureCounts { of_server: self.failures.count, of_domain: domain.failures.count }
    }

    /// Returns the failure that ends the waiting of a mail, if there was one.
    pub(super) fn failure(&self, name: &str, seen: FailureCounts) -> Option<SendError> {
        let of_domain = self.domains.get(name)?.failures.since(seen.of_domain);
        of_domain.or_else(|| self.failures.since(seen.of_server))
    }

    /// Counts a mail that waited as one that uses a connection, if it may. The caller has an idle
    /// one.
    pub(super) fn take(&mut self, name: &str) -> bool {
        let next = self.domains.iter().filter(|(_, domain)| self.may_take(domain));
        let next = next.map(|(_, domain)| domain.rank()).min();
        let Some(domain) = self.domains.get(name) else { return false };
        if !self.may_take(domain) || next.is_some_and(|next| next < domain.rank()) {
            return false;
        }
        self.served += 1;
        let served = self.served;
        if let Some(domain) = self.domains.get_mut(name) {
            domain.waiting -= 1;
            domain.sending += 1;
            domain.served = served;
        }
        true
    }

    fn may_take(&self, domain: &Domain) -> bool {
        let ready = self.open - usize::from(self.is_opening);
        domain.waiting > 0 && (domain.sending == 0 || domain.sending + 1 < ready)
    }

    /// Counts the end of a mail that waited, or used a connection.
    pub(super) fn leave(&mut self, name: &str, was_sending: bool) {
        let Some(domain) = self.domains.get_mut(name) else { return };
        let count = if was_sending { &mut domain.sending } else { &mut domain.waiting };
        *count -= 1;
        if domain.waiting == 0 && domain.sending == 0 {
            self.domains.remove(name);
        }
    }

    /// Ends the waiting of the mails to this domain.
    pub(super) fn fail_domain(&mut self, name: &str, error: &SendError) {
        if let Some(domain) = self.domains.get_mut(name) {
            domain.failures.add(error);
        }
    }

    /// Counts a connection that is being opened, if it may be.
    pub(super) fn begin_opening(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.lowered_at) >= self.bounds.retry;
        if self.admitted < self.bounds.connections && is_due {
            self.admitted += 1;
            self.lowered_at = now;
        }
        if self.is_full() {
            return false;
        }
        self.is_opening = true;
        self.open += 1;
        true
    }

    /// Counts the connection that was being opened as open.
    pub(super) const fn opened(&mut self) {
        self.is_opening = false;
    }

    /// Counts the end of a connection.
    pub(super) const fn closed(&mut self) {
        self.open -= 1;
    }

    /// Counts that the connection that was being opened was not admitted. Returns the number of
    /// the others, which is the bound of the server, if there are others.
    pub(super) fn not_admitted(&mut self, now: Instant) -> Option<usize> {
        let others = self.open - 1;
        self.refused += 1;
        if others == 0 {
            return None;
        }
        self.admitted = others;
        self.lowered_at = now;
        Some(others)
    }

    /// Ends the waiting of all mails: no connection can be opened.
    pub(super) fn fail_all(&mut self, error: &SendError) {
        self.failures.add(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Duration = Duration::from_secs(60);

    fn admission(connections: usize) -> (Admission, Instant) {
        let now = Instant::now();
        (Admission::new(Bounds { connections, retry: RETRY }, now), now)
    }

    /// Opens one more connection, if it may be.
    fn open(admission: &mut Admission, now: Instant) -> bool {
        let is_open = admission.begin_opening(now);
        if is_open {
            admission.opened();
        }
        is_open
    }

    fn refuse(admission: &mut Admission, now: Instant) -> Option<usize> {
        assert!(admission.begin_opening(now), "there is nothing to refuse");
        let told = admission.not_admitted(now);
        admission.opened();
        admission.closed();
        told
    }

    #[test]
    fn a_domain_leaves_one_open_connection_to_the_others() {
        let (mut it, now) = admission(4);
        for _ in 0..4 {
            it.wait("slow.example", false);
        }
        // Open connections and how many of them the domain uses.
        for (open_now, used) in [(1, 1), (2, 1), (3, 2), (4, 3)] {
            assert!(open(&mut it, now));
            while it.take("slow.example") {}
            assert_eq!((it.open(), it.domains["slow.example"].sending), (open_now, used));
        }
        it.wait("fine.example", false);
        assert!(it.take("fine.example"));
        assert!(!open(&mut it, now), "there are four");
    }

    #[test]
    fn a_connection_that_is_being_opened_is_none_yet() {
        let (mut it, now) = admission(4);
        it.wait("slow.example", false);
        it.wait("slow.example", false);
        assert!(open(&mut it, now) && it.take("slow.example"));
        assert!(open(&mut it, now) && it.begin_opening(now));
        assert!(!it.begin_opening(now), "one at a time");
        assert!(!it.take("slow.example"), "the third is not there yet");
        it.opened();
        assert!(it.take("slow.example"));
    }

    #[test]
    fn the_bound_of_the_server_is_learnt_and_tried_again() {
        let (mut it, now) = admission(4);
        assert!(open(&mut it, now) && open(&mut it, now));
        assert_eq!(refuse(&mut it, now), Some(2), "it is told");
        assert!(!open(&mut it, now + RETRY / 2));
        assert_eq!(refuse(&mut it, now + RETRY), Some(2), "it is told again");
        assert_eq!((it.admitted(), it.refused()), (2, 2));
        assert!(open(&mut it, now + 2 * RETRY) && !open(&mut it, now + 2 * RETRY));
        assert!(open(&mut it, now + 3 * RETRY) && !open(&mut it, now + 4 * RETRY));
        assert_eq!(it.admitted(), 4);
    }

    #[test]
    fn domains_take_turns() {
        let (mut it, now) = admission(1);
        assert!(open(&mut it, now));
        for _ in 0..3 {
            it.wait("slow.example", false);
        }
        assert!(it.take("slow.example"));
        it.wait("fine.example", false);
        it.leave("slow.example", true);
        assert!(!it.take("slow.example"));
        assert!(it.take("fine.example"));
        it.wait("new.example", true);
        it.leave("fine.example", true);
        assert!(!it.take("new.example"), "it is slow");
        assert!(it.take("slow.example"));
    }

    #[test]
    fn a_failure_ends_the_waiting_of_what_it_affects() {
        let (mut it, _) = admission(4);
        let (slow, fine) = (it.wait("slow.example", false), it.wait("fine.example", false));
        let error = SendError::transient("too slow".to_owned());
        it.fail_domain("slow.example", &error);
        assert_eq!(it.failure("slow.example", slow), Some(error.clone()));
        assert_eq!(it.failure("fine.example", fine), None);
        let later = it.wait("slow.example", false);
        assert_eq!(it.failure("slow.example", later), None, "it came afterwards");
        it.fail_all(&error);
        assert_eq!(it.failure("fine.example", fine), Some(error.clone()));
        assert_eq!(it.failure("slow.example", later), Some(error));
        for name in ["slow.example", "slow.example", "fine.example"] {
            it.leave(name, false);
        }
        assert!(it.domains.is_empty());
    }
}
