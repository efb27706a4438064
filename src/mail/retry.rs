//! Retries: the decision after an attempt to send a mail, and the time of the next attempt.

use std::time::Duration;

use super::envelope::{FailureClass, FailureScope, SendError};
use crate::domain::{Email, UtcTime};
use crate::jobs::Backoff;
use crate::store::jobs::lease::{Conclusion, Deferral};
use crate::store::outbox::QueuedMail;

/// Outcome of one attempt.
pub(super) enum Outcome {
    /// Accepted for this address.
    Sent(Email),
    Skipped,
    Deferred(Duration),
    /// Composing the mail failed.
    NotComposed(String),
    Refused(SendError),
}

/// Delays after failed attempts.
const FAILED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_hours(1));
/// Number of attempts, which take about two and a half days. By then the one-time tokens of the
/// mail have expired.
const MAX_ATTEMPTS: i32 = 80;

/// Delays after a refusal without a known cause: servers penalise frequent attempts for an address.
const UNCLASSIFIED: Backoff = Backoff::new(Duration::from_mins(10), Duration::from_hours(4));
/// Number of attempts after which such a mail fails permanently, if it has at least this age.
const UNCLASSIFIED_ATTEMPTS: i32 = 20;
const UNCLASSIFIED_AGE: Duration = Duration::from_hours(48);

/// Delays after an attempt that the server may have accepted: each further attempt may be a copy.
const UNCONFIRMED_DELAYS: [Duration; 3] =
    [Duration::from_mins(10), Duration::from_mins(30), Duration::from_mins(90)];

/// Age at which a mail fails permanently if other mail has cut off each attempt.
const PREEMPTED_AGE: Duration = Duration::from_hours(60);

/// Text of `hallpass mail list` for a mail that waits for a limit.
const OVER_BUDGET: &str = "too many mails to this domain or in all; it waits";

/// Prefix of the error of a mail that waits for the configuration to be fixed.
pub const CONFIGURATION: &str = "configuration: ";

/// Decision after an attempt.
#[derive(Clone, Debug)]
pub(super) enum Decision {
    Sent(Email),
    Skipped,
    Failed(String),
    Retry(RetryReason, Deferral),
}

/// Reason for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryReason {
    Limit,
    Failure,
    Configuration,
    Busy,
    Preempted,
}

impl Decision {
    /// Returns the decision after an outcome. `resumes_at` is the end of the pause of its lane.
    pub(super) fn of(
        mail: &QueuedMail,
        outcome: &Outcome,
        now: UtcTime,
        resumes_at: Option<UtcTime>,
    ) -> Self {
        match outcome {
            Outcome::Sent(to) => Self::Sent(to.clone()),
            Outcome::Skipped => Self::Skipped,
            Outcome::Deferred(wait) => {
                let (error, next_attempt_at) = (OVER_BUDGET.to_owned(), now.after(*wait));
                let deferral = Deferral { error, next_attempt_at, attempts: 0, unconfirmed: 0 };
                Self::Retry(RetryReason::Limit, deferral)
            }
            Outcome::NotComposed(text) => Self::failed(mail, text, now),
            Outcome::Refused(error) => Self::of_error(mail, error, now, resumes_at.unwrap_or(now)),
        }
    }

    fn of_error(mail: &QueuedMail, error: &SendError, now: UtcTime, resumes_at: UtcTime) -> Self {
        let text = error.text.clone();
        // Only the first attempt is counted, since limits apply to the first one. Later ones fail
        // for another reason than the mail, which must not end for them.
        let attempts = i32::from(mail.job.attempts == 0);
        let waiting = |cause, error| {
            let next_attempt_at = resumes_at.max(now.after(FAILED.delay(0)));
            let deferral = Deferral { error, next_attempt_at, attempts, unconfirmed: 0 };
            Self::Retry(cause, deferral)
        };
        match (error.class, error.scope) {
            (FailureClass::Permanent, _) => Self::Failed(text),
            (FailureClass::Configuration, _) => {
                waiting(RetryReason::Configuration, format!("{CONFIGURATION}{text}"))
            }
            (FailureClass::Unconfirmed, _) => Self::unconfirmed(mail, text, now),
            (FailureClass::Transient, FailureScope::Server) => waiting(RetryReason::Busy, text),
            (FailureClass::Preempted, _) if mail.job.created_at.after(PREEMPTED_AGE) <= now => {
                Self::Failed(text)
            }
            (FailureClass::Preempted, _) => waiting(RetryReason::Preempted, text),
            (FailureClass::Unclassified, _) => {
                let is_old = mail.job.created_at.after(UNCLASSIFIED_AGE) <= now;
                if is_old && mail.job.attempts + 1 >= UNCLASSIFIED_ATTEMPTS {
                    return Self::Failed(text);
                }
                let delay = UNCLASSIFIED.delay(attempts_before(mail));
                Self::retried(mail, &text, now.after(delay))
            }
            (FailureClass::Transient, _) => Self::failed(mail, &text, now),
        }
    }

