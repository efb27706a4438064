//! Sends what the outbox holds. Any number of instances share it: a mail belongs to whoever leased
//! it, for as long as the lease is renewed, so it is sent once unless an instance dies between
//! the server's answer and the note of it.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::messages::{Message, Messages};
use super::transport::{Mail, SendError, Sender, Transport};
use crate::clock::Clock;
use crate::domain::token::random_bytes;
use crate::domain::{Language, LeaseId, MailId, UtcTime};
use crate::store::outbox::{self, MailStatus, QueuedMail};
use crate::store::{self, Db};

/// A look at the queue even if nobody called: for retries, and for what other instances left.
const POLL: Duration = Duration::from_secs(1);
/// Short, so that the mail of an instance that died is soon sent by another.
const LEASE: Duration = Duration::from_secs(20);
const RENEWAL: Duration = Duration::from_secs(5);
const PARALLEL_SENDS: usize = 16;

const FIRST_DELAY: Duration = Duration::from_secs(5);
const LONGEST_DELAY: Duration = Duration::from_hours(1);
/// About two and a half days: whoever registered has long given up by then, and the one-time secrets are void.
const MAX_ATTEMPTS: i32 = 80;

/// What `hallpass mail list` says of a mail that waits for a limit.
const OVER_BUDGET: &str = "too many mails to this domain or in all; it waits";

/// Decides what a mail says.
pub type Compose = Arc<dyn Fn(&QueuedMail) -> Result<Composed, String> + Send + Sync>;

/// What is to become of an order.
pub enum Composed {
    /// A mail that says this in this language.
    Letter(Box<Message>, Language),
    /// Nothing: it is no longer needed.
    Nothing,
    /// Nothing before so much time has passed: too many mails were ordered.
    Later(Duration),
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
}

/// What became of one attempt.
enum Outcome {
    Sent,
    NotNeeded,
    Postponed(Duration),
    Failed(SendError),
}

