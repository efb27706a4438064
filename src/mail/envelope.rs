//! Outgoing mails with their sender and recipient, and the errors of sending.

use std::fmt;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox as NamedAddress;

use crate::domain::UtcTime;

/// Sender address with or without a name: `Hallpass <auth@example.com>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub(super) NamedAddress);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must look like auth@example.com or Name <auth@example.com>".to_owned();
        let parsed: NamedAddress = text.trim().parse().map_err(|_| wrong())?;
        let domain = idna::domain_to_ascii(parsed.email.domain()).map_err(|_| wrong())?;
        let email = Address::new(parsed.email.user(), domain).map_err(|_| wrong())?;
        if !is_plain_address(email.as_ref()) {
            return Err(wrong());
        }
        Ok(Self(NamedAddress::new(parsed.name, email)))
    }
}

/// One mail to one recipient.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Left side of the Message-ID, the same for every attempt: letters, digits, `-`, `_`.
    pub message_id: String,
    /// Sender.
    pub from: Sender,
    /// Address of the recipient, validated, with the domain in ASCII.
    pub to: String,
    /// Subject, one line.
    pub subject: String,
    /// Plain text part.
    pub text: String,
    /// HTML part.
    pub html: String,
    /// Time of the `Date` header.
    pub date: UtcTime,
}

/// Shows the id only: a mail contains an address and a secret.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").field("message_id", &self.message_id).finish_non_exhaustive()
    }
}

/// Error of sending a mail. The text contains neither addresses nor passwords, so it may be stored
/// and logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SendError {
    /// Class of the failure, which decides when the mail is tried again.
    pub class: FailureClass,
    /// The mails that it affects.
    pub scope: FailureScope,
    /// Description for operators.
    pub text: String,
}

impl SendError {
    /// Returns an error about this mail that may not occur at the next attempt.
    pub fn transient(text: String) -> Self {
        Self { class: FailureClass::Transient, scope: FailureScope::Mail, text }
    }

    /// Returns an error about this mail that occurs at each attempt.
    pub fn permanent(text: String) -> Self {
        Self { class: FailureClass::Permanent, scope: FailureScope::Mail, text }
    }
}

/// Class of a failure to send a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// Another attempt may succeed: the server is unreachable, too slow, or replied 4xx.
    Transient,
    /// No attempt can succeed: the server refuses this mail.
    Permanent,
    /// No attempt can succeed until the configuration is fixed, here or at the server.
    Configuration,
    /// A permanent refusal whose reason is unknown and need not concern this mail.
    Unclassified,
    /// The server may have accepted the mail: the connection was lost before the reply.
    Unconfirmed,
    /// The attempt was cut off for mail to other domains, before its message was sent.
    Preempted,
}

/// Scope of a failure: the mails that it affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureScope {
    /// Only this mail is affected: the server works.
    Mail,
    /// Mails to the same domain.
    Domain,
    /// All mails.
    Server,
    /// Unknown: the connection was lost.
    Unknown,
}

/// Returns whether an address needs no quoting in headers and commands.
pub(super) fn is_plain_address(address: &str) -> bool {
    address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>(),;:\\".contains(&byte))
}
