//! The handler of mails in the job queue: composes a mail, sends it, and decides about a retry.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::envelope::{FailureClass, FailureScope, Mail, SendError, Sender};
use super::messages::{Message, Messages};
use super::retry::{Decision, Outcome};
use super::smtp::ConnectionUse;
use super::transport::Transport;
use crate::clock::Clock;
use crate::domain::{Email, Language};
use crate::jobs::{
    Backoff, Capacity, Failure, Handler, LaneGuard, LaneStatus, PeerHealth, Progress,
};
use crate::store::jobs::Job;
use crate::store::jobs::lease::Conclusion;
use crate::store::outbox::{MailKind, QueuedMail};
use crate::telemetry::counters::Counters;

/// Idle time after which a connection is closed: servers limit open connections.
const IDLE: Duration = Duration::from_secs(10);

/// Pauses after the server said that it is busy.
const BUSY: Backoff = Backoff::new(Duration::from_secs(1), Duration::from_mins(1));
/// Pauses after a fault in the configuration: mails leave within a minute once it is fixed.
const MISCONFIGURED: Backoff = Backoff::new(Duration::from_secs(5), Duration::from_mins(1));
/// Pauses after a time-out of a domain: each attempt occupies a connection until it times out.
const SLOW: Backoff = Backoff::new(Duration::from_secs(30), Duration::from_mins(5));

/// Outcomes of attempts in the metrics.
const OUTCOMES: [&str; 5] = ["accepted", "deferred", "failed", "not_needed", "over_budget"];

/// Counters of attempts to send, and the use of connections.
pub struct MailMetrics {
    outcomes: Counters,
    transport: OnceLock<Transport>,
}

impl Default for MailMetrics {
    fn default() -> Self {
        Self { outcomes: Counters::new(&OUTCOMES), transport: OnceLock::new() }
    }
}

impl MailMetrics {
    /// Returns the number of attempts by outcome.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        self.outcomes.totals()
    }

    /// Takes the transport whose connections are counted. Only the first one is.
    pub fn observe(&self, transport: &Transport) {
        self.transport.get_or_init(|| transport.clone());
    }

    /// Returns the use of the connections to the mail server.
    pub fn connection_use(&self) -> Option<ConnectionUse> {
        self.transport.get()?.connection_use()
    }
}

/// Decides the content of a queued mail.
pub type Compose = Arc<dyn Fn(&QueuedMail) -> Result<Composition, String> + Send + Sync>;

/// Receives each sent mail and its content.
pub type Observer = Arc<dyn Fn(&Mail, &Message) + Send + Sync>;

/// Result of composing a mail.
pub enum Composition {
    /// Send this content in this language to this address.
    Send(Box<Message>, Language, Email),
    /// Send nothing: the mail is no longer needed.
    Skip,
    /// Send nothing before this time has passed: too many mails were requested.
    Defer(Duration),
}

/// The handler of mails.
#[derive(Clone)]
pub struct MailHandler {
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Delivery of mails.
    pub transport: Transport,
    /// Texts of mails.
    pub messages: Arc<Messages>,
    /// Sender of the mails.
    pub sender: Sender,
    /// Name of the service in the texts.
    pub service_name: String,
    /// Decides the content of a mail.
    pub compose: Compose,
    /// Counters of attempts.
    pub metrics: Arc<MailMetrics>,
    /// Receives the sent mails, in development.
    pub observer: Option<Observer>,
}

impl Handler for MailHandler {
    const NAME: &'static str = "mail";
    const KINDS: &'static [&'static str] = &MailKind::NAMES;

    fn capacity(&self) -> Capacity {
        self.transport.capacity()
    }

    async fn attempt(&self, job: &Job, lane: &LaneGuard, progress: &Progress) -> Conclusion {
        let Some(mail) = QueuedMail::of(job) else {
            tracing::error!(mail_id = %job.id, kind = job.kind, "no such kind of mail");
            return Conclusion::Failed("no such kind of mail".to_owned());
        };
        let outcome = self.compose_and_send(&mail, progress).await;
        let now = self.clock.now();
        let status = match &outcome {
            Outcome::Sent(_) => lane.record(&PeerHealth::Up, now),
            Outcome::Refused(error) => lane.record(&health_of(error), now),
            Outcome::Skipped | Outcome::Deferred(_) | Outcome::NotComposed(_) => {
                LaneStatus::default()
            }
        };
        self.conclude(&mail, &outcome, status)
    }

    fn conclude_cancelled(&self, job: &Job) -> Conclusion {
        let Some(mail) = QueuedMail::of(job) else { return Conclusion::Released };
        let error = SendError {
            class: FailureClass::Unconfirmed,
            scope: FailureScope::Unknown,
            text:
                "the service stopped before the mail server answered the message; it may have been \
                   accepted"
                    .to_owned(),
        };
        self.conclude(&mail, &Outcome::Refused(error), LaneStatus::default())
    }

    async fn release_idle(&self) {
        self.transport.close_idle(IDLE).await;
    }

    async fn close(&self) {
        self.transport.close_idle(Duration::ZERO).await;
    }
}

