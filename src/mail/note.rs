//! Record of an attempt to send a mail, and the time of the next one.

use std::time::Duration;

use super::outgoing::{Affects, SendError, Verdict};
use crate::domain::{Email, UtcTime};
use crate::jobs::Backoff;
use crate::store::jobs::lease::{Conclusion, PutBack};
use crate::store::outbox::QueuedMail;

/// Outcome of one attempt.
pub(super) enum Outcome {
    /// Accepted for this address.
    Sent(Email),
    NotNeeded,
    Postponed(Duration),
    /// The mail could not be composed.
    Unwritten(String),
    Refused(SendError),
}

/// Delays after failed attempts.
const FAILED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_hours(1));
/// Number of attempts, which take about two and a half days. By then the one-time tokens of the
/// mail have expired.
const MAX_ATTEMPTS: i32 = 80;

/// Delays after a refusal without a known cause: servers penalise frequent attempts for an address.
const UNCLEAR: Backoff = Backoff::new(Duration::from_mins(10), Duration::from_hours(4));
/// Number of attempts after which such a mail fails permanently, if it has at least this age.
const UNCLEAR_ATTEMPTS: i32 = 20;
const UNCLEAR_AGE: Duration = Duration::from_hours(48);

/// Delays after an attempt that the server may have accepted: each further attempt may be a copy.
const UNCONFIRMED_DELAYS: [Duration; 3] =
    [Duration::from_mins(10), Duration::from_mins(30), Duration::from_mins(90)];

/// Age at which a mail fails permanently if other mail has cut off each attempt.
const PREEMPTED_AGE: Duration = Duration::from_hours(60);

/// Text of `hallpass mail list` for a mail that waits for a limit.
const OVER_BUDGET: &str = "too many mails to this domain or in all; it waits";

/// Prefix of the error of a mail that waits for the configuration to be fixed.
pub const CONFIGURATION: &str = "configuration: ";

/// Record of an attempt.
#[derive(Clone, Debug)]
pub(super) enum Note {
    Sent(Email),
    NotNeeded,
    GivenUp(String),
    PutBack(Cause, PutBack),
}

/// Reason to put a mail back into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    Limit,
    Failure,
    Configuration,
    Busy,
    Preempted,
}

impl Note {
    /// Returns the record of an outcome. `next_at` is the time at which its lane opens again.
    pub(super) fn of(
        mail: &QueuedMail,
        outcome: &Outcome,
        now: UtcTime,
        next_at: Option<UtcTime>,
    ) -> Self {
        match outcome {
            Outcome::Sent(to) => Self::Sent(to.clone()),
            Outcome::NotNeeded => Self::NotNeeded,
            Outcome::Postponed(wait) => {
                let (error, next_attempt_at) = (OVER_BUDGET.to_owned(), now.after(*wait));
                let counts = PutBack { error, next_attempt_at, attempts: 0, unconfirmed: 0 };
                Self::PutBack(Cause::Limit, counts)
            }
            Outcome::Unwritten(text) => Self::failed(mail, text, now),
            Outcome::Refused(error) => Self::of_error(mail, error, now, next_at.unwrap_or(now)),
        }
    }

    fn of_error(mail: &QueuedMail, error: &SendError, now: UtcTime, next_at: UtcTime) -> Self {
        let text = error.text.clone();
        // Only the first attempt is counted, since limits apply to the first one. Later ones fail
        // for another reason than the mail, which must not end for them.
        let attempts = i32::from(mail.attempts == 0);
        let waiting = |cause, error| {
            let next_attempt_at = next_at.max(now.after(FAILED.delay(0)));
            let counts = PutBack { error, next_attempt_at, attempts, unconfirmed: 0 };
            Self::PutBack(cause, counts)
        };
        match (error.verdict, error.affects) {
            (Verdict::Permanent, _) => Self::GivenUp(text),
            (Verdict::Configuration, _) => {
                waiting(Cause::Configuration, format!("{CONFIGURATION}{text}"))
            }
            (Verdict::Unconfirmed, _) => Self::unconfirmed(mail, text, now),
            (Verdict::Temporary, Affects::Server) => waiting(Cause::Busy, text),
            (Verdict::Preempted, _) if mail.created_at.after(PREEMPTED_AGE) <= now => {
                Self::GivenUp(text)
            }
            (Verdict::Preempted, _) => waiting(Cause::Preempted, text),
            (Verdict::Unclear, _) => {
                let is_old = mail.created_at.after(UNCLEAR_AGE) <= now;
                let is_over = is_old && mail.attempts + 1 >= UNCLEAR_ATTEMPTS;
                let delay = UNCLEAR.delay(attempts_before(mail));
                Self::tried_again(mail, &text, is_over, now.after(delay))
            }
            (Verdict::Temporary, _) => Self::failed(mail, &text, now),
        }
    }

