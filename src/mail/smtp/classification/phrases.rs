//! Phrases in the texts of negative replies, and the setting or state that they indicate.

// Advice is fixed text: the text of a server may repeat addresses and secrets.
pub(super) const URL: &str = "HALLPASS_SMTP_URL";
pub(super) const LOG_IN: &str = "the log-in, user and password in HALLPASS_SMTP_URL";
pub(super) const TLS: &str = "TLS, smtps:// or ?tls=required in HALLPASS_SMTP_URL";
pub(super) const EHLO_NAME: &str = "the EHLO name, HALLPASS_SMTP_EHLO_NAME";
pub(super) const MAIL_FROM: &str = "the sender, HALLPASS_MAIL_FROM";
pub(super) const RELAY: &str = "the permission to relay: user and password in HALLPASS_SMTP_URL";
pub(super) const BLOCKED_IP: &str = "the IP address of the mail server or of this machine, which a block list or its \
                          missing reverse DNS name concerns";
pub(super) const SENDER_POLICY: &str =
    "the DNS records SPF, DKIM and DMARC for the domain of HALLPASS_MAIL_FROM";
pub(super) const REPUTATION: &str = "the reputation of the sending domain or IP address";
/// Quota, state or permissions of the account.
pub(super) const ACCOUNT: &str = "the account of HALLPASS_SMTP_URL at the provider";

/// Returns the setting or state of the service that a reply is about, if phrases show it.
pub(super) fn configuration_fault(text: &str) -> Option<&'static str> {
    let of_category = || CONFIGURATION_PHRASES.iter().find(|(words, _)| has_any(text, words));
    named_fault(text).or_else(|| of_category().map(|(_, category)| *category))
}

/// Returns the setting of phrases that servers do not use about recipients.
pub(super) fn named_fault(text: &str) -> Option<&'static str> {
    if text.contains("helo") || text.contains("ehlo") {
        return Some(EHLO_NAME);
    }
    if has_any(text, &SENDING_QUOTA) {
        return Some(ACCOUNT);
    }
    has_any(text, &["relay", "rcpthosts"]).then_some(RELAY)
}

/// Returns whether `text`, in lower case, contains any of `words`.
pub(super) fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|words| text.contains(words))
}

/// A demand for a log-in, under a code of another meaning.
pub(super) const LOG_IN_FIRST: [&str; 5] = [
    "authentication required",
    "authentication is required",
    "not authenticated",
    "must authenticate",
    "not logged in",
];

/// A sending quota of Gmail, Microsoft, Amazon SES, Mailgun and others.
pub(super) const SENDING_QUOTA: [&str; 14] = [
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

/// A mailbox or domain that does not exist or accepts nothing.
pub(super) const NO_SUCH_MAILBOX: [&str; 23] = [
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

/// The account at the provider, where the code could mean that of the recipient.
pub(super) const ACCOUNT_AT_PROVIDER: [&str; 13] = [
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

/// A policy for this recipient.
pub(super) const RECIPIENT_REFUSED: [&str; 8] = [
    "recipient address rejected",
    "recipient rejected",
    "recipient refused",
    "mailbox",
    "this user",
    "this list",
    "mailing list",
    "group",
];

/// A policy for the content of this message.
pub(super) const CONTENT_REFUSED: [&str; 5] =
    ["spam", "content", "virus", "malware", "unsolicited"];

/// Phrases about this service and their advice, the most specific first.
const CONFIGURATION_PHRASES: [(&[&str], &str); 5] = [
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
    (&["sender", "sendas", "allowed to send", "on behalf of"], MAIL_FROM),
    (&["authenticat", "authoriz", "authoris", "log in"], URL),
];
