//! The migrations of this version.

use std::collections::{BTreeMap, BTreeSet};

use diesel::connection::Connection as _;
use diesel::migration::{Migration, MigrationSource as _};
use diesel::sqlite::{Sqlite, SqliteConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};

use crate::store::engine::objects::{self, Object};
use crate::store::{Conn, Error, Result};

/// The table in which Diesel records migrations.
pub(crate) const RECORD: &str = "__diesel_schema_migrations";

pub(crate) const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
pub(crate) const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// The level of the tables, increased with every release that changes them. A program works with
/// tables of its own level and of the next one. 0.1.0 had level 1 and did not record it.
pub(crate) const LEVEL: i32 = 2;

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("migration failed: {error}"))
}

fn in_memory() -> Result<SqliteConnection> {
    Ok(SqliteConnection::establish(":memory:")?)
}

/// Opens a database in memory with the newest tables.
pub(crate) fn scratch() -> Result<Conn> {
    let mut sqlite = in_memory()?;
    sqlite.run_pending_migrations(SQLITE).map_err(fault)?;
    Ok(Conn::Sqlite(sqlite))
}

/// Returns the versions of all migrations with their names, the oldest first.
pub(crate) fn known() -> Result<BTreeMap<String, String>> {
    let all = in_order()?;
    Ok(all.iter().map(|it| (it.name().version().to_string(), it.name().to_string())).collect())
}

fn in_order() -> Result<Vec<Box<dyn Migration<Sqlite>>>> {
    let mut all: Vec<Box<dyn Migration<Sqlite>>> = SQLITE.migrations().map_err(fault)?;
    all.sort_by(|one, other| one.name().version().cmp(&other.name().version()));
    Ok(all)
}

/// Returns the tables, indexes and triggers that the migrations of these versions create.
pub(crate) fn made_by(versions: &BTreeMap<String, String>) -> Result<BTreeSet<Object>> {
    let mut conn = Conn::Sqlite(in_memory()?);
    let (mut made, mut before) = (BTreeSet::new(), BTreeSet::new());
    for migration in in_order()? {
        if let Conn::Sqlite(sqlite) = &mut conn {
            // Creates the table of versions as well.
            sqlite.applied_migrations().map_err(fault)?;
            sqlite.run_migration(&migration).map_err(fault)?;
        }
        let after = objects::list(&mut conn)?;
        if versions.contains_key(&migration.name().version().to_string()) {
            made.extend(after.difference(&before).cloned());
        }
        before = after;
    }
    made.retain(|object| object.name != RECORD);
    Ok(made)
}
