//! Logging. Secrets are types that cannot be printed; addresses, bodies and query strings are
//! never logged.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Config, LogFormat};

/// Logs to standard error from now on.
pub fn init(config: &Config) {
    // The filter was checked with the other settings. What actix says at its start is of no use
    // to an operator, unless asked for.
    let filter =
        EnvFilter::try_new(format!("actix_server=warn,{}", config.log)).unwrap_or_default();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
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
