//! The end of clients that repeat requests beside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Flag that clients check between requests.
#[derive(Default)]
pub struct Enough(AtomicBool);

/// Guard that stops the clients when it is dropped.
pub struct Beside<'a>(&'a Enough);

impl Enough {
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Starts the clients. A failed assertion stops them too: the scope of the threads would
    /// otherwise wait for them for ever.
    pub fn beside(&self) -> Beside<'_> {
        Beside(self)
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn clients_stop_also_when_the_test_fails() {
    let enough = Enough::default();
    let failed = std::panic::catch_unwind(|| {
        let _story = enough.beside();
        assert!(enough.is_told(), "not yet");
    });
    assert!(failed.is_err() && enough.is_told());
}
