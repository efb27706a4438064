//! Background tasks beside the requests.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::Timing;
use crate::flows::{self, Flows};
use crate::http::serving::drain::{self, Draining, SETTLE_TIME};

/// Interval of the purge of expired rows.
const PURGE_PERIOD: Duration = Duration::from_mins(1);
/// Interval of the checks of the database's clock.
const CLOCK_PERIOD: Duration = Duration::from_secs(30);
/// Interval of trial writes while writes fail or may fail.
const PROBE_PERIOD: Duration = Duration::from_secs(5);
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// SIGTERM, SIGHUP and SIGINT, received from its creation on.
pub struct StopSignals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

/// Steps between the signal to stop and the end.
pub struct Shutdown {
    /// Flag that shows handlers that the service is stopping.
    pub draining: Draining,
    /// Socket of new connections.
    pub listener: TcpListener,
    /// Time for which new requests are still served.
    pub delay: Duration,
}

impl StopSignals {
    /// Starts to receive signals.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for a signal, continues for the delay, and stops the server once the requests in
    /// progress are done. SIGINT during the delay ends it: an operator at a terminal does not want
    /// to wait.
    pub async fn stop(mut self, server: ServerHandle, shutdown: Shutdown) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        let Shutdown { draining, listener, delay } = shutdown;
        draining.begin();
        if delay.is_zero() {
            tracing::info!("stopping");
        } else {
            tracing::info!(?delay, "stopping: requests are served until load balancers know");
            tokio::select! {
                () = tokio::time::sleep(delay) => {}
                _ = self.interrupt.recv() => {}
            }
            drain::ignore_new_connections(&listener);
            tokio::time::sleep(SETTLE_TIME).await;
        }
        // The socket closes with its last handle.
        drop(listener);
        server.stop(true).await;
    }
}

/// Completes when the other half of the channel is dropped.
pub async fn stop_of(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Restarts a task that panicked: a service that sends no mail must not look healthy.
pub async fn supervised<F>(name: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(task()).await {
        tracing::error!(name, %error, "a background task failed; it is started again");
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
    }
}

/// Periodic work of an instance, which may block.
struct Periodic {
    work: fn(&Flows) -> flows::Result<()>,
    /// Time before the first run.
    first_after: Duration,
    /// Time between two runs.
    period: Duration,
}

impl Periodic {
    /// Returns work that is done at once and then every `period`.
    fn at_once(period: Duration, work: fn(&Flows) -> flows::Result<()>) -> Self {
        Self { work, first_after: Duration::ZERO, period }
    }

    async fn run(self, flows: Arc<Flows>, stop: impl Future<Output = ()>) {
        let Self { work, first_after: mut pause, period } = self;
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return,
                () = tokio::time::sleep(pause) => pause = period,
            }
            let flows = Arc::clone(&flows);
            match tokio::task::spawn_blocking(move || work(&flows)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "maintenance failed; it is tried again"),
                Err(error) => tracing::error!(%error, "maintenance panicked; it is tried again"),
            }
        }
    }
}

/// Starts the periodic work, until the other half of the channel is dropped.
pub fn start_periodic_work(
    flows: &Arc<Flows>,
    timing: Timing,
    stopped: &watch::Receiver<()>,
) -> Vec<JoinHandle<()>> {
    // The start has just read everything: the first requests need not share the cores with that.
    let first_after = timing.sync_period;
    let sync = Periodic { first_after, ..Periodic::at_once(timing.sync_period, Flows::sync) };
    let purge = Periodic {
        first_after: timing.first_purge,
        ..Periodic::at_once(PURGE_PERIOD, Flows::purge)
    };
    let all = [
        sync,
        Periodic::at_once(timing.keys_period, Flows::rotate_keys_if_due),
        purge,
        Periodic::at_once(CLOCK_PERIOD, Flows::check_clock),
        Periodic::at_once(PROBE_PERIOD, Flows::probe_writes),
        Periodic::at_once(timing.sync_period, Flows::release_unreleased),
    ];
    all.map(|it| tokio::spawn(it.run(Arc::clone(flows), stop_of(stopped.clone())))).into()
}
