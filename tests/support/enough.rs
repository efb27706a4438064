//! When clients that repeat something beside a test are to end.

use std::sync::atomic::{AtomicBool, Ordering};

/// What clients look at before they go on.
#[derive(Default)]
pub struct Enough(AtomicBool);

/// Dropped, it tells the clients.
pub struct Beside<'a>(&'a Enough);

impl Enough {
    pub fn is_told(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// What clients run beside. A failed assertion ends it too: the scope of the threads, which waits for
    /// them, would otherwise wait for ever.
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
fn clients_are_told_also_where_the_story_fails() {
    let enough = Enough::default();
    let failed = std::panic::catch_unwind(|| {
        let _story = enough.beside();
        assert!(enough.is_told(), "not yet");
    });
    assert!(failed.is_err() && enough.is_told());
}
