//! Brings the tables up to date. Every instance may try at the same time: one at a time does it.

use diesel::connection::SimpleConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use super::connection::{Manager, ReadOnly};
use super::{Conn, DatabaseUrl, Error, Result};

const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Any number will do, as long as every version uses the same.
const LOCK: i64 = 0x4841_4c4c_5041_5353;

/// Runs what is pending and returns the names of it.
pub fn run(url: &DatabaseUrl) -> Result<Vec<String>> {
    let mut conn = Manager::new(url.clone(), ReadOnly(false)).open()?;
    let fault = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::Internal(format!("migration failed: {error}"))
    };
    let names = match &mut conn {
        Conn::Sqlite(sqlite) => {
            // Two processes may start on an empty file: the one that comes second fails, and
            // finds nothing left to do.
            let applied = sqlite
                .run_pending_migrations(SQLITE)
                .map(|names| names.iter().map(ToString::to_string).collect());
            match applied {
                Err(error) if sqlite.has_pending_migration(SQLITE).map_err(fault)? => {
                    return Err(fault(error));
                }
                applied => applied.unwrap_or_default(),
            }
        }
        Conn::Postgres(postgres) => {
            // The lock is the session's: it ends with this connection, whatever happens.
            postgres.batch_execute(&format!("SELECT pg_advisory_lock({LOCK})"))?;
            postgres
                .run_pending_migrations(POSTGRES)
                .map_err(fault)?
                .iter()
                .map(ToString::to_string)
                .collect()
        }
    };
    Ok(names)
}
