//! Address, log and shutdown.

use std::net::SocketAddr;
use std::time::Duration;

use super::mode::Mode;
use crate::config::source::Source;
use crate::config::types::{LogFormat, MINUTE, SECOND};

/// Reads the address to listen on.
pub fn read_bind(s: &mut Source) -> SocketAddr {
    s.parsed("HALLPASS_BIND", SocketAddr::from(([127, 0, 0, 1], 8000)), |text| {
        text.parse().map_err(|_| "must be an IP address and a port: 127.0.0.1:8000".to_owned())
    })
}

/// Reads the time for load balancers to notice the end: none in development.
pub fn read_shutdown_delay(s: &mut Source, mode: Mode) -> Duration {
    let default = if mode == Mode::Production { 5 * SECOND } else { Duration::ZERO };
    s.duration("HALLPASS_SHUTDOWN_DELAY", default, Duration::ZERO, 5 * MINUTE)
}

/// Reads the time that requests in progress have at the end.
pub fn read_shutdown_timeout(s: &mut Source) -> Duration {
    s.duration("HALLPASS_SHUTDOWN_TIMEOUT", 10 * SECOND, Duration::ZERO, 5 * MINUTE)
}

/// The levels of `HALLPASS_LOG`.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Levels of other programs.
const OTHER_LEVELS: [(&str, &str); 11] = [
    ("warning", "warn"),
    ("err", "error"),
    ("critical", "error"),
    ("fatal", "error"),
    ("notice", "info"),
    ("information", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
    ("none", "off"),
    ("quiet", "off"),
    ("disabled", "off"),
];

/// Reads the filter of the log. `tracing` takes an unknown word for the name of a module, and would
/// log that module and nothing else: here each part needs a level.
pub fn read_log(s: &mut Source) -> String {
    s.parsed("HALLPASS_LOG", "info".to_owned(), |text| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parts = parts.map(|part| check_log_part(part).map(|()| part));
        let filter = parts.collect::<Result<Vec<&str>, String>>()?.join(",");
        match tracing_subscriber::EnvFilter::try_new(&filter) {
            Ok(_) if !filter.is_empty() && !is_about_hallpass(&filter) => {
                Err("logs nothing of Hallpass: add a level (info), as in info,sqlx=warn".to_owned())
            }
            Ok(_) if !filter.is_empty() => Ok(filter),
            _ => Err("must be a level (info) or a filter (info,hallpass::http=debug)".to_owned()),
        }
    })
}

/// Reads the format of the log.
pub fn read_log_format(s: &mut Source) -> LogFormat {
    let formats = [("text", LogFormat::Text), ("json", LogFormat::Json)];
    s.choice("HALLPASS_LOG_FORMAT", LogFormat::Text, &formats)
}

/// Returns whether a part of the filter applies to Hallpass: it has no target, or one of Hallpass.
fn is_about_hallpass(filter: &str) -> bool {
    filter.split(',').any(|part| {
        let target = part.rsplit_once('=').map_or("", |(target, _)| target);
        let is_global = !part.contains('=');
        let of_hallpass = target.strip_prefix("hallpass");
        is_global || of_hallpass.is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '[']))
    })
}

fn check_log_part(part: &str) -> Result<(), String> {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    let lower = level.to_ascii_lowercase();
    let is_one_part = part.contains('[') || !part.contains(char::is_whitespace);
    if is_one_part && LOG_LEVELS.contains(&lower.as_str()) {
        return Ok(());
    }
    let meant = OTHER_LEVELS.iter().find(|(other, _)| *other == lower).map(|(_, level)| *level);
    Err(match meant {
        Some(meant) => format!("has the unknown level `{level}`: did you mean {meant}?"),
        None => format!(
            "has `{part}`, which has no known level ({}): must be a level (info) or a filter \
             (info,hallpass::http=debug)",
            LOG_LEVELS.join(", ")
        ),
    })
}
