//! The pages of development, on a loopback address only.

use crate::config::{Config, LimitMode};
use crate::dev::{DevMailbox, Development, Facts};
use crate::mail::handler::Observer;

/// Returns the pages for this configuration; `None` outside development on a loopback address.
pub(super) fn of(config: &Config) -> Option<Development> {
    config.is_local_development().then(|| Development {
        mailbox: DevMailbox::default(),
        facts: Facts {
            service_name: config.service_name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            allows_loopback_origins: config.browsers.loopback_origins,
            reports_limits: config.limit_mode == LimitMode::Report,
            has_docs: cfg!(feature = "docs-ui"),
        },
    })
}

/// Returns the observer that keeps each sent mail for the page of mails.
pub(super) fn observer(development: &Development) -> Observer {
    let mailbox = development.mailbox.clone();
    std::sync::Arc::new(move |mail, message| mailbox.put(mail, message))
}
