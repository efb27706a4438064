//! Meaning of a negative reply: for this mail, for its recipient's domain, or for all mail.
//!
//! Only a reply that is positively about this recipient or this content is final. A mail that is given
//! up for a fault in the configuration or for a quota is lost; one that is tried again in vain costs a
//! connection. So a permanent refusal that names no known cause is tried again, with an end.

use super::reply::Reply;
use crate::mail::outgoing::{Affects, SendError, Verdict};

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
        Cause::Unclear => Verdict::Unclear,
        Cause::Mail | Cause::Busy => Verdict::Temporary,
    };
    let affects = match cause {
        _ if step <= Step::Sender => Affects::Server,
        Cause::Mail | Cause::Unclear => Affects::Mail,
        Cause::Us(_) | Cause::Busy => Affects::Domain,
    };
    let advice = match cause {
        Cause::Us(setting) => format!(": see {setting}"),
        Cause::Mail | Cause::Unclear | Cause::Busy => String::new(),
    };
    let text = format!("the mail server answered {} to {}{advice}", reply.shown(), step.name());
    SendError { verdict, affects, text }
}

#[derive(Clone, Copy)]
enum Cause {
    /// The recipient or the message.
    Mail,
    /// How this service presents itself or what its account may, with what to look at.
    Us(&'static str),
    /// A permanent refusal that names no cause which is known.
    Unclear,
    /// The load of the server.
    Busy,
}

// Categories are fixed texts: those of servers may repeat addresses and secrets.
const URL: &str = "HALLPASS_SMTP_URL";
const EHLO_NAME: &str = "the EHLO name, HALLPASS_SMTP_EHLO_NAME";
const MAIL_FROM: &str = "the sender, HALLPASS_MAIL_FROM";
const RELAY: &str = "the permission to relay: user and password in HALLPASS_SMTP_URL";
const BLOCKED_IP: &str = "the IP address of the mail server or of this machine, which a block list or its \
                          missing reverse DNS name concerns";
const SENDER_POLICY: &str =
    "the DNS records SPF, DKIM and DMARC for the domain of HALLPASS_MAIL_FROM";
const REPUTATION: &str = "the reputation of the sending domain or IP address";
/// Its quota, its state, its permissions.
const ACCOUNT: &str = "the account of HALLPASS_SMTP_URL at the provider";

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
/// where it leaves that open, words do. Providers put their quotas under codes of mailboxes and routes,
/// so words about sending go before codes.
fn about_the_mail(step: Step, reply: &Reply, text: &str) -> Cause {
    // RFC 4954: these ask for a (better) log-in or for encryption, wherever they come.
    if matches!(reply.code, 530 | 534 | 535 | 538) {
        return Cause::Us(URL);
    }
    if has_any(text, &SENDING_QUOTA) {
        return Cause::Us(ACCOUNT);
    }
    match (reply.enhanced(), reply.code) {
        (Some((1, 7 | 8)), _) => Cause::Us(MAIL_FROM),
        // Microsoft: the daily limit of recipients.
        (Some((1, 90)), _) => Cause::Us(ACCOUNT),
        // Addresses, mailboxes, domains without a route, the size and the content of the message.
        (Some((1, 1..=4 | 6 | 10) | (2, 1..=4) | (3 | 4, 4) | (6, _) | (7, 2)), _)
        | (None, 551 | 556) => Cause::Mail,
        // Some servers say "protocol" (5.5.0) where they mean the mailbox.
        (Some((1 | 2 | 4, _) | (0 | 5, 0) | (7, 0 | 1)), _) | (None, 550..=554) => {
            by_words(step, reply, text)
        }
        _ => Cause::Us(about_us(text).unwrap_or(if reply.code == 504 { EHLO_NAME } else { URL })),
    }
}

fn by_words(step: Step, reply: &Reply, text: &str) -> Cause {
    if let Some(setting) = about_us(text) {
        return Cause::Us(setting);
    }
    let is_policy = matches!((reply.enhanced(), reply.code), (Some((7, _)), _) | (None, 554));
    match step {
        _ if has_any(text, &NO_SUCH_MAILBOX) => Cause::Mail,
        _ if has_any(text, &ACCOUNT_AT_PROVIDER) => Cause::Us(ACCOUNT),
        Step::Recipient if has_any(text, &RECIPIENT_REFUSED) => Cause::Mail,
        Step::Recipient if is_policy => Cause::Us(URL),
        Step::Content if has_any(text, &CONTENT_REFUSED) => Cause::Mail,
        _ => Cause::Unclear,
    }
}

fn about_us(text: &str) -> Option<&'static str> {
    let of_category = || OUR_FAULTS.iter().find(|(words, _)| has_any(text, words));
    named_fault(text).or_else(|| of_category().map(|(_, category)| *category))
}

/// The setting behind words that no server uses of a recipient.
fn named_fault(text: &str) -> Option<&'static str> {
    if text.contains("helo") || text.contains("ehlo") {
        return Some(EHLO_NAME);
    }
    if has_any(text, &SENDING_QUOTA) {
        return Some(ACCOUNT);
    }
    has_any(text, &["relay", "rcpthosts"]).then_some(RELAY)
}

fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|words| text.contains(words))
}

/// Quotas of sending, of Gmail, Microsoft, Amazon SES, Mailgun and others.
const SENDING_QUOTA: [&str; 14] = [
    "sending limit",
    "sending quota",
    "submission quota",
    "submissionquota",
    "message quota",
    "daily quota",
    "hourly quota",
    "daily limit",
    "hourly limit",
    "monthly limit",
    "your daily",
    "your limit",
    "your quota",
    "maximum sending rate",
];

