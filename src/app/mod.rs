//! Wiring of the service: settings in, a running service out. The binary and the tests start this
//! same object.

mod background;
mod build_flows;
mod build_worker;
mod development;
mod drf;
mod secret_file;
mod start_error;
mod start_server;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use tokio::sync::watch;

use self::background::{Shutdown, StopSignals, supervised};
use self::build_flows::without_keys;
pub use self::build_flows::{build_flows, has_secret, open_database, prepare_folder};
use self::build_worker::build_worker;
pub use self::build_worker::transport_of;
pub use self::start_error::StartError;
use self::start_server::start_server;
use crate::clock::Clock;
use crate::config::{Config, Timing};
use crate::flows::Flows;
use crate::http::serving::drain::Draining;
use crate::jobs::Worker;
use crate::mail::handler::MailHandler;
use crate::mail::transport::Transport;

/// Time after the shutdown timeout for storing the conclusions of cancelled mails.
const LAST_STORES: Duration = Duration::from_secs(2);

/// A service that is ready to run.
pub struct App {
    server: Server,
    worker: Worker<MailHandler>,
    flows: Arc<Flows>,
    address: SocketAddr,
    stop_signals: StopSignals,
    shutdown: Shutdown,
    shutdown_timeout: Duration,
    timing: Timing,
}

impl App {
    /// Builds the service. `transport` replaces the one of the settings, for tests.
    pub fn build(
        config: &Config,
        clock: Arc<dyn Clock>,
        transport: Option<Transport>,
    ) -> Result<Self, StartError> {
        let flows = Arc::new(build_flows(config, Arc::clone(&clock))?);
        flows.make_first_key().map_err(|error| without_keys(config, error))?;
        flows.seal_keys_anew().map_err(StartError::Seal)?;
        // Before the first request: a token that was revoked before a restart stays revoked.
        flows.first_sync().map_err(StartError::Revocations)?;
        let development = development::of(config);
        let mut worker = build_worker(config, clock, transport, Arc::clone(&flows))?;
        worker.handler.observer = development.as_ref().map(development::observer);
        let listener =
            TcpListener::bind(config.bind).map_err(|error| StartError::Bind(config.bind, error))?;
        let address =
            listener.local_addr().map_err(|error| StartError::Bind(config.bind, error))?;
        let shutdown = Shutdown {
            draining: Draining::default(),
            listener: listener.try_clone().map_err(|error| StartError::Bind(config.bind, error))?,
            delay: config.shutdown_delay,
        };
        let server = start_server(config, listener, &flows, &shutdown.draining, development)
            .map_err(|error| StartError::Bind(config.bind, error))?;
        // From here on no signal is lost, so nothing may be announced before.
        let stop_signals = StopSignals::listen().map_err(StartError::Threads)?;
        Ok(Self {
            server,
            worker,
            flows,
            address,
            stop_signals,
            shutdown,
            shutdown_timeout: config.shutdown_timeout,
            timing: config.timing,
        })
    }

    /// The address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the service, as SIGTERM does.
    pub fn handle(&self) -> actix_web::dev::ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM, SIGHUP, SIGINT or [`Self::handle`] stops it. Then finishes the work in
    /// progress: requests first, then mail, each within the shutdown time-out.
    pub async fn run(self) -> io::Result<()> {
        let (stop, stopped) = watch::channel(());
        let worker = self.worker;
        let mut tasks = background::start_periodic_work(&self.flows, self.timing, &stopped);
        tasks.push(tokio::spawn(supervised("mail", move || {
            worker.clone().run(background::stop_of(stopped.clone()))
        })));
        let signals = tokio::spawn(self.stop_signals.stop(self.server.handle(), self.shutdown));
        let outcome = self.server.await;
        signals.abort();
        drop(stop);
        self.flows.stop_purges();
        let finished = tokio::time::timeout(self.shutdown_timeout + LAST_STORES, async {
            for task in tasks {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a background task failed");
                }
            }
        });
        if finished.await.is_err() {
            // No mail is lost: its lease expires, and another instance or the next start sends it.
            tracing::warn!("a background task took too long to wait for");
        }
        self.flows.forget_deleted();
        outcome
    }
}
