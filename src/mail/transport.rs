//! Transports of mails: an SMTP server, a folder of `.eml` files, or memory for tests.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::jobs::{Capacity, Progress};
use crate::mail::directory::Directory;
use crate::mail::envelope::{Mail, SendError};
use crate::mail::mime;
use crate::mail::smtp::settings::SmtpSettings;
use crate::mail::smtp::{ConnectionUse, Smtp};

/// Number of mails that are written into a folder or into memory at the same time.
const LOCAL_SENDS: usize = 16;

/// Transport of mails.
#[derive(Clone)]
pub enum Transport {
    /// Delivers to a mail server.
    Smtp(Smtp),
    /// Writes into a folder, one `.eml` file for each mail.
    Directory(Directory),
    /// Keeps mails in memory.
    Memory(Mailbox),
}

impl Transport {
    /// Returns a transport to a mail server, without connecting.
    ///
    /// # Errors
    ///
    /// If the certificate authority of the settings cannot be read.
    pub fn smtp(settings: &SmtpSettings) -> Result<Self, String> {
        Ok(Self::Smtp(Smtp::new(settings)?))
    }

    /// Returns a transport into this folder, which is created with the first mail.
    pub fn directory(folder: PathBuf) -> Self {
        Self::Directory(Directory::new(folder))
    }

    /// Returns a transport into memory, and its reader.
    pub fn memory() -> (Self, Mailbox) {
        let mailbox = Mailbox::default();
        (Self::Memory(mailbox.clone()), mailbox)
    }

    /// Sends one mail. After `Ok` the receiving side is responsible for it (RFC 5321 section 2.1).
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        self.send_with_progress(mail, &Progress::default()).await
    }

    /// Sends one mail, and records in `progress` whether the receiving side may have accepted it.
    pub async fn send_with_progress(
        &self,
        mail: &Mail,
        progress: &Progress,
    ) -> Result<(), SendError> {
        let message = mime::compose(mail)?;
        match self {
            Self::Smtp(smtp) => smtp.send(&message, progress).await,
            Self::Directory(directory) => directory.write(mail, message.formatted()).await,
            Self::Memory(mailbox) => {
                mailbox.put(mail.clone());
                Ok(())
            }
        }
    }

    /// Returns the number of mails that may be in progress, in all and to one domain.
    pub(super) fn capacity(&self) -> Capacity {
        match self {
            Self::Smtp(smtp) => {
                let connections = smtp.connections();
                // One connection is left to other domains. One more mail may wait: its waiting ends
                // deliveries that hang.
                let share = (connections - 1).max(1);
                Capacity { total: connections + 1, per_lane: share, slow: share }
            }
            Self::Directory(_) | Self::Memory(_) => {
                Capacity { total: LOCAL_SENDS, per_lane: LOCAL_SENDS, slow: LOCAL_SENDS }
            }
        }
    }

    /// Returns the use of the connections to a mail server.
    pub fn connection_use(&self) -> Option<ConnectionUse> {
        match self {
            Self::Smtp(smtp) => Some(smtp.connection_use()),
            Self::Directory(_) | Self::Memory(_) => None,
        }
    }

    /// Opens as many connections to a mail server as the settings allow, and returns how many it
    /// admits at a time. Returns nothing if that takes too long or there is no mail server.
    pub async fn count_admitted(&self) -> Option<usize> {
        match self {
            Self::Smtp(smtp) => smtp.count_admitted().await,
            Self::Directory(_) | Self::Memory(_) => None,
        }
    }

    /// Ends the connections that no mail has used for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        if let Self::Smtp(smtp) = self {
            smtp.close_idle(unused_for).await;
        }
    }

    /// Checks the transport without sending: connects and logs in, or creates the
    /// folder and writes a file there, which it removes.
    pub async fn check(&self) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => smtp.check().await,
            Self::Directory(directory) => directory.check().await,
            Self::Memory(_) => Ok(()),
        }
    }
}

/// Mails of a memory transport.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Vec<Mail>>>);

impl Mailbox {
    /// Returns all mails so far, the oldest first.
    pub fn all(&self) -> Vec<Mail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn put(&self, mail: Mail) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(mail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::UtcTime;
    use crate::mail::envelope::{FailureClass, Sender};

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, shown) in [
            ("auth@example.com", "auth@example.com"),
            (" Hallpass <auth@example.com> ", "Hallpass <auth@example.com>"),
            ("auth@메일.example.com", "auth@xn--h32bq4v.example.com"),
            ("홀패스 <auth@example.com>", "홀패스 <auth@example.com>"),
        ] {
            let sender: Sender = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(sender.0.to_string(), shown);
        }
        for text in
            ["", "auth", "auth@", "@example.com", "a@b.example\r\nBcc: x@y.example", "é@x.kr"]
        {
            assert!(text.parse::<Sender>().is_err(), "{text}");
        }
    }

    fn mail(message_id: &str) -> Mail {
        Mail {
            message_id: message_id.to_owned(),
            from: "auth@example.com".parse().unwrap(),
            to: "bob@example.org".to_owned(),
            subject: "Subject".to_owned(),
            text: "123456".to_owned(),
            html: "123456".to_owned(),
            date: UtcTime::from_seconds(0),
        }
    }

    #[tokio::test]
    async fn memory_keeps_mails_in_order_and_is_as_strict_as_the_others() {
        let (transport, mailbox) = Transport::memory();
        let (first, second) = (mail("id-1"), mail("id-2"));
        let wrong =
            Mail { to: "bob@example.org\r\nBcc: x@evil.example".to_owned(), ..mail("id-3") };
        transport.send(&first).await.unwrap();
        assert_eq!(transport.send(&wrong).await.unwrap_err().class, FailureClass::Permanent);
        transport.clone().send(&second).await.unwrap();
        assert_eq!(mailbox.all(), [first, second]);
    }

    #[test]
    fn debug_output_of_a_mail_shows_neither_address_nor_text() {
        let text = format!("{:?}", mail("id-1"));
        assert!(text.contains("id-1"));
        assert!(!text.contains("bob") && !text.contains("123456"), "{text}");
    }
}
