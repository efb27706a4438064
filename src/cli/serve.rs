//! `hallpass serve`

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{Outcome, log_warnings};
use crate::app::App;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::domain::LimitReports;
use crate::http::dev;
use crate::telemetry;

/// Time for threads that still wait for a database which does not answer.
const LAST_THREADS: Duration = Duration::from_secs(1);

pub(super) fn run(config: &Config) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    // Before the first line of the log.
    survive_file_size_limit(&runtime).map_err(|error| error.to_string())?;
    log_warnings(config);
    allow_many_connections();
    telemetry::report_missing_lines().map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        let app =
            App::build(config, Arc::new(SystemClock), None).map_err(|error| error.to_string())?;
        announce(config, &app);
        app.run().await.map_err(|error| error.to_string())?;
        tracing::info!("stopped");
        Ok(())
    });
    runtime.shutdown_timeout(LAST_THREADS);
    outcome
}

/// Turns the signal that ends a process at the limit of a file's size (`ulimit -f`, `LimitFSIZE`)
/// into an error of that write: a log that has grown to the limit must not stop the service.
fn survive_file_size_limit(runtime: &Runtime) -> io::Result<()> {
    let _context = runtime.enter();
    // The handler stays when the receiver is dropped.
    signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map(drop)
}

/// Raises the limit of open files. Service managers start processes with 1024 at most, for programs
/// that use `select`, and leave it to the others to raise it.
fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// Logs URLs, database and mail transport.
fn announce(config: &Config, app: &App) {
    let address = app.address();
    let mode = if config.development { "development" } else { "production" };
    if cfg!(feature = "docs-ui") {
        tracing::info!("API documentation: http://{address}/docs/");
    }
    tracing::info!("database: {}", config.database.redacted());
    if let Some(smtp) = &config.smtp {
        tracing::info!("mail: through {}", smtp.host());
    } else {
        tracing::info!("mail: as files in {}", config.mail_dir.display());
    }
    if config.is_local_development() {
        tracing::info!("mail: shown at http://{address}{}", dev::MAILS);
    }
    if config.browsers.loopback_origins {
        tracing::info!(
            "CORS: pages of http://localhost and http://127.0.0.1 may call, on any port, until \
             HALLPASS_CORS_ORIGINS is set"
        );
    }
    match config.limit_reports {
        LimitReports::Never => {}
        LimitReports::FromThisMachine => tracing::info!(
            "limits: reported in the header X-Production-Limit to requests from this machine, \
             enforced for all others; HALLPASS_LIMITS=on enforces them for all"
        ),
        LimitReports::Always => tracing::info!(
            "limits: reported in the header X-Production-Limit; HALLPASS_LIMITS=on enforces them"
        ),
    }
    // Logged after all others: a supervisor that waits for this line has them already.
    tracing::info!("Hallpass {} ({mode}) on http://{address}", env!("CARGO_PKG_VERSION"));
    if config.is_local_development() {
        tracing::info!("open http://{address}/ in a browser");
    }
}
