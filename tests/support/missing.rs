//! What a test needs and this machine does not have.

use std::io::Write as _;

/// Passes on what was found. Where that is nothing it says so, and with `CI=true` the test has failed.
pub fn needs<T>(what: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let insisted = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!insisted, "CI=true, but this machine has no {what}");
        let thread = std::thread::current();
        let test = thread.name().unwrap_or("a test");
        // Not eprintln!, which is kept for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: this machine has no {what}");
    }
    found
}
