//! Meaning of a negative reply: for this mail, for its recipient's domain, or for all mail.
//!
//! Only a reply about this recipient or this message is final. A mail that is given up for a fault
//! in the configuration is lost; one that is tried again in vain costs a connection.

use super::reply::Reply;
use crate::mail::transport::{Affects, SendError, Verdict};

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
    /// The name of the step in error texts.
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

/// Turns a negative reply into an error of sending.
pub(super) fn judge(step: Step, reply: &Reply) -> SendError {
    let cause = cause_of(step, reply);
    let verdict = match cause {
        Cause::Mail if reply.is_permanent() => Verdict::Permanent,
        // A fault of ours that the server calls temporary is tried for as long.
        Cause::Us(_) => Verdict::Configuration,
        Cause::Mail | Cause::Busy => Verdict::Temporary,
    };
    let affects = match cause {
        _ if step <= Step::Sender => Affects::Server,
        Cause::Mail => Affects::Mail,
        Cause::Us(_) | Cause::Busy => Affects::Domain,
    };
    let advice = match cause {
        Cause::Us(setting) => format!(": see {setting}"),
        Cause::Mail | Cause::Busy => String::new(),
    };
    let text = format!("the mail server answered {} to {}{advice}", reply.shown(), step.name());
    SendError { verdict, affects, text }
}

#[derive(Clone, Copy)]
enum Cause {
    /// The recipient or the message.
    Mail,
    /// How this service presents itself, with the setting to look at.
    Us(&'static str),
    /// The load of the server.
    Busy,
}

const URL: &str = "HALLPASS_SMTP_URL";
const EHLO_NAME: &str = "HALLPASS_SMTP_EHLO_NAME";
const MAIL_FROM: &str = "HALLPASS_MAIL_FROM";

fn cause_of(step: Step, reply: &Reply) -> Cause {
    let text = reply.text();
    if !reply.is_permanent() {
        return match named_fault(&text) {
            Some(setting) if reply.code != 421 && step >= Step::Recipient => Cause::Us(setting),
            _ if step <= Step::Sender || reply.code == 421 => Cause::Busy,
            _ => Cause::Mail,
        };
    }
    match step {
        Step::Hello => Cause::Us(EHLO_NAME),
        Step::Sender => Cause::Us(named_fault(&text).unwrap_or(MAIL_FROM)),
        Step::Greeting | Step::StartTls | Step::LogIn => Cause::Us(URL),
        Step::Recipient | Step::Data | Step::Content => about_the_mail(step, reply, &text),
    }
}

/// A permanent refusal once the recipient is named. The enhanced status code says what it is about;
/// where it leaves that open, words do. The doubtful is held to be ours.
fn about_the_mail(step: Step, reply: &Reply, text: &str) -> Cause {
    // RFC 4954: these ask for a (better) log-in or for encryption, wherever they come.
    if matches!(reply.code, 530 | 534 | 535 | 538) {
        return Cause::Us(URL);
    }
    let by_words = || named_fault(text).or_else(|| is_about_us(text).then_some(URL));
    match (reply.enhanced(), reply.code) {
        // Addresses, but for those of the sender; mailboxes; routes to the domain; content.
        (Some((1, 7 | 8)), _) => Cause::Us(MAIL_FROM),
        (Some((1 | 2 | 4 | 6, _) | (3, 4) | (7, 2)), _) => Cause::Mail,
        // Policies.
        (Some((7, 0 | 1)), _) | (None, 554) if step == Step::Recipient => {
            by_words().map_or_else(|| about_a_recipient(text), Cause::Us)
        }
        // Some servers say "protocol" (5.5.0) where they mean the mailbox.
        (Some((7, 0 | 1)), _) | (Some((0 | 5, 0)), 550..=554) | (None, 550..=554 | 556) => {
            by_words().map_or(Cause::Mail, Cause::Us)
        }
        _ => Cause::Us(by_words().unwrap_or(if reply.code == 504 { EHLO_NAME } else { URL })),
    }
}

fn about_a_recipient(text: &str) -> Cause {
    let words = ["recipient", "mailbox", "user", "account", "list", "group"];
    if words.iter().any(|word| text.contains(word)) { Cause::Mail } else { Cause::Us(URL) }
}

/// The setting behind words that no server uses of a recipient.
fn named_fault(text: &str) -> Option<&'static str> {
    if text.contains("helo") || text.contains("ehlo") {
        return Some(EHLO_NAME);
    }
    ["relay", "rcpthosts"].iter().any(|word| text.contains(word)).then_some(URL)
}

