//! Lock time-outs, and the reason for them.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Integer, Text};

use crate::store::{Conn, Error, Result};

/// Longest wait for each lock while an operator waits: a start, and the doctor.
const WAIT: Duration = Duration::from_secs(3);

#[derive(diesel::QueryableByName)]
struct Holder {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Limits the waits for locks in the current transaction. SQLite has its own limit, `busy_timeout`.
pub(crate) fn limit_waits(conn: &mut Conn) -> Result<()> {
    if let Conn::Postgres(postgres) = conn {
        postgres.batch_execute(&format!("SET LOCAL lock_timeout = {}", WAIT.as_millis()))?;
    }
    Ok(())
}

/// Adds the holder of the lock to an error of a transaction that began at `began` and has ended.
///
/// Diesel does not distinguish a lock time-out (55P03) from other errors. An error that comes
/// sooner than the time-out is another one.
pub(crate) fn explain(conn: &mut Conn, began: Instant, error: Error) -> Error {
    let Error::Unavailable(cause) = error else { return error };
    if began.elapsed() < WAIT {
        return Error::Unavailable(cause);
    }
    match holders(conn) {
        Some(holders) => Error::Locked(format!("{cause}; {holders}: end its transaction")),
        None => Error::Unavailable(cause),
    }
}

/// Returns the tables of the current schema that are locked against reading or writing.
fn holders(conn: &mut Conn) -> Option<String> {
    let Conn::Postgres(postgres) = conn else { return None };
    let sql = "SELECT DISTINCT c.relname::text AS table_name, l.pid FROM pg_locks l \
               JOIN pg_class c ON c.oid = l.relation \
               JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = current_schema() \
               WHERE l.granted AND l.pid IS NOT NULL AND l.mode IN ('ShareLock', \
               'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') ORDER BY 1, 2";
    let found: Vec<Holder> = diesel::sql_query(sql).load(postgres).ok()?;
    let shown =
        found.iter().map(|it| format!("{} is locked by server process {}", it.table_name, it.pid));
    (!found.is_empty()).then(|| shown.collect::<Vec<_>>().join(", "))
}
