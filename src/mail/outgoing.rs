//! A mail on its way out, and the errors of sending it.

use std::fmt;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox as NamedAddress;

use crate::domain::UtcTime;

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
        if !is_plain_address(email.as_ref()) {
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

/// Returns whether an address needs no quoting in a header nor in a command.
pub(super) fn is_plain_address(address: &str) -> bool {
    address.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>(),;:\\".contains(&byte))
}
