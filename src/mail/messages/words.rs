//! Values in the form in which people write them.

use std::time::Duration;

use crate::domain::{Language, UtcTime};
use crate::mail::mime;

/// Returns a span of time in words, rounded down: a link must not be announced as valid for longer
/// than it is.
pub(super) fn span(language: Language, span: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let [day, hour, minute, second] = match language {
        Language::English => ["day", "hour", "minute", "second"],
        Language::Korean => ["일", "시간", "분", "초"],
    };
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        // "24 hours" rather than "1 day", which could end at midnight.
        _ if seconds >= 2 * DAY => (seconds / DAY, day),
        _ if seconds >= 2 * HOUR || seconds == HOUR => (seconds / HOUR, hour),
        _ if seconds >= MINUTE => (seconds / MINUTE, minute),
        _ => (seconds, second),
    };
    match language {
        Language::English if count == 1 => format!("1 {unit}"),
        Language::English => format!("{count} {unit}s"),
        Language::Korean => format!("{count}{unit}"),
    }
}

/// Returns a time to the minute: `2026-01-01 12:30 UTC`.
pub(super) fn minute(at: UtcTime) -> String {
    let text = humantime::format_rfc3339_seconds(mime::system_time(at)).to_string();
    let to_the_minute = text.get(..16).unwrap_or(&text);
    format!("{} UTC", to_the_minute.replace('T', " "))
}

/// Returns text of an unknown client as one line in which mail programs find no link, which they do
/// in `evil.example` too. Dots in numbers stay.
pub(super) fn no_link(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let before_a_number = rest.peek().is_some_and(char::is_ascii_digit);
        let makes_links = matches!(c, ':' | '@') || (c == '.' && !before_a_number);
        words.push(if makes_links { ' ' } else { c });
    }
    mime::one_line(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_written_as_people_say_them() {
        for (seconds, english, korean) in [
            (0, "0 seconds", "0초"),
            (45, "45 seconds", "45초"),
            (60, "1 minute", "1분"),
            (119, "1 minute", "1분"),
            (30 * 60, "30 minutes", "30분"),
            (60 * 60, "1 hour", "1시간"),
            (90 * 60, "90 minutes", "90분"),
            (24 * 60 * 60, "24 hours", "24시간"),
            (25 * 60 * 60 + 59, "25 hours", "25시간"),
            (36 * 60 * 60, "36 hours", "36시간"),
            (48 * 60 * 60, "2 days", "2일"),
            (7 * 24 * 60 * 60, "7 days", "7일"),
        ] {
            let lifetime = Duration::from_secs(seconds);
            assert_eq!(span(Language::English, lifetime), english);
            assert_eq!(span(Language::Korean, lifetime), korean);
        }
    }

    #[test]
    fn what_a_stranger_said_is_one_line_without_links() {
        for (said, shown) in [
            ("", ""),
            ("Firefox on Linux", "Firefox on Linux"),
            ("MyApp 1.2.30", "MyApp 1.2.30"),
            ("https://evil.example/login", "https //evil example/login"),
            ("www.evil.example", "www evil example"),
            ("mailto:mallory@evil.example", "mailto mallory evil example"),
            ("a\r\n\nhttps://evil.example", "a https //evil example"),
        ] {
            assert_eq!(no_link(said), shown);
        }
    }
}
