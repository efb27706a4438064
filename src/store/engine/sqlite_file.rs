//! Causes of faults of an SQLite file, which SQLite does not name.
//!
//! The file itself is never opened here: closing it would end the locks that SQLite's connections
//! of this process have on it.

use std::io;
use std::path::Path;

use rustix::fs::{Access, access};

use crate::private_files::try_folder;
use crate::store::{Error, Result};

const FOLDER: &str = "it is a folder: DATABASE_URL must name a file";

/// The cause of SQLite's `SQLITE_NOTADB`.
const NO_DATABASE: &str =
    "it is not a database of SQLite, or is encrypted: DATABASE_URL must name another file";

/// The cause of a journal mode that SQLite keeps.
pub(super) const NO_WAL: &str = "its file system cannot hold SQLite's write-ahead log, as some network file systems: keep it on \
     a local disk, or use Postgres";

/// Returns the folder of a file.
pub(super) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Checks that the file, if it exists, may be written: otherwise, SQLite opens it for reading.
pub(super) fn require_writable(file: &Path) -> Result<()> {
    if file.is_dir() {
        return Err(Error::Unsuitable(FOLDER.to_owned()));
    }
    match access(file, Access::READ_OK | Access::WRITE_OK).map_err(io::Error::from) {
        Ok(()) => Ok(()),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Err(Error::ReadOnly(error.to_string()))
            }
            _ => Err(Error::Unavailable(error.to_string())),
        },
    }
}

/// Adds the cause to an error of opening the file.
pub(super) fn explain(file: &Path, error: Error) -> Error {
    let Error::Unavailable(text) = error else { return error };
    if text.contains("not a database") {
        return Error::Unsuitable(NO_DATABASE.to_owned());
    }
    // SQLite makes its log beside the file.
    let folder = folder_of(file);
    Error::Unavailable(match try_folder(folder) {
        Ok(()) => text,
        Err(error) => format!("{text}: the folder {} takes no files: {error}", folder.display()),
    })
}
