//! Sends what the outbox holds. Any number of instances share it: a mail belongs to the instance that leased
//! it, for as long as the lease is renewed, so it is sent once unless an instance dies between
//! the server's answer and the note of it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::lanes::{LaneGuard, SharedLanes};
use super::messages::{Message, Messages};
use super::note::{Note, Outcome};
use super::outgoing::{Mail, Sender};
use super::transport::Transport;
use crate::clock::Clock;
use crate::domain::{Email, Language, LeaseId, UtcTime};
use crate::store::outbox::{self, Claim, QueuedMail};
use crate::store::{self, Db};
use crate::telemetry::counters::Counters;

/// A look at the queue even if nobody called: for retries, and for what other instances left.
const POLL: Duration = Duration::from_secs(1);
/// Short, so that the mail of an instance that died is soon sent by another.
const LEASE: Duration = Duration::from_secs(20);
const RENEWAL: Duration = Duration::from_secs(5);
/// Connections that no mail needed for so long are closed: servers count them.
const IDLE: Duration = Duration::from_secs(10);
/// Of so many claims one begins with the mails that had to wait, so that they get on while new ones
/// keep coming.
const WAITING_EVERY: usize = 4;

/// The outcomes of attempts to send, as they are counted.
const OUTCOMES: [&str; 5] = ["accepted", "deferred", "failed", "not_needed", "over_budget"];

/// Counters of attempts to send.
pub struct MailOutcomes(Counters<{ OUTCOMES.len() }>);

impl Default for MailOutcomes {
    fn default() -> Self {
        Self(Counters::new(OUTCOMES))
    }
}

impl MailOutcomes {
    /// Returns each outcome and how often there was one.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        self.0.totals()
    }
}

/// Decides what a mail says.
pub type Compose = Arc<dyn Fn(&QueuedMail) -> Result<Composition, String> + Send + Sync>;

/// Is told each mail that was sent, and what it says.
pub type Observer = Arc<dyn Fn(&Mail, &Message) + Send + Sync>;

/// What is to become of an order.
pub enum Composition {
    /// A mail that says this in this language, to this address.
    Send(Box<Message>, Language, Email),
    /// No mail: it is no longer needed.
    Skip,
    /// No mail before this time has passed: too many mails were requested.
    Defer(Duration),
}

/// What sending takes.
#[derive(Clone)]
pub struct Worker {
    /// Where the outbox is.
    pub db: Db,
    /// The source of `now`.
    pub clock: Arc<dyn Clock>,
    /// How mail leaves.
    pub transport: Transport,
    /// How it is written.
    pub messages: Arc<Messages>,
    /// Who it comes from.
    pub sender: Sender,
    /// What mail calls the service.
    pub service_name: String,
    /// Tells when something was put into the outbox.
    pub ordered: Arc<Notify>,
    /// What a mail says.
    pub compose: Compose,
    /// Counts the attempts.
    pub outcomes: Arc<MailOutcomes>,
    /// Is told what was sent, in development.
    pub observer: Option<Observer>,
}

