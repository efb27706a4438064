//! The mails that this instance sent since its start.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Number of mails that are kept; older ones are dropped.
const KEPT: usize = 500;
/// Interval of the checks whether the service stops.
const STOP_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// A mail in the form of the JSON response.
#[derive(Debug, Serialize)]
pub struct DevMail {
    /// The id of the mail, as in its `Message-ID`.
    pub id: String,
    /// The recipient.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// Time at which the mail was queued (RFC 3339).
    pub date: String,
    /// The code in it, if there is one.
    pub code: Option<String>,
    /// The links in it.
    pub links: Vec<String>,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
}

/// A selection of mails.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Mails to this address, in any letter case.
    pub(super) to: Option<String>,
    /// Mails that were sent after the mail with this id. An unknown id excludes none.
    pub(super) after: Option<String>,
}

/// The mails, shared by the worker that sends them and the page that shows them.
#[derive(Clone)]
pub struct DevMailbox(Arc<Mails>);

struct Mails {
    /// Newest first.
    mails: Mutex<VecDeque<Arc<DevMail>>>,
    arrived: watch::Sender<()>,
}

impl Default for DevMailbox {
    fn default() -> Self {
        Self(Arc::new(Mails { mails: Mutex::default(), arrived: watch::Sender::new(()) }))
    }
}

impl DevMailbox {
    /// Adds a mail that was sent.
    pub fn add(&self, mail: DevMail) {
        let mut mails = self.0.mails.lock().unwrap_or_else(PoisonError::into_inner);
        mails.push_front(Arc::new(mail));
        mails.truncate(KEPT);
        drop(mails);
        self.0.arrived.send_replace(());
    }

    /// Returns the selected mails, newest first.
    pub(super) fn find(&self, filter: &Filter) -> Vec<Arc<DevMail>> {
        let mails = self.0.mails.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |mail: &&Arc<DevMail>| filter.after.as_ref() != Some(&mail.id);
        let has_recipient = |mail: &&Arc<DevMail>| {
            filter.to.as_ref().is_none_or(|to| mail.to.eq_ignore_ascii_case(to))
        };
        mails.iter().take_while(is_new).filter(has_recipient).cloned().collect()
    }

    /// Returns the selected mails as soon as there is one, or after `wait`.
    pub(super) async fn wait_for(
        &self,
        filter: &Filter,
        wait: Duration,
        is_stopping: impl Fn() -> bool,
    ) -> Vec<Arc<DevMail>> {
        let end = Instant::now() + wait;
        let mut arrived = self.0.arrived.subscribe();
        loop {
            let found = self.find(filter);
            let left = end.saturating_duration_since(Instant::now());
            if !found.is_empty() || left.is_zero() || is_stopping() {
                return found;
            }
            // A time-out is no error: the mails are examined again either way.
            let _ = timeout(left.min(STOP_CHECK_INTERVAL), arrived.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(id: &str, to: &str) -> DevMail {
        let text = String::new;
        let (id, to) = (id.to_owned(), to.to_owned());
        let links = Vec::new();
        let (subject, date, code) = (text(), text(), None);
        DevMail { id, to, subject, date, code, links, text: text(), html: text() }
    }

    fn ids(mails: &[Arc<DevMail>]) -> Vec<&str> {
        mails.iter().map(|mail| mail.id.as_str()).collect()
    }

    #[test]
    fn the_newest_mail_is_first_and_the_oldest_is_dropped() {
        let mailbox = DevMailbox::default();
        for number in 0..KEPT + 2 {
            mailbox.add(mail(&number.to_string(), if number % 2 == 0 { "a@b.test" } else { "c" }));
        }
        let all = mailbox.find(&Filter::default());
        assert_eq!((all.len(), all[0].id.as_str(), all[KEPT - 1].id.as_str()), (500, "501", "2"));
        let after = Some("498".to_owned());
        let to = Some("A@b.test".to_owned());
        assert_eq!(
            ids(&mailbox.find(&Filter { to: None, after: after.clone() })),
            ["501", "500", "499"]
        );
        assert_eq!(ids(&mailbox.find(&Filter { to, after })), ["500"]);
        let unknown = Some("none".to_owned());
        assert_eq!(mailbox.find(&Filter { to: None, after: unknown }).len(), KEPT);
    }

    #[tokio::test]
    async fn a_request_waits_for_the_mail_and_ends_when_the_service_does() {
        let mailbox = DevMailbox::default();
        let filter = Filter { to: Some("a@b.test".to_owned()), after: None };
        let minute = Duration::from_mins(1);
        let short = Duration::from_millis(50);
        assert!(mailbox.wait_for(&filter, Duration::ZERO, || false).await.is_empty());
        assert!(mailbox.wait_for(&filter, short, || false).await.is_empty());
        let began = Instant::now();
        assert!(mailbox.wait_for(&filter, minute, || true).await.is_empty());
        assert!(began.elapsed() < minute / 2);
        let sender = mailbox.clone();
        let send = async move {
            tokio::time::sleep(Duration::from_millis(30)).await;
            sender.add(mail("other", "other@b.test"));
            tokio::time::sleep(Duration::from_millis(30)).await;
            sender.add(mail("1", "a@b.test"));
        };
        let (found, ()) = tokio::join!(mailbox.wait_for(&filter, minute, || false), send);
        assert_eq!(ids(&found), ["1"]);
        assert!(began.elapsed() < minute / 2);
    }
}