impl Worker {
    /// Sends until `stop` is done, then finishes what is under way.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut sends = JoinSet::new();
        tokio::pin!(stop);
        loop {
            let free = PARALLEL_SENDS.saturating_sub(sends.len());
            if free > 0 {
                for (mail, lease) in self.lease(free).await {
                    sends.spawn(self.clone().attempt(mail, lease));
                }
            }
            tokio::select! {
                () = &mut stop => break,
                Some(_) = sends.join_next() => {}
                () = self.ordered.notified(), if sends.len() < PARALLEL_SENDS => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        while sends.join_next().await.is_some() {}
    }

    async fn lease(&self, limit: usize) -> Vec<(QueuedMail, String)> {
        let now = self.clock.now();
        let lease = LeaseId::new(now).0;
        let token = lease.clone();
        let limit = i64::try_from(limit).unwrap_or(1);
        let leased = self
            .store(move |db| {
                // Most looks find nothing; they must not take SQLite's write lock.
                if !db.read(|conn| outbox::is_any_due(conn, now))? {
                    return Ok(Vec::new());
                }
                db.write(move |conn| outbox::lease_due(conn, &token, limit, now, now.after(LEASE)))
            })
            .await;
        match leased {
            Ok(mails) => mails.into_iter().map(|mail| (mail, lease.clone())).collect(),
            Err(error) => {
                tracing::warn!(%error, "cannot look at the outbox");
                Vec::new()
            }
        }
    }

    async fn attempt(self, mail: QueuedMail, lease: String) {
        let outcome = tokio::select! {
            outcome = self.compose_and_send(&mail) => outcome,
            never = self.keep_lease(&mail, &lease) => match never {},
        };
        self.record(&mail, lease, outcome).await;
    }

    async fn compose_and_send(&self, queued: &QueuedMail) -> Outcome {
        let (compose, order) = (Arc::clone(&self.compose), queued.clone());
        let composed = tokio::task::spawn_blocking(move || compose(&order)).await;
        let (message, language) = match composed {
            Ok(Ok(Composed::Letter(message, language))) => (message, language),
            Ok(Ok(Composed::Nothing)) => return Outcome::NotNeeded,
            Ok(Ok(Composed::Later(wait))) => return Outcome::Postponed(wait),
            Ok(Err(cause)) => return Outcome::Failed(SendError::Temporary(cause)),
            Err(panic) => return Outcome::Failed(SendError::Temporary(panic.to_string())),
        };
        let rendered = match self.messages.render(language, &message, &self.service_name) {
            Ok(rendered) => rendered,
            Err(cause) => return Outcome::Failed(SendError::Temporary(cause)),
        };
        let mail = Mail {
            message_id: queued.id.0.clone(),
            from: self.sender.clone(),
            to: queued.recipient.as_str().to_owned(),
            subject: rendered.subject,
            text: rendered.text,
            html: rendered.html,
            date: queued.created_at,
        };
        match self.transport.send(&mail).await {
            Ok(()) => Outcome::Sent,
            Err(error) => Outcome::Failed(error),
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
    async fn record(&self, mail: &QueuedMail, lease: String, outcome: Outcome) {
        let now = self.clock.now();
        let note = Note::of(mail, outcome, now);
        note.log(mail);
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

/// What is written down about an attempt.
#[derive(Clone)]
enum Note {
    Finished(MailStatus, Option<String>),
    TryAgain(UtcTime, String),
    Postponed(UtcTime),
}

impl Note {
    fn of(mail: &QueuedMail, outcome: Outcome, now: UtcTime) -> Self {
        match outcome {
            Outcome::Sent => Self::Finished(MailStatus::Sent, None),
            Outcome::NotNeeded => Self::Finished(MailStatus::Dropped, None),
            Outcome::Postponed(wait) => Self::Postponed(now.after(wait)),
            Outcome::Failed(SendError::Permanent(cause)) => {
                Self::Finished(MailStatus::Dead, Some(cause))
            }
            Outcome::Failed(SendError::Temporary(cause)) => {
                if mail.attempts + 1 >= MAX_ATTEMPTS {
                    Self::Finished(MailStatus::Dead, Some(cause))
                } else {
                    Self::TryAgain(now.after(delay_after(mail.attempts)), cause)
                }
            }
        }
    }

    fn log(&self, mail: &QueuedMail) {
        let (mail_id, kind, attempt) = (&mail.id, mail.kind.name(), mail.attempts + 1);
        match self {
            Self::Finished(MailStatus::Sent, _) => tracing::info!(%mail_id, kind, "mail sent"),
            Self::Finished(_, None) => tracing::debug!(%mail_id, kind, "mail no longer needed"),
            Self::Finished(_, Some(error)) => {
                tracing::error!(%mail_id, kind, attempt, error, "mail not sent; it is given up");
            }
            Self::Postponed(_) => tracing::info!(%mail_id, kind, "mail waits for a limit"),
            Self::TryAgain(_, error) => {
                tracing::warn!(%mail_id, kind, attempt, error, "mail not sent; it is tried again");
            }
        }
    }

    fn write(
        &self,
        conn: &mut store::Conn,
        id: &MailId,
        lease: &str,
        now: UtcTime,
    ) -> store::Result<bool> {
        match self {
            Self::Finished(status, error) => {
                outbox::finish(conn, id, lease, *status, error.as_deref(), now)
            }
            Self::TryAgain(next, error) => outbox::put_back(conn, id, lease, error, *next, 1),
            Self::Postponed(until) => outbox::put_back(conn, id, lease, OVER_BUDGET, *until, 0),
        }
    }
}

/// Doubling, up to an hour; a quarter of it by chance, so that instances do not come back together.
fn delay_after(attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or(0).min(16);
    let delay = FIRST_DELAY.saturating_mul(1 << doublings).min(LONGEST_DELAY);
    let chance = u32::from(random_bytes::<1>()[0]);
    delay * 3 / 4 + delay / 4 * chance / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_an_hour_and_never_beyond() {
        assert!(delay_after(0) <= FIRST_DELAY && delay_after(0) > FIRST_DELAY / 2);
        for attempts in [0, 1, 5, 20, i32::MAX] {
            let delay = delay_after(attempts);
            assert!(
                delay >= FIRST_DELAY * 3 / 4 && delay <= LONGEST_DELAY,
                "{attempts}: {delay:?}"
            );
        }
        assert!(delay_after(12) >= LONGEST_DELAY * 3 / 4);
    }
}
