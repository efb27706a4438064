//! Sending over SMTP (RFC 5321).
//!
//! lettre builds the messages. The client is ours, since lettre's rejects replies that are not
//! UTF-8, and a mail is sent again if its reply is rejected: [`reply`] parses replies,
//! [`classification`] classifies negative replies, [`dial`] connects, [`connection`] is a session,
//! [`pool`] shares sessions in the order of [`admission`], [`preemption`] cuts off attempts that
//! delay others.

mod admission;
mod classification;
mod connection;
mod dial;
mod extensions;
mod pool;
mod preemption;
mod reply;
pub mod settings;
mod tls;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use futures_util::future::join_all;
use lettre::Message;
use tokio::sync::oneshot;

pub use self::pool::ConnectionUse;
use self::{classification::Step, connection::Connection, pool::Pool};
use crate::jobs::{Progress, Stage};
use crate::mail::envelope::{FailureClass, FailureScope, SendError};
use crate::mail::smtp::settings::SmtpSettings;

/// Longest time for counting the connections that the server admits.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client of one mail server.
#[derive(Clone)]
pub struct Smtp(Arc<Pool>);

impl Smtp {
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let tls = tls::connector(settings.ca())?;
        Ok(Self(Pool::new(settings.clone(), tls)))
    }

    /// Returns the number of mails that may be in progress.
    pub(super) fn connections(&self) -> usize {
        self.0.settings().connections
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        progress: &Progress,
    ) -> Result<(), SendError> {
        let (envelope, bytes) = (message.envelope(), message.formatted());
        let domain = envelope.to().first().map(|to| to.domain().to_lowercase()).unwrap_or_default();
        loop {
            let mut pooled = self.0.acquire(&domain, progress).await?;
            let delivery = pooled.connection.deliver(envelope, &bytes, progress);
            let Some(delivered) = unless_preempted(delivery, &mut pooled.preempted, progress).await
            else {
                let error = preempted();
                self.0.fail_waiting(&pooled, &error);
                return Err(error);
            };
            match delivered {
                Ok(()) => {
                    self.0.release_after_success(pooled);
                    return Ok(());
                }
                // The server ended the session between two mails, or accepts no more in this one.
                Err((Step::Sender, _)) if pooled.may_be_over => pooled.end().await,
                Err((_, error)) => {
                    if error.scope == FailureScope::Domain {
                        self.0.fail_waiting(&pooled, &error);
                    }
                    if pooled.connection.reset().await {
                        self.0.release(pooled);
                    } else {
                        pooled.end().await;
                    }
                    return Err(error);
                }
            }
        }
    }

    pub(super) async fn check(&self) -> Result<(), SendError> {
        let mut connection = self.0.open().await?;
        let outcome = connection.noop().await;
        connection.quit().await;
        outcome
    }

    /// Opens as many connections at a time as the settings allow and returns how many the server
    /// admits. Returns nothing if that takes too long.
    pub(super) async fn count_admitted(&self) -> Option<usize> {
        let mut open = Vec::new();
        let opening = async {
            while open.len() < self.connections() {
                let Ok(connection) = self.0.open().await else { break };
                open.push(connection);
            }
        };
        let counted = tokio::time::timeout(COUNT_TIMEOUT, opening).await.is_ok();
        let count = open.len();
        join_all(open.into_iter().map(Connection::quit)).await;
        counted.then_some(count)
    }

    /// Returns the use of the connections.
    pub(super) fn connection_use(&self) -> ConnectionUse {
        self.0.connection_use()
    }

    /// Ends the connections that no mail has used for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        self.0.close_idle(unused_for).await;
    }
}

/// Returns the outcome of a delivery; `None` if it is preempted. Then the message has not been
/// sent.
async fn unless_preempted<T>(
    delivery: impl Future<Output = T>,
    preempted: &mut oneshot::Receiver<()>,
    progress: &Progress,
) -> Option<T> {
    let mut delivery = pin!(delivery);
    tokio::select! {
        biased;
        delivered = &mut delivery => Some(delivered),
        _ = preempted => match progress.stage() {
            Stage::Idle | Stage::AwaitingReply(_) => None,
            // The message left since the signal was sent.
            Stage::Submitted => Some(delivery.await),
        },
    }
}

/// Returns the error of a mail that is preempted.
fn preempted() -> SendError {
    SendError {
        class: FailureClass::Preempted,
        scope: FailureScope::Domain,
        text: "the mail server did not answer the recipient while other mail waited".to_owned(),
    }
}