fn is_about_us(text: &str) -> bool {
    [
        "authenticat",
        "authoriz",
        "authoris",
        "log in",
        "sender",
        "spf",
        "dkim",
        "dmarc",
        "client host",
        "your ip",
        "blacklist",
        "blocklist",
        "block list",
        "blocked using",
        "reputation",
        "reverse dns",
        "ptr record",
    ]
    .iter()
    .any(|words| text.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(step: Step, line: &str) -> SendError {
        let (code, text) = line.split_at(3);
        judge(step, &Reply { code: code.parse().unwrap(), lines: vec![text.trim().to_owned()] })
    }

    #[track_caller]
    fn all_are(verdict: Verdict, step: Step, lines: &[&str]) {
        for line in lines {
            assert_eq!(judged(step, line).verdict, verdict, "{step:?}: {line}");
        }
    }

    #[test]
    fn refusals_of_this_recipient_are_final() {
        all_are(
            Verdict::Permanent,
            Step::Recipient,
            &[
                "550 5.1.1 <a@b.example>: no such user",
                "550 5.1.10 null MX",
                "550 5.2.1 mailbox disabled",
                "552 5.2.2 mailbox full",
                "550 5.4.1 Recipient address rejected: Access denied",
                "550 5.5.0 Requested action not taken: mailbox unavailable",
                "550 no such user here",
                "550 no such user: relay-sender@b.example",
                "551 user not local",
                "552 too much mail stored",
                "553 mailbox name not allowed",
                "556 domain accepts no mail",
                "550",
                "554 5.7.1 <a@b.example>: Recipient address rejected: Access denied",
                "554 delivery error: this user has no account here",
            ],
        );
    }

    #[test]
    fn refusals_of_this_message_are_final() {
        all_are(
            Verdict::Permanent,
            Step::Content,
            &[
                "554 5.6.0 not this content",
                "552 5.3.4 message too big",
                "554 5.7.1 this looks like spam",
                "550 5.1.1 no such user",
                "554 transaction failed",
                "552 5.7.0 message blocked",
            ],
        );
    }

    #[test]
    fn refusals_of_ourselves_are_about_the_configuration() {
        all_are(
            Verdict::Configuration,
            Step::Recipient,
            &[
                "504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname",
                "504 5.5.2",
                "450 4.7.1 <localhost>: Helo command rejected: Host not found",
                "554 5.7.1 <a@b.example>: Relay access denied",
                "454 4.7.1 <a@b.example>: Relay access denied",
                "550 5.7.1 Unable to relay",
                "550 relay not permitted",
                "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
                "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list",
                "550 5.1.8 Sender address rejected: Domain not found",
                "550 Sender verify failed",
                "550 authentication required",
                "530 5.7.0 Must issue a STARTTLS command first",
                "530 authentication required",
                "554 5.7.1",
                "554 5.7.1 Access denied",
                "550 5.7.606 Access denied, banned sending IP",
                "503 5.5.1 bad sequence",
                "554 5.3.2 no service here",
            ],
        );
        all_are(
            Verdict::Configuration,
            Step::Content,
            &[
                "550 5.7.1 Unauthenticated email is not accepted due to the DMARC policy",
                "550 5.7.26 neither SPF nor DKIM",
                "535 5.7.8 log in",
            ],
        );
        for step in [Step::Greeting, Step::Hello, Step::StartTls, Step::LogIn, Step::Sender] {
            let error = judged(step, "550 5.1.1 whatever");
            assert_eq!(error.verdict, Verdict::Configuration, "{step:?}");
            assert_eq!(error.affects, Affects::Server, "{step:?}");
        }
    }

    #[test]
    fn temporary_refusals_stay_temporary() {
        for step in [Step::Greeting, Step::LogIn, Step::Sender] {
            let error = judged(step, "421 4.7.0 too many connections");
            assert_eq!((error.verdict, error.affects), (Verdict::Temporary, Affects::Server));
        }
        let grey = judged(Step::Recipient, "450 4.2.0 greylisted, try again");
        assert_eq!((grey.verdict, grey.affects), (Verdict::Temporary, Affects::Mail));
        let closing = judged(Step::Recipient, "421 4.3.2 closing");
        assert_eq!((closing.verdict, closing.affects), (Verdict::Temporary, Affects::Domain));
    }

    #[test]
    fn texts_name_the_setting_to_look_at() {
        for (step, line, setting) in [
            (Step::Recipient, "504 5.5.2 Helo command rejected", EHLO_NAME),
            (Step::Recipient, "554 5.7.1 Relay access denied", URL),
            (Step::Sender, "553 5.7.1 not yours", MAIL_FROM),
            (Step::Sender, "550 5.7.1 Helo command rejected", EHLO_NAME),
            (Step::LogIn, "535 5.7.8 wrong", URL),
        ] {
            assert!(judged(step, line).text.ends_with(setting), "{line}");
        }
    }
}