impl Worker {
    /// Sends until `stop` is done, then finishes what is under way.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut sends = JoinSet::new();
        let lanes = SharedLanes::new(self.transport.capacity());
        let mut claims = 0;
        let mut polls = tokio::time::interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            self.begin(&mut sends, &lanes, &mut claims).await;
            let is_free = lanes.lock().free(self.clock.now()) > 0;
            tokio::select! {
                () = &mut stop => break,
                Some(_) = sends.join_next() => {}
                () = self.ordered.notified(), if is_free => {}
                _ = polls.tick() => self.transport.close_idle(IDLE).await,
            }
        }
        while sends.join_next().await.is_some() {}
        self.transport.close_idle(Duration::ZERO).await;
    }

    /// Leases as many mails as may begin, and begins each at once: a lease is short.
    async fn begin(&self, sends: &mut JoinSet<()>, lanes: &SharedLanes, claims: &mut usize) {
        let now = self.clock.now();
        let free = lanes.lock().free(now);
        for _ in 0..free {
            *claims += 1;
            let claim = Claim {
                lease: LeaseId::new(now).0,
                limit: 1,
                is_for_waiting: claims.is_multiple_of(WAITING_EVERY),
                without_domains: lanes.lock().closed_domains(now),
                now,
                until: now.after(LEASE),
            };
            let lease = claim.lease.clone();
            let Some(mail) = self.lease(claim).await else { break };
            let lane = lanes.begin(mail.recipient.domain());
            sends.spawn(self.clone().attempt(mail, lease, lane));
        }
    }

    async fn lease(&self, claim: Claim) -> Option<QueuedMail> {
        let leased = self
            .store(move |db| {
                // Most looks find nothing; they must not take SQLite's write lock.
                if !db.read(|conn| outbox::is_any_due(conn, &claim.without_domains, claim.now))? {
                    return Ok(Vec::new());
                }
                db.write(move |conn| outbox::lease_due(conn, &claim))
            })
            .await;
        match leased {
            Ok(mails) => mails.into_iter().next(),
            Err(error) => {
                tracing::warn!(%error, "cannot look at the outbox");
                None
            }
        }
    }

    /// The lane is kept until the note is made.
    async fn attempt(self, mail: QueuedMail, lease: String, lane: LaneGuard) {
        let outcome = tokio::select! {
            outcome = self.compose_and_send(&mail) => outcome,
            never = self.keep_lease(&mail, &lease) => match never {},
        };
        let now = self.clock.now();
        let (is_news, next_at) = match &outcome {
            Outcome::Sent(_) => lane.learn(Ok(()), now),
            Outcome::Refused(error) => lane.learn(Err(error), now),
            Outcome::NotNeeded | Outcome::Postponed(_) | Outcome::Unwritten(_) => (false, None),
        };
        let note = Note::of(&mail, &outcome, now, next_at);
        note.log(&mail, is_news);
        self.record(&mail, lease, note, now).await;
    }

    async fn compose_and_send(&self, queued: &QueuedMail) -> Outcome {
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
        match self.transport.send(&mail).await {
            Ok(()) => {
                if let Some(observer) = &self.observer {
                    observer(&mail, &message);
                }
                Outcome::Sent(recipient)
            }
            Err(error) => Outcome::Refused(error),
        }
    }

    /// Renews the lease for as long as the mail is being sent.
    async fn keep_lease(&self, mail: &QueuedMail, lease: &str) -> Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let (id, lease) = (mail.id.clone(), lease.to_owned());
            let until = self.clock.now().after(LEASE);
            let renewed = self
                .store(move |db| db.write(move |conn| outbox::renew(conn, &id, &lease, until)))
                .await;
            if let Err(error) = renewed {
                tracing::warn!(mail_id = %mail.id, %error, "cannot renew the lease of a mail");
            }
        }
    }

    /// Notes the outcome. A database that is away for a moment must not make a sent mail go out
    /// again, so the note is tried until it is made.
    async fn record(&self, mail: &QueuedMail, lease: String, note: Note, now: UtcTime) {
        self.outcomes.0.count(note.outcome());
        loop {
            let (id, lease, note) = (mail.id.clone(), lease.clone(), note.clone());
            let recorded = self
                .store(move |db| db.write(move |conn| note.write(conn, &id, &lease, now)))
                .await;
            match recorded {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(mail_id = %mail.id, "the lease of a mail ran out while it was sent");
                    return;
                }
                Err(error) => {
                    tracing::warn!(mail_id = %mail.id, %error, "cannot note what became of a mail");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let db = self.db.clone();
        tokio::task::spawn_blocking(move || work(&db))
            .await
            .unwrap_or_else(|panic| Err(store::Error::Internal(panic.to_string())))
    }
}
