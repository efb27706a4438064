//! Folders for the databases of tests, in memory where there is room: none must survive a power
//! failure, and the disk is what most tests would wait for.

#![allow(dead_code, reason = "a benchmark uses a part of this file")]

use std::path::Path;
use std::sync::LazyLock;

use tempfile::TempDir;

/// Space that must be free: twice what all tests need at the same time.
#[cfg(target_os = "linux")]
const ENOUGH: u64 = 4 << 30;

/// Makes a folder, deleted when dropped, in `TMPDIR` if that is set.
pub fn folder() -> TempDir {
    named("hallpass-test-")
}

/// Makes such a folder whose name begins with `prefix`.
pub fn named(prefix: &str) -> TempDir {
    static PLACE: LazyLock<Option<&Path>> = LazyLock::new(in_memory);
    let mut builder = tempfile::Builder::new();
    let folder = builder.prefix(prefix);
    let made = PLACE.map_or_else(|| folder.tempdir(), |place| folder.tempdir_in(place));
    made.unwrap_or_else(|fault| panic!("no folder for temporary files: {fault}"))
}

#[cfg(target_os = "linux")]
fn in_memory() -> Option<&'static Path> {
    let place = Path::new("/dev/shm");
    let space = rustix::fs::statvfs(place).ok()?;
    let is_chosen = std::env::var_os("TMPDIR").is_none()
        && space.f_bavail * space.f_frsize > ENOUGH
        && rustix::fs::access(place, rustix::fs::Access::WRITE_OK).is_ok();
    is_chosen.then_some(place)
}

#[cfg(not(target_os = "linux"))]
fn in_memory() -> Option<&'static Path> {
    None
}
