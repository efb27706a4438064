//! What the stories of `copy-database` share.

use std::path::{Path, PathBuf};

use crate::service::{Finished, Setup};

/// The file of a service without settings.
pub fn file(setup: &Setup) -> PathBuf {
    setup.folder().join("data/hallpass.db")
}

pub fn sqlite_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

pub fn copy(setup: &Setup, from: &str, to: &str) -> Finished {
    setup.run(&["copy-database", "--from", from, "--to", to])
}