    fn failed(mail: &QueuedMail, text: &str, now: UtcTime) -> Self {
        let delay = FAILED.delay(attempts_before(mail));
        Self::retried(mail, text, now.after(delay))
    }

    fn retried(mail: &QueuedMail, text: &str, next_attempt_at: UtcTime) -> Self {
        if mail.job.attempts + 1 >= MAX_ATTEMPTS {
            return Self::Failed(text.to_owned());
        }
        let deferral =
            Deferral { error: text.to_owned(), next_attempt_at, attempts: 1, unconfirmed: 0 };
        Self::Retry(RetryReason::Failure, deferral)
    }

    fn unconfirmed(mail: &QueuedMail, error: String, now: UtcTime) -> Self {
        let before = usize::try_from(mail.job.unconfirmed).unwrap_or(0);
        match UNCONFIRMED_DELAYS.get(before) {
            Some(delay) => {
                let next_attempt_at = now.after(*delay);
                let deferral = Deferral { error, next_attempt_at, attempts: 1, unconfirmed: 1 };
                Self::Retry(RetryReason::Failure, deferral)
            }
            None => Self::Failed(error),
        }
    }

    /// Returns the outcome for the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Sent(_) => "accepted",
            Self::Skipped => "not_needed",
            Self::Failed(_) => "failed",
            Self::Retry(RetryReason::Limit, _) => "over_budget",
            Self::Retry(..) => "deferred",
        }
    }

    /// Logs the decision. A fault in the configuration affects every mail and is logged when it is
    /// new.
    pub(super) fn log(&self, mail: &QueuedMail, is_new_fault: bool) {
        let (mail_id, kind, attempt) = (&mail.job.id, mail.kind.name(), mail.job.attempts + 1);
        match self {
            Self::Sent(_) => tracing::info!(%mail_id, kind, "mail sent"),
            Self::Skipped => tracing::debug!(%mail_id, kind, "mail no longer needed"),
            Self::Failed(error) => {
                tracing::error!(%mail_id, kind, attempt, error, "mail not sent; it failed permanently");
            }
            Self::Retry(RetryReason::Limit, _) => {
                tracing::info!(%mail_id, kind, "mail waits for a limit");
            }
            Self::Retry(RetryReason::Configuration, Deferral { error, .. }) if is_new_fault => {
                tracing::error!(
                    %mail_id, kind, error,
                    "mail not sent; mail waits until the configuration is fixed, which is logged once"
                );
            }
            Self::Retry(RetryReason::Configuration, Deferral { error, .. }) => {
                tracing::debug!(%mail_id, kind, error, "mail waits for the configuration");
            }
            Self::Retry(RetryReason::Busy, Deferral { error, .. }) => {
                tracing::info!(%mail_id, kind, error, "mail not sent; the mail server is busy");
            }
            Self::Retry(RetryReason::Preempted, Deferral { error, .. }) => {
                tracing::info!(%mail_id, kind, error, "mail not sent; mail to other domains preempted it");
            }
            Self::Retry(RetryReason::Failure, Deferral { error, .. }) => {
                tracing::warn!(%mail_id, kind, attempt, error, "mail not sent; it will be retried");
            }
        }
    }

    /// Returns the conclusion for the job queue.
    pub(super) fn into_conclusion(self) -> Conclusion {
        match self {
            Self::Sent(to) => Conclusion::Done { target: Some(to.as_str().to_owned()) },
            Self::Skipped => Conclusion::Dropped,
            Self::Failed(error) => Conclusion::Failed(error),
            Self::Retry(_, deferral) => Conclusion::Deferred(deferral),
        }
    }
}

