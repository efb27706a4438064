//! Bound on outgoing calls at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Bound on the threads that wait for a server: while it does not respond, it holds no more than
/// these of the service.
#[derive(Debug)]
pub struct CallLimit {
    running: AtomicUsize,
    most: usize,
}

impl CallLimit {
    /// Returns a bound of `most` at once.
    pub const fn new(most: usize) -> Self {
        Self { running: AtomicUsize::new(0), most }
    }

    /// Takes a place until the guard is dropped; `None` if there is none.
    pub fn begin(&self) -> Option<CallGuard<'_>> {
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        let guard = CallGuard(&self.running);
        (before < self.most).then_some(guard)
    }
}

/// One of the places of a [`CallLimit`].
#[derive(Debug)]
pub struct CallGuard<'a>(&'a AtomicUsize);

impl Drop for CallGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
