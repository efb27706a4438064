//! A trial write, which shows whether the database accepts writes.

use std::time::Instant;

use diesel::connection::SimpleConnection as _;

use crate::store::engine::locks;
use crate::store::engine::transaction::{begin, rollback};
use crate::store::{Conn, Error, Result};

/// Writes a row and rolls it back. Before a commit, SQLite writes to the disk only what exceeds its
/// cache, so the row is larger than the cache, which is made small first. Postgres finds room for a
/// small row on a full disk, so the row has 64 KiB that cannot be compressed, outside the table.
pub(crate) fn try_write(conn: &mut Conn) -> Result<()> {
    let insert = match conn {
        Conn::Sqlite(sqlite) => {
            sqlite.batch_execute("PRAGMA cache_size = 4;")?;
            "INSERT INTO limits (name, uses, resets_at, waits_until) \
             VALUES (hex(zeroblob(32768)), 0, 0, 0)"
        }
        Conn::Postgres(_) => {
            "INSERT INTO limits (name, uses, resets_at, waits_until) VALUES ('trial' || random(), 0, 0, 0); \
             INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at, last_error) \
             SELECT 'trial' || random(), 'trial', '', '', '', 'sent', 0, 0, 0, \
             string_agg(encode(sha256(random()::text::bytea), 'hex'), '') \
             FROM generate_series(1, 1024)"
        }
    };
    let began = Instant::now();
    begin(conn)?;
    let written =
        locks::limit_waits(conn).and_then(|()| conn.batch_execute(insert).map_err(Error::from));
    // SQLite has already rolled back if the disk is full.
    if written.is_ok() || matches!(conn, Conn::Postgres(_)) {
        rollback(conn);
    }
    written.map_err(|error| locks::explain(conn, began, error))
}
