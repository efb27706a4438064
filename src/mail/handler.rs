//! The handler of mails in the job queue: composes a mail, sends it, and judges the attempt.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::messages::{Message, Messages};
use super::note::{Note, Outcome};
use super::outgoing::{Affects, Mail, SendError, Sender, Verdict};
use super::smtp::ConnectionUse;
use super::transport::Transport;
use crate::clock::Clock;
use crate::domain::{Email, Language};
use crate::jobs::{Backoff, Capacity, Handler, LaneGuard, Learned, Lesson, Progress, Trouble};
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
    outcomes: Counters<{ OUTCOMES.len() }>,
    transport: OnceLock<Transport>,
}

impl Default for MailMetrics {
    fn default() -> Self {
        Self { outcomes: Counters::new(OUTCOMES), transport: OnceLock::new() }
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
            return Conclusion::Dead("no such kind of mail".to_owned());
        };
        let outcome = self.compose_and_send(&mail, progress).await;
        let now = self.clock.now();
        let learned = match &outcome {
            Outcome::Sent(_) => lane.learn(&Lesson::Open, now),
            Outcome::Refused(error) => lane.learn(&lesson_of(error), now),
            Outcome::NotNeeded | Outcome::Postponed(_) | Outcome::Unwritten(_) => {
                Learned::default()
            }
        };
        self.conclude(&mail, &outcome, learned)
    }

    fn cut_off(&self, job: &Job) -> Conclusion {
        let Some(mail) = QueuedMail::of(job) else { return Conclusion::Released };
        let error = SendError {
            verdict: Verdict::Unconfirmed,
            affects: Affects::Unknown,
            text:
                "the service stopped before the mail server answered the message; it may have been \
                   accepted"
                    .to_owned(),
        };
        self.conclude(&mail, &Outcome::Refused(error), Learned::default())
    }

    async fn release_idle(&self) {
        self.transport.close_idle(IDLE).await;
    }

    async fn close(&self) {
        self.transport.close_idle(Duration::ZERO).await;
    }
}

impl MailHandler {
    fn conclude(&self, mail: &QueuedMail, outcome: &Outcome, learned: Learned) -> Conclusion {
        let note = Note::of(mail, outcome, self.clock.now(), learned.opens_at);
        note.log(mail, learned.is_news);
        self.metrics.outcomes.count(note.outcome());
        note.into_conclusion()
    }

    async fn compose_and_send(&self, queued: &QueuedMail, progress: &Progress) -> Outcome {
        let (compose, order) = (Arc::clone(&self.compose), queued.clone());
        let composed = tokio::task::spawn_blocking(move || compose(&order)).await;
        let (message, language, recipient) = match composed {
            Ok(Ok(Composition::Send(message, language, recipient))) => {
                (message, language, recipient)
            }
            Ok(Ok(Composition::Skip)) => return Outcome::NotNeeded,
            Ok(Ok(Composition::Defer(wait))) => return Outcome::Postponed(wait),
            Ok(Err(cause)) => return Outcome::Unwritten(cause),
            Err(panic) => return Outcome::Unwritten(panic.to_string()),
        };
        let rendered = match self.messages.render(language, &message, &self.service_name) {
            Ok(rendered) => rendered,
            Err(cause) => return Outcome::Unwritten(cause),
        };
        let mail = Mail {
            message_id: queued.id.0.clone(),
            from: self.sender.clone(),
            to: recipient.as_str().to_owned(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            date: queued.created_at,
        };
        match self.transport.send_noting(&mail, progress).await {
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

/// Returns the consequences of an error for other mails.
fn lesson_of(error: &SendError) -> Lesson {
    let is_configuration = error.verdict == Verdict::Configuration;
    let trouble = |backoff| Trouble {
        backoff: if is_configuration { MISCONFIGURED } else { backoff },
        configuration: is_configuration.then(|| error.text.clone()),
    };
    match error.affects {
        Affects::Mail => Lesson::Open,
        Affects::Domain => Lesson::Lane(trouble(SLOW)),
        Affects::Server => Lesson::All(trouble(BUSY)),
        Affects::Unknown => Lesson::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_about_one_mail_shows_that_the_server_works() {
        let lesson =
            |verdict, affects| lesson_of(&SendError { verdict, affects, text: "no".to_owned() });
        assert_eq!(lesson(Verdict::Permanent, Affects::Mail), Lesson::Open);
        assert_eq!(lesson(Verdict::Unconfirmed, Affects::Unknown), Lesson::Nothing);
        let slow = Trouble { backoff: SLOW, configuration: None };
        assert_eq!(lesson(Verdict::Temporary, Affects::Domain), Lesson::Lane(slow));
        let busy = Trouble { backoff: BUSY, configuration: None };
        assert_eq!(lesson(Verdict::Temporary, Affects::Server), Lesson::All(busy));
        let refused = Trouble { backoff: MISCONFIGURED, configuration: Some("no".to_owned()) };
        assert_eq!(lesson(Verdict::Configuration, Affects::Domain), Lesson::Lane(refused.clone()));
        assert_eq!(lesson(Verdict::Configuration, Affects::Server), Lesson::All(refused));
    }
}
