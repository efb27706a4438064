//! Brings the tables up to date. Every instance may try at the same time: one at a time does it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::backend::Backend;
use diesel::connection::{Connection as _, SimpleConnection};
use diesel::migration::Migration;
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{Manager, ReadOnly};
use super::{Conn, DatabaseUrl, Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Any number will do, as long as every version uses the same.
const LOCK: i64 = 0x4841_4c4c_5041_5353;

/// How long a migration waits for a table. Shorter than `deadlock_timeout`, a second.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// How long a migration is tried again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs what is pending and returns the names of it.
pub fn run(url: &DatabaseUrl) -> Result<Vec<String>> {
    let _one_at_a_time = match url {
        DatabaseUrl::Sqlite(path) => Some(lock_folder(path)?),
        DatabaseUrl::Postgres(_) => None,
    };
    let mut conn = Manager::new(url.clone(), ReadOnly(false)).open()?;
    let done = match &mut conn {
        Conn::Sqlite(sqlite) => names(sqlite.pending_migrations(SQLITE))
            .and_then(|all| sqlite.run_pending_migrations(SQLITE).map(|_| all)),
        Conn::Postgres(postgres) => {
            // The lock is the session's: it ends with this connection, whatever happens.
            postgres.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
            run_beside_others(postgres)
        }
    };
    done.map_err(|error| Error::Internal(format!("migration failed: {error}")))
}

/// Instances of the version before go on meanwhile. A change of several tables and a request can each hold
/// what the other waits for; then Postgres refuses one of them after a second, and that must not be the
/// request. So the change gives up sooner, and is tried again.
fn run_beside_others(postgres: &mut PgConnection) -> diesel::migration::Result<Vec<String>> {
    let all = names(postgres.pending_migrations(POSTGRES))?;
    postgres.batch_execute(&format!("SET lock_timeout = {}", LOCK_TIMEOUT.as_millis()))?;
    let began = Instant::now();
    loop {
        match postgres.run_pending_migrations(POSTGRES).map(drop) {
            Ok(()) => return Ok(all),
            Err(error) if began.elapsed() > PATIENCE => return Err(error),
            Err(error) => {
                tracing::info!(%error, "the tables may be in use; the migration is tried again");
                thread::sleep(LOCK_TIMEOUT);
            }
        }
    }
}

/// The names of what is pending. Nothing is made but the table that counts them, and no file.
pub fn pending(url: &DatabaseUrl) -> Result<Vec<String>> {
    if !url.is_there() {
        return Err(Error::Unavailable("the file does not exist yet".to_owned()));
    }
    let mut conn = Manager::new(url.clone(), ReadOnly(false)).open()?;
    let pending = match &mut conn {
        Conn::Sqlite(sqlite) => names(sqlite.pending_migrations(SQLITE)),
        Conn::Postgres(postgres) => names(postgres.pending_migrations(POSTGRES)),
    };
    pending.map_err(|error| Error::Internal(format!("migrations: {error}")))
}

fn names<DB: Backend>(
    pending: diesel::migration::Result<Vec<Box<dyn Migration<DB>>>>,
) -> diesel::migration::Result<Vec<String>> {
    Ok(pending?.iter().map(|migration| migration.name().to_string()).collect())
}

/// A database in memory that has the newest tables.
pub(super) fn scratch() -> Result<Conn> {
    let mut sqlite = SqliteConnection::establish(":memory:")?;
    let done = sqlite.run_pending_migrations(SQLITE);
    done.map_err(|error| Error::Internal(format!("migration failed: {error}")))?;
    Ok(Conn::Sqlite(sqlite))
}

/// SQLite's own locks do not help on a new file: two connections that turn it to WAL at the same
/// moment refuse each other at once. The lock ends with the returned handle.
fn lock_folder(database: &Path) -> Result<File> {
    let folder = match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let fault = |error: io::Error| Error::Unavailable(format!("{}: {error}", folder.display()));
    let handle = File::open(folder).map_err(fault)?;
    handle.lock().map_err(fault)?;
    Ok(handle)
}
