//! Sending over SMTP (RFC 5321).
//!
//! lettre builds the mails. Its client reads replies as UTF-8 and by rules of its own, and a reply
//! that is not understood sends the mail again, so the client is here: [`reply`] reads,
//! [`judgement`] decides what a refusal means, [`connection`] is a session, [`pool`] shares them.

mod connection;
mod judgement;
mod pool;
mod reply;
pub mod settings;
mod tls;

use std::{sync::Arc, time::Duration};

use lettre::Message;

use self::{judgement::Step, pool::Pool};
use crate::jobs::Progress;
use crate::mail::outgoing::SendError;
use crate::mail::smtp::settings::SmtpSettings;

/// A mail server and how to talk to it.
#[derive(Clone)]
pub struct Smtp(Arc<Pool>);

impl Smtp {
    pub(super) fn new(settings: &SmtpSettings) -> Result<Self, String> {
        let tls = tls::connector(settings.ca())?;
        Ok(Self(Pool::new(settings.clone(), tls)))
    }

    /// The number of mails that can be under way at once.
    pub(super) fn connections(&self) -> usize {
        self.0.settings().connections
    }

    pub(super) async fn send(
        &self,
        message: &Message,
        progress: &Progress,
    ) -> Result<(), SendError> {
        let (envelope, bytes) = (message.envelope(), message.formatted());
        loop {
            let mut pooled = self.0.acquire().await?;
            match pooled.connection.deliver(envelope, &bytes, progress).await {
                Ok(()) => {
                    self.0.release(pooled).await;
                    return Ok(());
                }
                // The server ended the session between two mails, or has had enough of it.
                Err((Step::Sender, _)) if pooled.is_reused => pooled.end().await,
                Err((_, error)) => {
                    if pooled.connection.reset().await {
                        self.0.release(pooled).await;
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

    /// Ends the connections that no mail needed for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        self.0.close_idle(unused_for).await;
    }
}