fn attempts_before(mail: &QueuedMail) -> u32 {
    u32::try_from(mail.job.attempts).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{JobId, LeaseId};
    use crate::store::jobs::Job;
    use crate::store::outbox::MailKind;

    #[test]
    fn a_refusal_without_a_known_cause_is_retried_slowly_and_finally_fails() {
        let mut now = UtcTime::from_seconds(0);
        let mut attempts = 0;
        loop {
            let decision =
                decision_at(now, attempts, 0, FailureClass::Unclassified, FailureScope::Mail);
            attempts += 1;
            let Decision::Retry(_, deferral) = decision else { break };
            assert!(deferral.next_attempt_at.remaining(now) >= UNCLASSIFIED.first / 2);
            now = deferral.next_attempt_at;
        }
        assert!(
            (UNCLASSIFIED_ATTEMPTS..=UNCLASSIFIED_ATTEMPTS + 2).contains(&attempts),
            "{attempts}"
        );
        assert!(now >= UtcTime::from_seconds(0).after(UNCLASSIFIED_AGE));
        assert!(now <= UtcTime::from_seconds(0).after(UNCLASSIFIED_AGE * 3 / 2));
    }

    fn decision(
        attempts: i32,
        unconfirmed: i32,
        class: FailureClass,
        scope: FailureScope,
    ) -> Decision {
        decision_at(UtcTime::from_seconds(0), attempts, unconfirmed, class, scope)
    }

    fn decision_at(
        now: UtcTime,
        attempts: i32,
        unconfirmed: i32,
        class: FailureClass,
        scope: FailureScope,
    ) -> Decision {
        let job = Job {
            id: JobId("m".to_owned()),
            kind: MailKind::Registration.name().to_owned(),
            target: "bob@example.org".to_owned(),
            locale: "en".to_owned(),
            subject_id: String::new(),
            about: None,
            rank: 1,
            attempts,
            unconfirmed,
            was_deferred: attempts > 0,
            created_at: UtcTime::from_seconds(0),
            lease: LeaseId("l".to_owned()),
        };
        let mail = QueuedMail::of(&job).unwrap();
        let outcome = Outcome::Refused(SendError { class, scope, text: "no".to_owned() });
        Decision::of(&mail, &outcome, now, None)
    }

    #[test]
    fn a_mail_that_may_have_been_accepted_is_retried_three_times_at_most() {
        let mut waited = Duration::ZERO;
        for unconfirmed in 0..3 {
            let decision = decision(
                unconfirmed,
                unconfirmed,
                FailureClass::Unconfirmed,
                FailureScope::Unknown,
            );
            let Decision::Retry(_, deferral) = decision else { panic!("{decision:?}") };
            assert_eq!(deferral.unconfirmed, 1);
            let delay = deferral.next_attempt_at.remaining(UtcTime::from_seconds(0));
            assert!(delay >= Duration::from_mins(10) && delay > waited, "{delay:?}");
            waited = delay;
        }
        let last = decision(3, 3, FailureClass::Unconfirmed, FailureScope::Unknown);
        assert!(matches!(last, Decision::Failed(_)), "{last:?}");
    }

    #[test]
    fn a_mail_does_not_fail_for_the_configuration_or_the_load_of_the_server() {
        for (class, scope) in [
            (FailureClass::Configuration, FailureScope::Server),
            (FailureClass::Configuration, FailureScope::Domain),
            (FailureClass::Transient, FailureScope::Server),
            (FailureClass::Preempted, FailureScope::Domain),
        ] {
            for attempts in [0, 1, MAX_ATTEMPTS] {
                let Decision::Retry(_, deferral) = decision(attempts, 0, class, scope) else {
                    panic!("{class:?} after {attempts}");
                };
                assert_eq!(deferral.attempts, i32::from(attempts == 0));
            }
        }
        let tried = decision(MAX_ATTEMPTS - 1, 0, FailureClass::Transient, FailureScope::Unknown);
        assert!(matches!(tried, Decision::Failed(_)), "{tried:?}");
        let old = UtcTime::from_seconds(0).after(PREEMPTED_AGE);
        let preempted = decision_at(old, 1, 0, FailureClass::Preempted, FailureScope::Domain);
        assert!(matches!(preempted, Decision::Failed(_)), "{preempted:?}");
    }
}
