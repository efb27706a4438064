//! Builds the worker that sends mail.

use std::sync::Arc;

use super::start_error::StartError;
use crate::clock::Clock;
use crate::config::Config;
use crate::flows::{self, ComposedEmail, Flows};
use crate::jobs::Worker;
use crate::mail::handler::{Composition, MailHandler};
use crate::mail::messages::Messages;
use crate::mail::transport::Transport;

/// Builds the worker that sends mail by `transport`, or by that of the settings.
pub(super) fn build_worker(
    config: &Config,
    clock: Arc<dyn Clock>,
    transport: Option<Transport>,
    flows: Arc<Flows>,
) -> Result<Worker<MailHandler>, StartError> {
    let transport = match transport {
        Some(transport) => transport,
        None => transport_of(config).map_err(StartError::Mail)?,
    };
    flows.mails.observe(&transport);
    let messages = Messages::load(config.mail_templates.as_deref()).map_err(StartError::Mail)?;
    let db = flows.db.clone();
    let handler = MailHandler {
        clock: Arc::clone(&clock),
        transport,
        messages: Arc::new(messages),
        sender: config.mail_from.parse().map_err(StartError::Mail)?,
        service_name: config.service_name.clone(),
        metrics: Arc::clone(&flows.mails),
        observer: None,
        compose: Arc::new(move |order| match flows.compose_mail(order) {
            Ok(Some(ComposedEmail { message, language, recipient })) => {
                Ok(Composition::Send(Box::new(message), language, recipient))
            }
            Ok(None) => Ok(Composition::Skip),
            Err(flows::Error::RateLimited(wait)) => Ok(Composition::Defer(wait)),
            Err(error) => Err(error.to_string()),
        }),
    };
    Ok(Worker { db, clock, handler, stop_timeout: config.shutdown_timeout })
}

/// Returns the mail transport that the settings select.
pub fn transport_of(config: &Config) -> Result<Transport, String> {
    match &config.smtp {
        Some(smtp) => Transport::smtp(smtp),
        None => Ok(Transport::directory(config.mail_dir.clone())),
    }
}
