//! The pages of development, on a loopback address only.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::LimitReports;
use crate::http::dev::{DevMail, DevMailbox, Development, Facts};
use crate::http::v1::time::rfc3339;
use crate::mail::handler::Observer;

/// Returns the pages for this configuration; `None` outside development on a loopback address.
pub(super) fn of(config: &Config) -> Option<Development> {
    config.is_local_development().then(|| Development {
        mailbox: DevMailbox::default(),
        facts: Facts {
            service_name: config.service_name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            allows_loopback_origins: config.browsers.loopback_origins,
            reports_limits: config.limit_reports != LimitReports::Never,
            has_docs: cfg!(feature = "docs-ui"),
        },
    })
}

/// Returns the observer that keeps each sent mail for the page of mails.
pub(super) fn observer(development: &Development) -> Observer {
    let mailbox = development.mailbox.clone();
    Arc::new(move |mail, message| {
        mailbox.add(DevMail {
            id: mail.message_id.clone(),
            to: mail.to.clone(),
            subject: mail.subject.clone(),
            date: rfc3339(mail.date),
            code: message.code().map(str::to_owned),
            links: message.link().map(str::to_owned).into_iter().collect(),
            text: mail.text.clone(),
            html: mail.html.clone(),
        });
    })
}
