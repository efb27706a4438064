//! Services that this one calls, the mail server and the list of breached passwords, and the sender
//! of mail.

use url::Url;

use crate::config::source::Source;
use crate::config::types::{MINUTE, SECOND};
use crate::mail::envelope::Sender;
use crate::mail::smtp::settings::{SmtpSettings, ehlo_name};
use crate::security::breached::BreachedPasswordsSettings;

pub fn read_breached_passwords(s: &mut Source) -> Option<BreachedPasswordsSettings> {
    let timeout =
        s.duration("HALLPASS_BREACHED_PASSWORDS_TIMEOUT", SECOND, SECOND / 10, 5 * SECOND);
    let name = "HALLPASS_BREACHED_PASSWORDS_URL";
    let text = s.text(name)?;
    let url = BreachedPasswordsSettings::parse_url(text.trim());
    let url = url.map_err(|advice| s.fault(name, advice)).ok()?;
    Some(BreachedPasswordsSettings { url, timeout })
}

/// Reads the mail server, if one is set. EHLO names the host of the public URL, unless another name
/// is set.
pub fn read_smtp(s: &mut Source, public_url: &str) -> Option<SmtpSettings> {
    let connections = s.number("HALLPASS_SMTP_CONNECTIONS", SmtpSettings::CONNECTIONS, 1, 100);
    let timeout =
        s.duration("HALLPASS_SMTP_TIMEOUT", SmtpSettings::COMMAND_TIMEOUT, SECOND, 10 * MINUTE);
    let own_name = ehlo_name_of(public_url);
    let ehlo_name = s.parsed("HALLPASS_SMTP_EHLO_NAME", own_name, |text| {
        let advice = "must be a host name (mail.example.com) or an address ([192.0.2.1])";
        ehlo_name(text).ok_or_else(|| advice.to_owned())
    });
    let text = s.secret("HALLPASS_SMTP_URL")?;
    let settings = SmtpSettings::parse(&text);
    let settings = settings.map_err(|advice| s.fault("HALLPASS_SMTP_URL", advice)).ok()?;
    let content_timeout = timeout.max(SmtpSettings::CONTENT_TIMEOUT);
    Some(
        settings
            .with_connections(connections)
            .with_timeouts(timeout, content_timeout)
            .with_ehlo_name(ehlo_name),
    )
}

/// Reads the sender of mail.
pub fn read_mail_from(s: &mut Source) -> String {
    s.parsed("HALLPASS_MAIL_FROM", "Hallpass <hallpass@localhost>".into(), |text| {
        text.parse::<Sender>().map(|_| text.to_owned())
    })
}

/// Returns the host of the public URL as a name for EHLO. A URL that cannot be parsed is a fault of
/// its own setting, reported there.
fn ehlo_name_of(public_url: &str) -> String {
    let url = Url::parse(public_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("localhost");
    ehlo_name(host).unwrap_or_else(|| "localhost".to_owned())
}
