//! Classification of negative replies: permanent, transient, or a fault in the configuration; for
//! this mail, its recipient's domain, or all mails.
//!
//! Only a reply that is clearly about this recipient or this content is final. Ending a mail for a
//! fault in the configuration or for a quota loses it; a useless retry costs a connection only. So
//! a permanent refusal without a known cause is retried a limited number of times.

mod phrases;

use self::phrases::{
    ACCOUNT, ACCOUNT_AT_PROVIDER, BLOCKED_IP, CONTENT_REFUSED, EHLO_NAME, LOG_IN, LOG_IN_FIRST,
    MAIL_FROM, NO_SUCH_MAILBOX, RECIPIENT_REFUSED, SENDER_POLICY, SENDING_QUOTA, TLS, URL,
    configuration_fault, has_any, named_fault,
};
use super::reply::Reply;
use crate::mail::envelope::{FailureClass, FailureScope, SendError};

/// A step of an SMTP session, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Greeting,
    Hello,
    StartTls,
    LogIn,
    Sender,
    Recipient,
    Data,
    Content,
}

impl Step {
    /// Returns the name of the step in error texts.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "the connection",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::LogIn => "the log-in",
            Self::Sender => "the sender",
            Self::Recipient => "the recipient",
            Self::Data => "DATA",
            Self::Content => "the message",
        }
    }
}

/// Classifies a negative reply.
pub(super) fn classify(step: Step, reply: &Reply) -> SendError {
    let cause = cause_of(step, reply);
    let class = match cause {
        Cause::Mail if reply.is_permanent() => FailureClass::Permanent,
        // A fault in the configuration is one even if the server calls it temporary.
        Cause::Configuration(_) => FailureClass::Configuration,
        Cause::Unknown => FailureClass::Unclassified,
        Cause::Mail | Cause::Busy => FailureClass::Transient,
    };
    let scope = match cause {
        _ if step <= Step::Sender => FailureScope::Server,
        Cause::Mail | Cause::Unknown => FailureScope::Mail,
        Cause::Configuration(_) | Cause::Busy => FailureScope::Domain,
    };
    let advice = match cause {
        Cause::Configuration(setting) => format!(": see {setting}"),
        Cause::Mail | Cause::Unknown | Cause::Busy => String::new(),
    };
    let text = format!("the mail server answered {} to {}{advice}", reply.shown(), step.name());
    SendError { class, scope, text }
}

#[derive(Clone, Copy)]
enum Cause {
    /// The recipient or the message.
    Mail,
    /// This service, its configuration or its account, with advice.
    Configuration(&'static str),
    /// A permanent refusal without a known cause.
    Unknown,
    /// The load of the server.
    Busy,
}

fn cause_of(step: Step, reply: &Reply) -> Cause {
    let text = reply.text();
    if !reply.is_permanent() {
        return match temporary_fault(reply, &text) {
            Some(setting) if reply.code != 421 && step >= Step::Recipient => {
                Cause::Configuration(setting)
            }
            _ if step <= Step::Sender || reply.code == 421 => Cause::Busy,
            _ => Cause::Mail,
        };
    }
    if let Some(setting) = log_in_fault(step, reply, &text) {
        return Cause::Configuration(setting);
    }
    match step {
        Step::Hello => Cause::Configuration(EHLO_NAME),
        Step::Sender => Cause::Configuration(named_fault(&text).unwrap_or(MAIL_FROM)),
        Step::Greeting | Step::StartTls | Step::LogIn => Cause::Configuration(URL),
        Step::Recipient | Step::Data | Step::Content => {
            recipient_or_content_cause(step, reply, &text)
        }
    }
}

/// Returns the setting of a refusal that demands a log-in or TLS, at any step. The codes are those
/// of RFC 4954; up to the sender, words say so as well.
fn log_in_fault(step: Step, reply: &Reply, text: &str) -> Option<&'static str> {
    if !matches!(reply.code, 530 | 534 | 535 | 538) {
        let is_named = step <= Step::Sender && has_any(text, &LOG_IN_FIRST);
        return is_named.then_some(LOG_IN);
    }
    let is_plain = reply.code == 538 || has_any(text, &["starttls", "encryption required"]);
    Some(if is_plain { TLS } else { LOG_IN })
}

/// Returns the setting or state that a temporary refusal is about. Greylisting uses many words of
/// senders and hosts, so only codes and clear words count.
fn temporary_fault(reply: &Reply, text: &str) -> Option<&'static str> {
    match reply.enhanced() {
        Some((1, 7 | 8)) => Some(MAIL_FROM),
        // RFC 7372: DKIM, SPF, and the reverse DNS name.
        Some((7, 20..=24 | 26)) => Some(SENDER_POLICY),
        Some((7, 25)) => Some(BLOCKED_IP),
        _ if text.contains("cannot find your") => Some(BLOCKED_IP),
        _ => named_fault(text),
    }
}

/// Returns the cause of a permanent refusal at the recipient or later. The enhanced status code
/// decides; where its meaning is open, words do. Providers report their quotas under codes of
/// mailboxes and routes, so words about sending come before codes.
fn recipient_or_content_cause(step: Step, reply: &Reply, text: &str) -> Cause {
    if has_any(text, &SENDING_QUOTA) {
        return Cause::Configuration(ACCOUNT);
    }
    match (reply.enhanced(), reply.code) {
        (Some((1, 7 | 8)), _) => Cause::Configuration(MAIL_FROM),
        // Microsoft: the daily limit of recipients.
        (Some((1, 90)), _) => Cause::Configuration(ACCOUNT),
        // Addresses, mailboxes, domains without a route, the size and the content of the message.
        (Some((1, 1..=4 | 6 | 10) | (2, 1..=4) | (3 | 4, 4) | (6, _) | (7, 2)), _)
        | (None, 551 | 556) => Cause::Mail,
        // Some servers use "protocol" (5.5.0) for the mailbox.
        (Some((1 | 2 | 4, _) | (0 | 5, 0) | (7, 0 | 1)), _) | (None, 550..=554) => {
            classify_by_phrases(step, reply, text)
        }
        _ => Cause::Configuration(configuration_fault(text).unwrap_or(if reply.code == 504 {
            EHLO_NAME
        } else {
            URL
        })),
    }
}

fn classify_by_phrases(step: Step, reply: &Reply, text: &str) -> Cause {
    if let Some(setting) = configuration_fault(text) {
        return Cause::Configuration(setting);
    }
    let is_policy = matches!((reply.enhanced(), reply.code), (Some((7, _)), _) | (None, 554));
    match step {
        _ if has_any(text, &NO_SUCH_MAILBOX) => Cause::Mail,
        _ if has_any(text, &ACCOUNT_AT_PROVIDER) => Cause::Configuration(ACCOUNT),
        Step::Recipient if has_any(text, &RECIPIENT_REFUSED) => Cause::Mail,
        Step::Recipient if is_policy => Cause::Configuration(URL),
        Step::Content if has_any(text, &CONTENT_REFUSED) => Cause::Mail,
        _ => Cause::Unknown,
    }
}

#[cfg(test)]
mod tests;
