//! What runs beside the requests.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::flows::{Error, Flows};

const SYNC: Duration = Duration::from_secs(1);
/// Purging is due once in so many syncs.
const SYNCS_PER_PURGE: u32 = 60;

/// SIGTERM and SIGINT, heard from the moment this exists.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Begins to listen.
    pub fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    /// Waits for one of them and stops the server, once the requests in progress are answered.
    pub async fn stop(mut self, server: ServerHandle) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("stopping");
        server.stop(true).await;
    }
}

/// Done when the other half of the channel is dropped.
pub async fn stop_of(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// Learns every second what other instances ended, and forgets every minute what is over.
pub async fn upkeep(flows: Arc<Flows>, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    for round in 0_u32.. {
        let flows = Arc::clone(&flows);
        let purge = round % SYNCS_PER_PURGE == 0;
        let done = tokio::task::spawn_blocking(move || {
            flows.sync_revocations()?;
            if purge { flows.purge() } else { Ok::<_, Error>(()) }
        });
        match done.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "upkeep failed; it is tried again"),
            Err(error) => tracing::error!(%error, "upkeep panicked; it is tried again"),
        }
        tokio::select! {
            () = &mut stop => return,
            () = tokio::time::sleep(SYNC) => {}
        }
    }
}