    fn failed(mail: &QueuedMail, text: &str, now: UtcTime) -> Self {
        let delay = FAILED.delay(attempts_before(mail));
        Self::tried_again(mail, text, false, now.after(delay))
    }

    fn tried_again(mail: &QueuedMail, text: &str, is_over: bool, next_attempt_at: UtcTime) -> Self {
        if is_over || mail.attempts + 1 >= MAX_ATTEMPTS {
            return Self::GivenUp(text.to_owned());
        }
        let counts =
            PutBack { error: text.to_owned(), next_attempt_at, attempts: 1, unconfirmed: 0 };
        Self::PutBack(Cause::Failure, counts)
    }

    fn unconfirmed(mail: &QueuedMail, error: String, now: UtcTime) -> Self {
        let before = usize::try_from(mail.unconfirmed).unwrap_or(0);
        match UNCONFIRMED_DELAYS.get(before) {
            Some(delay) => {
                let next_attempt_at = now.after(*delay);
                let counts = PutBack { error, next_attempt_at, attempts: 1, unconfirmed: 1 };
                Self::PutBack(Cause::Failure, counts)
            }
            None => Self::GivenUp(error),
        }
    }

    /// Returns the outcome for the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Sent(_) => "accepted",
            Self::NotNeeded => "not_needed",
            Self::GivenUp(_) => "failed",
            Self::PutBack(Cause::Limit, _) => "over_budget",
            Self::PutBack(..) => "deferred",
        }
    }

    /// Logs the record. A fault in the configuration affects every mail and is logged when it is
    /// new.
    pub(super) fn log(&self, mail: &QueuedMail, is_news: bool) {
        let (mail_id, kind, attempt) = (&mail.id, mail.kind.name(), mail.attempts + 1);
        match self {
            Self::Sent(_) => tracing::info!(%mail_id, kind, "mail sent"),
            Self::NotNeeded => tracing::debug!(%mail_id, kind, "mail no longer needed"),
            Self::GivenUp(error) => {
                tracing::error!(%mail_id, kind, attempt, error, "mail not sent; it is given up");
            }
            Self::PutBack(Cause::Limit, _) => {
                tracing::info!(%mail_id, kind, "mail waits for a limit");
            }
            Self::PutBack(Cause::Configuration, PutBack { error, .. }) if is_news => {
                tracing::error!(
                    %mail_id, kind, error,
                    "mail not sent; mail waits until the configuration is fixed, which is told once"
                );
            }
            Self::PutBack(Cause::Configuration, PutBack { error, .. }) => {
                tracing::debug!(%mail_id, kind, error, "mail waits for the configuration");
            }
            Self::PutBack(Cause::Busy, PutBack { error, .. }) => {
                tracing::info!(%mail_id, kind, error, "mail not sent; the mail server is busy");
            }
            Self::PutBack(Cause::Preempted, PutBack { error, .. }) => {
                tracing::info!(%mail_id, kind, error, "mail not sent; it gave way to other mail");
            }
            Self::PutBack(Cause::Failure, PutBack { error, .. }) => {
                tracing::warn!(%mail_id, kind, attempt, error, "mail not sent; it is tried again");
            }
        }
    }

    /// Returns the conclusion for the job queue.
    pub(super) fn into_conclusion(self) -> Conclusion {
        match self {
            Self::Sent(to) => Conclusion::Done { target: Some(to.as_str().to_owned()) },
            Self::NotNeeded => Conclusion::Dropped,
            Self::GivenUp(error) => Conclusion::Dead(error),
            Self::PutBack(_, counts) => Conclusion::PutBack(counts),
        }
    }
}

