//! Settings of mail: SMTP server, sender, folder and templates.

use super::setting::{Setting, secret, setting};

/// Mail: SMTP server, sender, folder and templates.
pub(super) const MAIL: &[Setting] = &[
    secret(
        "HALLPASS_SMTP_URL",
        "smtps://USER:PASSWORD@HOST (TLS, 465), smtp://USER:PASSWORD@HOST (STARTTLS, 587), smtp://localhost:1025 (plain, loopback only). Not set: mail is written to files.",
    ),
    setting(
        "HALLPASS_SMTP_EHLO_NAME",
        "",
        "Name of the service in EHLO, a host name or an IP address. Not set: the host of HALLPASS_PUBLIC_URL.",
    ),
    setting(
        "HALLPASS_SMTP_CONNECTIONS",
        "4",
        "Connections of each instance to the mail server, 1 to 100. Each sends many mails; mail to one domain leaves one of them to other domains.",
    ),
    setting(
        "HALLPASS_SMTP_TIMEOUT",
        "90s",
        "Time-out of the mail server's greeting and its answer to a command, 1s to 10m. The answer to a message may take 10 minutes.",
    ),
    setting("HALLPASS_MAIL_FROM", "Hallpass <hallpass@localhost>", "Sender of mail."),
    setting(
        "HALLPASS_MAIL_DIR",
        "./data/mail",
        "Folder for mail as .eml files if no SMTP server is set. Not set: mail in the data folder.",
    ),
    setting(
        "HALLPASS_MAIL_TEMPLATES",
        "",
        "Folder with templates that replace built-in ones of the same relative path.",
    ),
];
