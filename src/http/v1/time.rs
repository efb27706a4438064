//! Moments as answers write them.

use crate::domain::UtcTime;

/// RFC 3339, in UTC, with microseconds.
pub fn rfc3339(time: UtcTime) -> String {
    let since_epoch = time.remaining(UtcTime::from_micros(0));
    humantime::format_rfc3339_micros(std::time::UNIX_EPOCH + since_epoch).to_string()
}
