//! The message (RFC 5322) of a [`Mail`], the same for each transport.

use std::time::{Duration, SystemTime};

use lettre::{
    Address, Message,
    message::{
        Body, Mailbox, MultiPart, SinglePart,
        header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue},
    },
};

use super::envelope::{Mail, SendError, is_plain_address};
use crate::domain::UtcTime;

/// Last second of the year 9999.
const END_OF_CALENDAR: u64 = 253_402_300_799;

/// Builds headers and body.
///
/// # Errors
///
/// All are permanent: a retry fails too.
pub(super) fn compose(mail: &Mail) -> Result<Message, SendError> {
    let message_id = format!("<{}@{}>", safe_message_id(mail)?, mail.from.0.email.domain());
    let body = MultiPart::alternative()
        .singlepart(text_part(&mail.text))
        .singlepart(SinglePart::html(mail.html.clone()));
    Message::builder()
        .from(mail.from.0.clone())
        .to(Mailbox::new(None, recipient(mail)?))
        .subject(one_line(&mail.subject))
        .date(system_time(mail.date))
        .message_id(Some(message_id))
        // RFC 3834: vacation notices and other automatic responders do not reply.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(body)
        .map_err(|_| permanent("the mail cannot be put together from these headers"))
}

/// Returns the plain text part. ASCII text is not encoded, so that links stay whole in the source.
fn text_part(text: &str) -> SinglePart {
    // RFC 5322 2.1.1: a line has at most 998 octets.
    let fits = |line: &str| line.len() <= 998 && !line.contains(|c: char| c.is_control());
    let as_it_is = text.is_ascii() && text.lines().all(fits);
    let body = if as_it_is {
        let lines: Vec<&str> = text.lines().collect();
        Body::dangerous_pre_encoded(
            lines.join("\r\n").into_bytes(),
            ContentTransferEncoding::SevenBit,
        )
    } else {
        Body::new(text.to_owned())
    };
    SinglePart::builder().header(ContentType::TEXT_PLAIN).body(body)
}

/// Returns the address of the recipient. The caller has validated it; this check is the last one
/// before a header and a command.
fn recipient(mail: &Mail) -> Result<Address, SendError> {
    let address = mail.to.parse().ok().filter(|_| is_plain_address(&mail.to));
    address.ok_or_else(|| permanent("mail cannot be sent to the recipient's address"))
}

/// Returns the local part of the Message-ID, which is a file name too.
pub(super) fn safe_message_id(mail: &Mail) -> Result<&str, SendError> {
    let id = mail.message_id.as_str();
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if id.is_empty() || id.len() > 128 || !id.bytes().all(safe) {
        return Err(permanent("the message id must be 1 to 128 letters, digits, - or _"));
    }
    Ok(id)
}

pub(super) fn system_time(time: UtcTime) -> SystemTime {
    // Formatters panic outside the calendar of four-digit years.
    let micros = u64::try_from(time.micros()).unwrap_or(0).min(END_OF_CALENDAR * 1_000_000);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

pub(super) fn one_line(text: &str) -> String {
    text.split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn permanent(text: &str) -> SendError {
    SendError::permanent(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::FailureClass;

    fn mail() -> Mail {
        Mail {
            message_id: "0190-abc".to_owned(),
            from: "Hallpass <auth@example.com>".parse().unwrap(),
            to: "bob+tag@example.org".to_owned(),
            subject: "Verify your address".to_owned(),
            text: format!("Open\n\nhttps://example.com/verify?token={}\n", "x".repeat(120)),
            html: "<p>Open</p>".to_owned(),
            date: UtcTime::from_seconds(1_767_225_600),
        }
    }

    fn source(mail: &Mail) -> String {
        String::from_utf8(compose(mail).unwrap().formatted()).unwrap()
    }

    #[test]
    fn the_headers_are_the_ones_a_mail_must_have() {
        let source = source(&mail());
        for header in [
            "From: Hallpass <auth@example.com>\r\n",
            "To: bob+tag@example.org\r\n",
            "Subject: Verify your address\r\n",
            "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n",
            "Message-ID: <0190-abc@example.com>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "MIME-Version: 1.0\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(source.contains(header), "{header} in {source}");
        }
    }

    #[test]
    fn a_long_link_stays_whole_in_the_source() {
        let mail = mail();
        assert!(source(&mail).contains(&format!("?token={}\r\n", "x".repeat(120))));
    }

    #[test]
    fn no_line_of_a_mail_is_longer_than_the_standard_allows() {
        let long = "x".repeat(3_000);
        let source = source(&Mail { text: long.clone(), html: long, ..mail() });
        assert!(source.lines().all(|line| line.len() <= 998));
    }

    #[test]
    fn a_line_break_in_the_subject_adds_no_header() {
        for subject in ["Hi\r\nBcc: x@evil.example", "Hi\nBcc: x@evil.example", "안녕\r\nBcc: x"]
        {
            let source = source(&Mail { subject: subject.to_owned(), ..mail() });
            assert!(!source.contains("\nBcc:"), "{source}");
        }
    }

    #[test]
    fn an_address_that_could_break_out_is_refused() {
        for to in [
            "",
            "bob",
            "bob@example.org\r\nBcc: x@evil.example",
            "bob@example.org\n",
            "bob@example.org, x@evil.example",
            "<bob@example.org>",
            "\"bob x\"@example.org",
            "\"x@evil\"@example.org",
            "bob@example.org> SIZE=1",
            "bób@example.org",
            "bob@exa mple.org",
        ] {
            let fault = compose(&Mail { to: to.to_owned(), ..mail() });
            assert_eq!(fault.unwrap_err().class, FailureClass::Permanent, "{to}");
        }
    }

    #[test]
    fn a_message_id_cannot_leave_its_header_or_its_folder() {
        for id in ["", "a b", "a>b", "../x", "a\r\nb", "a/b", "a@b"] {
            let fault = compose(&Mail { message_id: id.to_owned(), ..mail() });
            assert_eq!(fault.unwrap_err().class, FailureClass::Permanent, "{id}");
        }
    }

    #[test]
    fn a_date_off_the_calendar_is_no_panic() {
        for micros in [i64::MIN, -1, i64::MAX] {
            compose(&Mail { date: UtcTime::from_micros(micros), ..mail() }).unwrap();
        }
    }
}
