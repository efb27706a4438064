//! What runs beside the requests.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::flows::{self, Flows};
use crate::http::serving::drain::{self, Draining, SETTLE_TIME};

/// How often what is over is forgotten.
pub const PURGE_PERIOD: Duration = Duration::from_mins(1);
/// The pause between two looks at the clock of the database.
pub const CLOCK_PERIOD: Duration = Duration::from_secs(30);
/// The pause between two trial writes while writes are impossible.
pub const PROBE_PERIOD: Duration = Duration::from_secs(5);
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// SIGTERM, SIGHUP and SIGINT, heard from the moment this exists.
pub struct StopSignals {
    terminate: Signal,
    hang_up: Signal,
    interrupt: Signal,
}

/// What is done between a signal and the end.
pub struct Shutdown {
    /// Told that the service is about to stop.
    pub draining: Draining,
    /// The socket that new connections come to.
    pub listener: TcpListener,
    /// The time for which requests are served meanwhile.
    pub delay: Duration,
}

impl StopSignals {
    /// Begins to listen.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them, goes on for the delay, and stops the server once the requests in progress
    /// are answered. SIGINT during the delay ends it: an operator at a terminal does not want to wait.
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

/// Done when the other half of the channel is dropped.
pub async fn stop_of(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Starts a task again that panicked: a service without its mail must not look healthy.
pub async fn supervised<F>(name: &'static str, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    while let Err(error) = tokio::spawn(task()).await {
        tracing::error!(name, %error, "a background task failed; it is started again");
        tokio::time::sleep(PAUSE_AFTER_PANIC).await;
    }
}

/// Does `work` at once and then every `period`, on a thread that may wait.
pub async fn repeat(
    flows: Arc<Flows>,
    period: Duration,
    work: fn(&Flows) -> flows::Result<()>,
    stop: impl Future<Output = ()>,
) {
    tokio::pin!(stop);
    loop {
        let flows = Arc::clone(&flows);
        match tokio::task::spawn_blocking(move || work(&flows)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "maintenance failed; it is tried again"),
            Err(error) => tracing::error!(%error, "maintenance panicked; it is tried again"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(period) => {}
        }
    }
}