fn attempts_before(mail: &QueuedMail) -> u32 {
    u32::try_from(mail.attempts).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobId, Locale};
    use crate::store::outbox::MailKind;

    #[test]
    fn a_refusal_without_a_known_cause_is_repeated_slowly_and_not_for_ever() {
        let mut now = UtcTime::from_seconds(0);
        let mut attempts = 0;
        loop {
            let note = note_at(now, attempts, 0, Verdict::Unclear, Affects::Mail);
            attempts += 1;
            let Note::PutBack(_, counts) = note else { break };
            assert!(counts.next_attempt_at.remaining(now) >= UNCLEAR.first / 2);
            now = counts.next_attempt_at;
        }
        assert!((UNCLEAR_ATTEMPTS..=UNCLEAR_ATTEMPTS + 2).contains(&attempts), "{attempts}");
        assert!(now >= UtcTime::from_seconds(0).after(UNCLEAR_AGE));
        assert!(now <= UtcTime::from_seconds(0).after(UNCLEAR_AGE * 3 / 2));
    }

    fn note(attempts: i32, unconfirmed: i32, verdict: Verdict, affects: Affects) -> Note {
        note_at(UtcTime::from_seconds(0), attempts, unconfirmed, verdict, affects)
    }

    fn note_at(
        now: UtcTime,
        attempts: i32,
        unconfirmed: i32,
        verdict: Verdict,
        affects: Affects,
    ) -> Note {
        let mail = QueuedMail {
            id: JobId("m".to_owned()),
            kind: MailKind::Registration,
            recipient: Email::known("bob@example.org"),
            locale: Locale::default(),
            subject_id: String::new(),
            about: None,
            attempts,
            unconfirmed,
            was_put_back: attempts > 0,
            created_at: UtcTime::from_seconds(0),
        };
        let outcome = Outcome::Refused(SendError { verdict, affects, text: "no".to_owned() });
        Note::of(&mail, &outcome, now, None)
    }

    #[test]
    fn a_mail_that_may_have_been_accepted_is_sent_three_times_more_at_most() {
        let mut waited = Duration::ZERO;
        for unconfirmed in 0..3 {
            let note = note(unconfirmed, unconfirmed, Verdict::Unconfirmed, Affects::Unknown);
            let Note::PutBack(_, counts) = note else { panic!("{note:?}") };
            assert_eq!(counts.unconfirmed, 1);
            let delay = counts.next_attempt_at.remaining(UtcTime::from_seconds(0));
            assert!(delay >= Duration::from_mins(10) && delay > waited, "{delay:?}");
            waited = delay;
        }
        let last = note(3, 3, Verdict::Unconfirmed, Affects::Unknown);
        assert!(matches!(last, Note::GivenUp(_)), "{last:?}");
    }

    #[test]
    fn a_mail_is_not_given_up_for_the_configuration_or_the_load_of_the_server() {
        for (verdict, affects) in [
            (Verdict::Configuration, Affects::Server),
            (Verdict::Configuration, Affects::Domain),
            (Verdict::Temporary, Affects::Server),
            (Verdict::Preempted, Affects::Domain),
        ] {
            for attempts in [0, 1, MAX_ATTEMPTS] {
                let Note::PutBack(_, counts) = note(attempts, 0, verdict, affects) else {
                    panic!("{verdict:?} after {attempts}");
                };
                assert_eq!(counts.attempts, i32::from(attempts == 0));
            }
        }
        let tried = note(MAX_ATTEMPTS - 1, 0, Verdict::Temporary, Affects::Unknown);
        assert!(matches!(tried, Note::GivenUp(_)), "{tried:?}");
        let old = UtcTime::from_seconds(0).after(PREEMPTED_AGE);
        let preempted = note_at(old, 1, 0, Verdict::Preempted, Affects::Domain);
        assert!(matches!(preempted, Note::GivenUp(_)), "{preempted:?}");
    }
}
