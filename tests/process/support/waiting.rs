//! Waiting with a time-out for effects of other processes and threads.

use std::thread;
use std::time::{Duration, Instant};

/// Longest wait on a busy machine.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Waits until the predicate is true.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONGEST_WAIT, "timed out waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
