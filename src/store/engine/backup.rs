//! Backup of the SQLite file while other connections read and write it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use diesel::RunQueryDsl as _;
use diesel::sql_types::Text;

use crate::store::engine::connection::open_to_look;
use crate::store::{Conn, DatabaseUrl, Error};

/// Reasons why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file exists. Nothing is overwritten.
    #[error("{0} exists")]
    Exists(PathBuf),
    /// The file cannot be written.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The database cannot be read, or the copy is not complete.
    #[error(transparent)]
    Database(#[from] Error),
}

/// Writes a snapshot of the database at `path` to the new file `to`. It blocks no other connection.
/// The file is complete and on disk, or it does not exist.
pub fn backup(path: &Path, to: &Path) -> Result<(), BackupError> {
    let fault = |error| BackupError::File(to.to_owned(), error);
    let mut conn = open_to_look(&DatabaseUrl::Sqlite(path.to_owned()))?;
    refuse_existing(to)?;
    let draft = Draft::beside(to).map_err(fault)?;
    write_all(&mut conn, &draft.0)?;
    File::open(&draft.0).and_then(|file| file.sync_all()).map_err(fault)?;
    refuse_existing(to)?;
    fs::rename(&draft.0, to).map_err(fault)?;
    let folder = draft.0.parent().unwrap_or(Path::new("/"));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(fault)
}

/// An unfinished file. Dropping this removes it.
struct Draft(PathBuf);

impl Draft {
    fn beside(file: &Path) -> io::Result<Self> {
        let mut name = std::path::absolute(file)?.into_os_string();
        name.push(format!(".{}.partial", uuid::Uuid::new_v4().simple()));
        Ok(Self(name.into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After a success the file has been renamed.
        drop(fs::remove_file(&self.0));
    }
}

fn refuse_existing(file: &Path) -> Result<(), BackupError> {
    match fs::symlink_metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(BackupError::File(file.to_owned(), error)),
        Ok(_) => Err(BackupError::Exists(file.to_owned())),
    }
}

/// Writes the copy. `VACUUM INTO` reads in one transaction, and leaves out free pages.
fn write_all(conn: &mut Conn, draft: &Path) -> Result<(), Error> {
    let draft = draft.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
    diesel::sql_query("VACUUM INTO ?").bind::<Text, _>(draft).execute(conn)?;
    Ok(())
}
