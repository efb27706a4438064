//! Times in requests and responses.

use crate::domain::UtcTime;

/// Parses a time of RFC 3339 with any offset.
pub fn parse_rfc3339(text: &str) -> Option<UtcTime> {
    let (date_time, offset) = match text.len().checked_sub(6) {
        Some(at)
            if text.is_char_boundary(at)
                && text[at..].contains(':')
                && !text.ends_with(['Z', 'z']) =>
        {
            text.split_at(at)
        }
        _ => (text.strip_suffix(['Z', 'z'])?, "+00:00"),
    };
    let time = humantime::parse_rfc3339(&format!("{date_time}Z")).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    let micros = i64::try_from(since_epoch.as_micros()).ok()?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let number = |text: &str, below: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number: &i64| is_number && *number < below)
    };
    let ahead = (number(hours, 24)? * 60 + number(minutes, 60)?) * 60_000_000;
    match offset.as_bytes().first()? {
        b'+' => Some(UtcTime::from_micros(micros.checked_sub(ahead)?)),
        b'-' => Some(UtcTime::from_micros(micros.checked_add(ahead)?)),
        _ => None,
    }
}

/// Returns the time as RFC 3339, in UTC, with microseconds.
pub fn rfc3339(time: UtcTime) -> String {
    let since_epoch = time.remaining(UtcTime::from_micros(0));
    humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + since_epoch).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_offset() {
        for (text, seconds) in [
            ("2027-01-15T08:00:00Z", 1_800_000_000),
            ("2027-01-15T17:00:00+09:00", 1_800_000_000),
            ("2027-01-15T02:30:00-05:30", 1_800_000_000),
            ("2027-01-15T08:00:00.000000Z", 1_800_000_000),
        ] {
            let read = parse_rfc3339(text).map(UtcTime::seconds);
            assert_eq!(read, Some(seconds), "{text}");
        }
        for text in [
            "",
            "2027-01-15",
            "2027-01-15T08:00:00",
            "2027-02-30T08:00:00Z",
            "é:00",
            "1969-01-01T00:00:00Z",
            "2027-01-15T08:00:00+9:00",
            "2027-01-15T08:00:00+24:00",
            "2027-01-15T08:00:00 00:00",
        ] {
            assert_eq!(parse_rfc3339(text).map(UtcTime::seconds), None, "{text}");
        }
    }
}
