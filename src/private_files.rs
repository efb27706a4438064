//! Files and folders for their owner only.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use uuid::Uuid;

/// Size of a trial file, about that of a mail.
const TRIAL_BYTES: usize = 16 * 1024;

/// Creates a folder and its parents, if they are missing.
pub fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Writes a file through to the disk. An earlier one is replaced.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Writes a file into `folder` and removes it. Permission bits do not show whether a file system is
/// read-only, full, or takes no files.
pub fn try_folder(folder: &Path) -> io::Result<()> {
    let trial = folder.join(format!(".hallpass-doctor-{}.tmp", Uuid::new_v4().simple()));
    let written = write_file(&trial, &[b'.'; TRIAL_BYTES]);
    let removed = fs::remove_file(&trial);
    written.and(removed)
}
