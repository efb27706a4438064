//! Shared parts of the tests of `copy-database`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::service::{Finished, Setup};

/// The file of a service without settings.
pub fn file(setup: &Setup) -> PathBuf {
    setup.folder().join("data/hallpass.db")
}

pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

/// A debug build compares a hundred thousand rows for half a minute on a busy machine.
const COPY_LIMIT: Duration = Duration::from_mins(3);

pub fn copy(setup: &Setup, from: &str, to: &str) -> Finished {
    setup.run_within(&["copy-database", "--from", from, "--to", to], COPY_LIMIT)
}
