//! The ways out for a mail: an SMTP server, a folder of `.eml` files, or memory for tests.

use std::{
    fmt,
    path::PathBuf,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lettre::{Address, message::Mailbox as NamedAddress};

use crate::domain::UtcTime;
use crate::mail::directory::Directory;
use crate::mail::mime;
use crate::mail::smtp::Smtp;
use crate::mail::smtp::settings::SmtpSettings;

/// The number of mails that are written at once into a folder or into memory.
const LOCAL_SENDS: usize = 16;

/// The address that mail comes from, with or without a name: `Hallpass <auth@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub(super) NamedAddress);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must look like auth@example.com or Name <auth@example.com>".to_owned();
        let parsed: NamedAddress = text.trim().parse().map_err(|_| wrong())?;
        let domain = idna::domain_to_ascii(parsed.email.domain()).map_err(|_| wrong())?;
        let email = Address::new(parsed.email.user(), domain).map_err(|_| wrong())?;
        if !mime::is_plain_address(email.as_ref()) {
            return Err(wrong());
        }
        Ok(Self(NamedAddress::new(parsed.name, email)))
    }
}

/// One mail to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Left side of the Message-ID, the same for every attempt: letters, digits, `-`, `_`.
    pub message_id: String,
    /// Who sends it.
    pub from: Sender,
    /// The recipient's address, validated before, its domain in ASCII.
    pub to: String,
    /// One line.
    pub subject: String,
    /// The plain text part.
    pub text: String,
    /// The HTML part.
    pub html: String,
    /// For the `Date` header.
    pub date: UtcTime,
}

/// Shows the id only: a mail holds an address and a secret.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Why a mail did not leave. The text holds no address and no password, so it can be stored and
/// logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// What becomes of the mail.
    pub verdict: Verdict,
    /// What else is affected.
    pub affects: Affects,
    /// What happened.
    pub text: String,
}

impl SendError {
    /// An error about this mail that another attempt may not have.
    pub fn temporary(text: String) -> Self {
        Self { verdict: Verdict::Temporary, affects: Affects::Mail, text }
    }

    /// An error that this mail has at every attempt.
    pub fn permanent(text: String) -> Self {
        Self { verdict: Verdict::Permanent, affects: Affects::Mail, text }
    }
}

/// What becomes of a mail that did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is worth another attempt: the server is away, too slow, or answered 4xx.
    Temporary,
    /// The server will not accept this mail, however often it is asked.
    Permanent,
    /// The server will not accept it until the configuration is fixed, there or here.
    Configuration,
    /// The server calls it refused for good, for a reason that need not be this mail's.
    Unclear,
    /// The server may have accepted it: the connection was lost before the answer came.
    Unconfirmed,
}

/// Which other mails an error tells about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affects {
    /// None: the server works, and others may leave.
    Mail,
    /// Those to the same domain.
    Domain,
    /// All of them.
    Server,
    /// The connection was lost, which tells nothing of the others.
    Unknown,
}

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
        let message = mime::compose(mail)?;
        match self {
            Self::Smtp(smtp) => smtp.send(&message).await,
            Self::Directory(directory) => directory.write(mail, message.formatted()).await,
            Self::Memory(mailbox) => {
                mailbox.put(mail.clone());
                Ok(())
            }
        }
    }

    /// The number of mails that can be under way at once, and how many of them to one domain.
    pub(super) fn capacity(&self) -> (usize, usize) {
        match self {
            Self::Smtp(smtp) => {
                let connections = smtp.connections();
                // One is left to the others, whatever the mails to a domain wait for.
                (connections, (connections - 1).max(1))
            }
            Self::Directory(_) | Self::Memory(_) => (LOCAL_SENDS, LOCAL_SENDS),
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