/// A mailbox or a domain that is not there or takes nothing.
const NO_SUCH_MAILBOX: [&str; 23] = [
    "no such user",
    "no such recipient",
    "no such mailbox",
    "no such address",
    "no such domain",
    "unknown user",
    "user unknown",
    "unknown recipient",
    "recipient unknown",
    "unknown mailbox",
    "unknown address",
    "address unknown",
    "invalid recipient",
    "invalid mailbox",
    "user not found",
    "recipient not found",
    "mailbox not found",
    "mailbox unavailable",
    "mailbox name not allowed",
    "does not exist",
    "no account",
    "doesn't have a",
    "unrouteable address",
];

/// The account at the provider, where a code leaves open whose account it is.
const ACCOUNT_AT_PROVIDER: [&str; 13] = [
    "account",
    "not verified",
    "unverified",
    "sandbox",
    "suspended",
    "billing",
    "subscription",
    "credits",
    "free plan",
    "trial",
    "limit exceeded",
    "rate limit",
    "limit reached",
];

/// A policy about this recipient.
const RECIPIENT_REFUSED: [&str; 8] = [
    "recipient address rejected",
    "recipient rejected",
    "recipient refused",
    "mailbox",
    "this user",
    "this list",
    "mailing list",
    "group",
];

/// A policy about the content of this message.
const CONTENT_REFUSED: [&str; 5] = ["spam", "content", "virus", "malware", "unsolicited"];

/// Words about this service and what they point to, the most specific first.
const OUR_FAULTS: [(&[&str], &str); 5] = [
    (&["spf", "dkim", "dmarc"], SENDER_POLICY),
    (
        &[
            "blacklist",
            "blocklist",
            "block list",
            "blocked using",
            "spamhaus",
            "dnsbl",
            "client host",
            "your ip",
            "reverse dns",
            "ptr record",
        ],
        BLOCKED_IP,
    ),
    (&["reputation"], REPUTATION),
    (&["sender"], MAIL_FROM),
    (&["authenticat", "authoriz", "authoris", "log in"], URL),
];

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
                "550 5.1.2 we cannot find that domain",
                "550 5.1.3 bad address",
                "550 5.1.6 mailbox has moved",
                "550 5.1.0 unknown user",
                "550 5.2.1 the account of this user is suspended",
                "551 user not local",
                "553 mailbox name not allowed",
                "556 domain accepts no mail",
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
                "552 5.7.0 blocked because its content presents a potential security issue",
                "554 delivery error: This user doesn't have an example.com account",
            ],
        );
    }

    #[test]
    fn refusals_without_a_known_cause_are_tried_again() {
        for step in [Step::Recipient, Step::Content] {
            all_are(
                Verdict::Unclear,
                step,
                &[
                    "550",
                    "550 5.0.0",
                    "550 5.1.0 address rejected",
                    "550 5.2.0 STOREDRV",
                    "552 too much mail stored",
                    "550 5.4.6 routing loop",
                    "550 5.5.0 requested action not taken",
                    "552 quota exceeded",
                    "553 not now",
                ],
            );
        }
        all_are(
            Verdict::Unclear,
            Step::Content,
            &["554 transaction failed", "554 5.7.1", "550 5.7.0 no"],
        );
        all_are(Verdict::Unclear, Step::Data, &["554 no valid recipients"]);
        let unclear = judged(Step::Content, "554 transaction failed");
        assert_eq!(unclear.affects, Affects::Mail);
    }

    #[test]
    fn refusals_of_the_account_are_about_the_configuration() {
        for step in [Step::Recipient, Step::Content] {
            all_are(
                Verdict::Configuration,
                step,
                &[
                    "550 5.4.5 Daily user sending limit exceeded. For more information visit",
                    "550 5.1.90 Your message can't be sent because you've reached your daily limit",
                    "550 5.1.90",
                    "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
                    "550 5.2.2 Submission quota exceeded",
                    "554 Message rejected: Email address is not verified. The following identities",
                    "554 Message rejected: Sending suspended for this account.",
                    "550 5.7.1 Sandbox subdomains are for test purposes only.",
                    "550 5.7.1 Account suspended",
                    "550 5.7.1 sending quota exceeded for this account",
                    "550 5.7.1 <a@b.example>: Recipient address rejected: sending quota exceeded",
                    "550 5.7.1 rate limit exceeded",
                    "550 Unauthenticated senders not allowed",
                    "550 The from address does not match a verified Sender Identity",
                    "451 4.7.1 daily quota of messages exceeded",
                    "454 4.7.0 Throttling failure: Maximum sending rate exceeded",
                ],
            );
        }
        let told = judged(Step::Content, "550 5.4.5 Daily user sending limit exceeded").text;
        assert!(told.ends_with("see the account of HALLPASS_SMTP_URL at the provider"), "{told}");
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
            (Step::Recipient, "554 5.7.1 Relay access denied", RELAY),
            (Step::Recipient, "554 5.7.1 Client host [192.0.2.1] blocked using a list", BLOCKED_IP),
            (Step::Content, "550 5.7.26 neither SPF nor DKIM", SENDER_POLICY),
            (Step::Content, "550 5.7.1 low reputation of the sending domain", REPUTATION),
            (Step::Recipient, "550 Unauthenticated senders not allowed", MAIL_FROM),
            (Step::Recipient, "550 authentication required", URL),
            (Step::Sender, "553 5.7.1 not yours", MAIL_FROM),
            (Step::Sender, "550 5.7.1 Helo command rejected", EHLO_NAME),
            (Step::LogIn, "535 5.7.8 wrong", URL),
        ] {
            assert!(judged(step, line).text.ends_with(setting), "{line}");
        }
    }
}
