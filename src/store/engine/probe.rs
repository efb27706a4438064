//! A trial write, which shows whether the database accepts writes.

use std::time::Instant;

use diesel::connection::SimpleConnection as _;

use crate::store::engine::locks;
use crate::store::engine::transaction::{begin, rollback};
use crate::store::{Conn, Error, Result};

/// Writes a row and rolls it back. Before a commit, SQLite writes to the disk only what exceeds its
/// cache, so the row is larger than the cache, which is made small first.
pub(crate) fn try_write(conn: &mut Conn) -> Result<()> {
    let name = match conn {
        Conn::Sqlite(sqlite) => {
            sqlite.batch_execute("PRAGMA cache_size = 4;")?;
            "hex(zeroblob(32768))"
        }
        Conn::Postgres(_) => "'of the doctor'",
    };
    let began = Instant::now();
    begin(conn)?;
    let insert =
        format!("INSERT INTO limits (name, uses, resets_at, waits_until) VALUES ({name}, 0, 0, 0)");
    let written =
        locks::limit_waits(conn).and_then(|()| conn.batch_execute(&insert).map_err(Error::from));
    // SQLite has already rolled back if the disk is full.
    if written.is_ok() || matches!(conn, Conn::Postgres(_)) {
        rollback(conn);
    }
    written.map_err(|error| locks::explain(conn, began, error))
}
