//! The ways out for a mail: an SMTP server, a folder of `.eml` files, or memory for tests.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::jobs::{Capacity, Progress};
use crate::mail::directory::Directory;
use crate::mail::mime;
use crate::mail::outgoing::{Mail, SendError};
use crate::mail::smtp::Smtp;
use crate::mail::smtp::settings::SmtpSettings;

/// The number of mails that are written at once into a folder or into memory.
const LOCAL_SENDS: usize = 16;

/// A way out for mail.
#[derive(Clone)]
pub enum Transport {
    /// To a mail server.
    Smtp(Smtp),
    /// Into a folder, one `.eml` file a mail.
    Directory(Directory),
    /// Into memory.
    Memory(Mailbox),
}

impl Transport {
    /// To a mail server. Fails when the certificate authority of the settings cannot be read;
    /// connects to nothing yet.
    pub fn smtp(settings: &SmtpSettings) -> Result<Self, String> {
        Ok(Self::Smtp(Smtp::new(settings)?))
    }

    /// Into this folder, made when the first mail comes.
    pub fn directory(folder: PathBuf) -> Self {
        Self::Directory(Directory::new(folder))
    }

    /// Into memory, and the reader of it.
    pub fn memory() -> (Self, Mailbox) {
        let mailbox = Mailbox::default();
        (Self::Memory(mailbox.clone()), mailbox)
    }

    /// Sends one mail; `Ok` means that the other side has taken responsibility for it.
    pub async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        self.send_noting(mail, &Progress::default()).await
    }

    /// Sends one mail, and notes from when on the other side may have taken it.
    pub async fn send_noting(&self, mail: &Mail, progress: &Progress) -> Result<(), SendError> {
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

    /// The number of mails that can be under way at once, and how many of them to one domain.
    pub(super) fn capacity(&self) -> Capacity {
        match self {
            Self::Smtp(smtp) => {
                let connections = smtp.connections();
                // One is left to the others, whatever the mails to a domain wait for.
                Capacity { total: connections, per_lane: (connections - 1).max(1) }
            }
            Self::Directory(_) | Self::Memory(_) => {
                Capacity { total: LOCAL_SENDS, per_lane: LOCAL_SENDS }
            }
        }
    }

    /// Ends the connections that no mail needed for so long.
    pub(super) async fn close_idle(&self, unused_for: Duration) {
        if let Self::Smtp(smtp) = self {
            smtp.close_idle(unused_for).await;
        }
    }

    /// Tries the way without sending anything: connects and logs in, or makes the folder.
    pub async fn check(&self) -> Result<(), SendError> {
        match self {
            Self::Smtp(smtp) => smtp.check().await,
            Self::Directory(directory) => directory.check().await,
            Self::Memory(_) => Ok(()),
        }
    }
}

/// What a memory transport has taken.
#[derive(Clone, Debug, Default)]
pub struct Mailbox(Arc<Mutex<Vec<Mail>>>);

impl Mailbox {
    /// Every mail so far, oldest first.
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
    use crate::mail::outgoing::{Sender, Verdict};

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
        assert_eq!(transport.send(&wrong).await.unwrap_err().verdict, Verdict::Permanent);
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