impl MailHandler {
    fn conclude(&self, mail: &QueuedMail, outcome: &Outcome, status: LaneStatus) -> Conclusion {
        let decision = Decision::of(mail, outcome, self.clock.now(), status.resumes_at);
        decision.log(mail, status.is_new_fault);
        self.metrics.outcomes.count(decision.outcome());
        decision.into_conclusion()
    }

    async fn compose_and_send(&self, queued: &QueuedMail, progress: &Progress) -> Outcome {
        let (compose, order) = (Arc::clone(&self.compose), queued.clone());
        let composed = tokio::task::spawn_blocking(move || compose(&order)).await;
        let (message, language, recipient) = match composed {
            Ok(Ok(Composition::Send(message, language, recipient))) => {
                (message, language, recipient)
            }
            Ok(Ok(Composition::Skip)) => return Outcome::Skipped,
            Ok(Ok(Composition::Defer(wait))) => return Outcome::Deferred(wait),
            Ok(Err(cause)) => return Outcome::NotComposed(cause),
            Err(panic) => return Outcome::NotComposed(panic.to_string()),
        };
        let rendered = match self.messages.render(language, &message, &self.service_name) {
            Ok(rendered) => rendered,
            Err(cause) => return Outcome::NotComposed(cause),
        };
        let mail = Mail {
            message_id: queued.job.id.0.clone(),
            from: self.sender.clone(),
            to: recipient.as_str().to_owned(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            date: queued.job.created_at,
        };
        match self.transport.send_with_progress(&mail, progress).await {
            Ok(()) => {
                if let Some(observer) = &self.observer {
                    observer(&mail, &message);
                }
                Outcome::Sent(recipient)
            }
            Err(error) => Outcome::Refused(error),
        }
    }
}

/// Returns the health of the mail server that an error shows.
fn health_of(error: &SendError) -> PeerHealth {
    let is_configuration = error.class == FailureClass::Configuration;
    let failure = |backoff| Failure {
        backoff: if is_configuration { MISCONFIGURED } else { backoff },
        configuration: is_configuration.then(|| error.text.clone()),
    };
    match error.scope {
        FailureScope::Mail => PeerHealth::Up,
        FailureScope::Domain => PeerHealth::LaneDown(failure(SLOW)),
        FailureScope::Server => PeerHealth::AllDown(failure(BUSY)),
        FailureScope::Unknown => PeerHealth::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_one_mail_shows_that_the_server_works() {
        let health = |class, scope| health_of(&SendError { class, scope, text: "no".to_owned() });
        assert_eq!(health(FailureClass::Permanent, FailureScope::Mail), PeerHealth::Up);
        assert_eq!(health(FailureClass::Unconfirmed, FailureScope::Unknown), PeerHealth::Unknown);
        let slow = Failure { backoff: SLOW, configuration: None };
        assert_eq!(
            health(FailureClass::Transient, FailureScope::Domain),
            PeerHealth::LaneDown(slow)
        );
        let busy = Failure { backoff: BUSY, configuration: None };
        assert_eq!(
            health(FailureClass::Transient, FailureScope::Server),
            PeerHealth::AllDown(busy)
        );
        let refused = Failure { backoff: MISCONFIGURED, configuration: Some("no".to_owned()) };
        assert_eq!(
            health(FailureClass::Configuration, FailureScope::Domain),
            PeerHealth::LaneDown(refused.clone())
        );
        assert_eq!(
            health(FailureClass::Configuration, FailureScope::Server),
            PeerHealth::AllDown(refused)
        );
    }
}
