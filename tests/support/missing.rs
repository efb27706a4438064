//! Programs that a test needs and this machine does not have.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Returns `found`. If it is `None`, the test should end early: the reason is printed once, the
/// test is named in the summary (`tests/skipped.rs`), and with `CI=true` the test fails.
pub fn needs<T>(what: &str, found: Option<T>) -> Option<T> {
    if found.is_none() {
        let insisted = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!insisted, "CI=true, but this machine has no {what}");
        skip(what);
    }
    found
}

fn skip(what: &str) {
    static TOLD: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if TOLD.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned()) {
        // Not eprintln!, which is kept for tests that fail.
        let _ = writeln!(std::io::stderr(), "SKIPPED from here on: what needs this: {what}");
    }
    let thread = std::thread::current();
    let line = format!("{what}\t{}\n", thread.name().unwrap_or("a test"));
    let file = OpenOptions::new().create(true).append(true).open(list());
    // One write for each line: several processes and threads append.
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|fault| panic!("{}: {fault}", list().display()));
}

/// The file in which the test binaries of one run of cargo note what they skip.
pub fn list() -> PathBuf {
    let run = std::os::unix::process::parent_id();
    std::env::temp_dir().join(format!("hallpass-skipped-{run}"))
}
