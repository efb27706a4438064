//! Logging. Secrets are types that cannot be printed; addresses, bodies and query strings are
//! never logged.

pub mod counters;
mod process;
mod sampling;

use std::io::{self, IsTerminal as _, Write};
use std::sync::LazyLock;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt};

pub use self::process::{ProcessUse, process_use};
pub use self::sampling::REFUSALS;
use self::sampling::{LeftOut, Sampling};
use crate::config::{Config, LogFormat};

/// Targets that are off by default: start messages of actix are of no use to an operator, and its
/// messages on unreadable requests would let any client fill the log with errors. `HALLPASS_LOG`
/// can switch both on.
const QUIET: &str = "actix_server=warn,actix_http=off";

/// Below `info` these print the path that is asked for at the list of breached passwords: five
/// digits of a digest.
const SILENT: &str = "ureq=info,ureq_proto=info";

/// Most lines that wait for the log to take them; about 2 MB. Further ones are dropped: a slow log
/// never makes a request wait.
const WAITING_LINES: usize = 8_192;

/// Interval of the reports of missing lines.
const REPORT_EVERY: Duration = Duration::from_secs(60);

static SAMPLING: LazyLock<Sampling> = LazyLock::new(Sampling::default);
static UNWRITTEN: AtomicU64 = AtomicU64::new(0);
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
static OVERFLOWN: OnceLock<ErrorCounter> = OnceLock::new();

/// Destination of the log. A line that it refuses is counted and dropped.
struct Log<W> {
    out: W,
    /// True if the last line was written in part.
    is_torn: bool,
}

impl<W: Write> Log<W> {
    /// Writes as much of a line as is taken. The rest of a torn line is not joined with it.
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.out.write_all(b"\n")?;
            self.is_torn = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.out.write(rest) {
                Ok(written) if written > 0 => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                refused => {
                    self.is_torn = rest.len() < line.len();
                    return Err(refused.err().unwrap_or(io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Log<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.write_line(line).is_err() {
            UNWRITTEN.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the number of lines that could not be logged: the output was full, closed or too slow.
pub fn dropped_lines() -> u64 {
    let overflown = OVERFLOWN.get().map_or(0, ErrorCounter::dropped_lines);
    u64::try_from(overflown).unwrap_or(u64::MAX).saturating_add(UNWRITTEN.load(Ordering::Relaxed))
}

/// Returns the number of repeated lines that were left out of the log.
pub fn left_out_lines() -> u64 {
    LEFT_OUT.load(Ordering::Relaxed)
}

/// Logs to standard error from now on. What waits is written when the guard is dropped.
pub fn init(config: &Config) -> WorkerGuard {
    let filter = filter_of(&format!("{QUIET},{},{SILENT}", config.log));
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .thread_name("log")
        .finish(Log { out: io::stderr(), is_torn: false });
    OVERFLOWN.get_or_init(|| writer.error_counter());
    let lines = fmt::layer()
        .with_writer(writer)
        .with_ansi(io::stderr().is_terminal())
        // tracing would report it on standard error, and panic if that failed.
        .log_internal_errors(false);
    let lines = match config.log_format {
        LogFormat::Text => lines.with_target(false).boxed(),
        // Each line has the request it belongs to as `span.request_id`.
        LogFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    let sampling: &'static Sampling = &SAMPLING;
    tracing_subscriber::registry().with(filter).with(lines).with(sampling).init();
    log_panics();
    guard
}

/// Returns the filter of these directives, which were checked with the other settings. Only one
/// that names spans follows the span of each request, behind locks that all threads share.
fn filter_of(directives: &str) -> Box<dyn Layer<Registry> + Send + Sync> {
    match directives.parse::<Targets>() {
        Ok(targets) if !directives.contains('[') => targets.boxed(),
        _ => EnvFilter::try_new(directives).unwrap_or_default().boxed(),
    }
}

/// Starts to report the lines that are missing in the log.
pub fn report_missing_lines() -> io::Result<()> {
    let report = || {
        let mut dropped = 0;
        loop {
            thread::sleep(REPORT_EVERY);
            for LeftOut { place, lines } in SAMPLING.take_left_out(Instant::now()) {
                LEFT_OUT.fetch_add(lines, Ordering::Relaxed);
                tracing::info!(place, lines, "repeated lines were left out of the log");
            }
            let now = dropped_lines();
            if now > dropped {
                tracing::warn!(lines = now - dropped, "lines could not be logged");
                dropped = now;
            }
        }
    };
    thread::Builder::new().name("log-report".into()).spawn(report).map(drop)
}

/// The line on standard error of a command that failed: in the format of the log, which is read by
/// programs.
pub fn failure_line(format: LogFormat, fault: &str) -> String {
    match format {
        LogFormat::Text => format!("hallpass: {fault}\n"),
        LogFormat::Json => {
            #[expect(clippy::disallowed_methods, reason = "a log tells the time of the machine")]
            let now = humantime::format_rfc3339_micros(SystemTime::now()).to_string();
            let line = serde_json::json!({
                "timestamp": now, "level": "ERROR", "message": fault, "target": "hallpass"
            });
            format!("{line}\n")
        }
    }
}

/// A panic is one line in the log, without the values it may have seen.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic");
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer with room for that many bytes until it is emptied.
    struct Disk {
        room: usize,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_after_a_torn_one_begins_on_a_line_of_its_own() {
        for (room, expected) in
            [(4, "one\nfour\n"), (6, "one\ntw\nfour\n"), (8, "one\ntwo\nfour\n")]
        {
            let mut log = Log { out: Disk { room, written: Vec::new() }, is_torn: false };
            for line in ["one\n", "two\n", "three\n"] {
                assert_eq!(log.write(line.as_bytes()).unwrap(), line.len());
            }
            log.out.room = 100;
            log.write_all(b"four\n").unwrap();
            assert_eq!(String::from_utf8(log.out.written).unwrap(), expected, "{room}");
        }
    }
}
