//! Logging. Secrets are types that cannot be printed; addresses, bodies and query strings are
//! never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// What actix says at its start is of no use to an operator, and what it says of unreadable requests
/// lets any client fill the log with errors. `HALLPASS_LOG` can ask for both.
const QUIET: &str = "actix_server=warn,actix_http=off";

/// Below `info` these print the path that is asked for at the list of breached passwords: five digits of
/// a digest.
const SILENT: &str = "ureq=info,ureq_proto=info";

/// Logs to standard error from now on.
pub fn init(config: &Config) {
    // The filter was checked with the other settings.
    let filter = EnvFilter::try_new(format!("{QUIET},{},{SILENT}", config.log)).unwrap_or_default();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        // Each line has the request it belongs to as `span.request_id`.
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).init(),
    }
    log_panics();
}

/// A panic is one line in the log, without the values it may have seen.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}
