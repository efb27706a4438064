//! Waiting for what happens beside a test, but not for ever.

use std::thread;
use std::time::{Duration, Instant};

/// More than anything takes on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Waits until it is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONGEST_WAIT, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
