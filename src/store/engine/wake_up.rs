//! Wake-up of job workers: a transaction that enqueues a job signals after its commit.

use std::cell::Cell;

use tokio::sync::watch;

thread_local! {
    /// True if the transaction of this thread has enqueued a job: a transaction runs on one thread.
    static HAS_ENQUEUED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that the transaction of this thread has enqueued a job.
pub(crate) fn note_enqueued() {
    HAS_ENQUEUED.set(true);
}

/// The signal that there may be new jobs.
#[derive(Clone, Debug, Default)]
pub(crate) struct WakeUp(watch::Sender<()>);

impl WakeUp {
    /// Signals if the transaction of this thread has enqueued a job and was committed. The next
    /// transaction starts without a note. On SQLite the transaction is a whole batch: work in it
    /// that was rolled back signals too, which costs one query.
    pub(crate) fn end_transaction(&self, is_committed: bool) {
        if HAS_ENQUEUED.replace(false) && is_committed {
            self.0.send_replace(());
        }
    }

    /// Returns a receiver that sees each signal from now on.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}
