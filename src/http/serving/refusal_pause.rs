//! Pause before refusals that ask a client to wait.

use std::time::Duration;

use tokio::sync::Semaphore;

/// Largest number of refusals that are held back. Further ones are sent at once: each occupies a
/// connection of a proxy.
const MAX_HELD_BACK: usize = 512;

/// Pause before the refusal of a request beyond a limit, or of one that finds the service
/// overloaded.
pub struct RefusalPause {
    time: Duration,
    held_back: Semaphore,
}

impl RefusalPause {
    /// Returns a pause of this time.
    pub fn new(time: Duration) -> Self {
        Self { time, held_back: Semaphore::new(MAX_HELD_BACK) }
    }

    /// Waits before a refusal is sent, unless that many wait already.
    pub async fn hold_back(&self) {
        if let Ok(_place) = self.held_back.try_acquire() {
            tokio::time::sleep(self.time).await;
        }
    }
}
