//! Transactions of either database: isolation, durability, lock time-out, savepoints.

use std::num::NonZeroU32;
use std::time::Duration;

use diesel::connection::{
    AnsiTransactionManager, Connection, SimpleConnection, TransactionManager,
};

use crate::store::engine::connection::{Conn, ReadOnly};
use crate::store::{Error, Result};

/// Time at which a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// After the commit is on disk.
    Full,
    /// After the commit. A power failure may undo it, together with what was committed after it.
    Lazy,
}

/// Begins a transaction that may write. SQLite must take the write lock at once: a transaction
/// that reads first and writes later fails as soon as another user has written in between.
pub(crate) fn begin(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => {
            AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
        }
        Conn::Postgres(postgres) => {
            // Set in each transaction: the default of the server may be another, and a setting of
            // the session would reach other clients of a pooler.
            AnsiTransactionManager::begin_transaction_sql(
                postgres,
                "BEGIN ISOLATION LEVEL READ COMMITTED",
            )?;
        }
    }
    Ok(())
}

/// Sets when the next commits of SQLite's writer return. In the mode WAL, `NORMAL` leaves out the
/// flush of the log; that of a later commit with `FULL` covers it.
pub(crate) fn set_durability(conn: &mut Conn, durability: Durability) -> Result<()> {
    if let Conn::Sqlite(sqlite) = conn {
        sqlite.batch_execute(match durability {
            Durability::Full => "PRAGMA synchronous = FULL;",
            Durability::Lazy => "PRAGMA synchronous = NORMAL;",
        })?;
    }
    Ok(())
}

/// Begins a transaction of a pool with `wait` as its lock time-out. SQLite has its own limit,
/// `busy_timeout`.
pub(super) fn begin_waiting(
    conn: &mut Conn,
    access: ReadOnly,
    durability: Durability,
    wait: Duration,
) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN")?,
        Conn::Postgres(postgres) => {
            let access = if access.0 { " READ ONLY" } else { "" };
            let durability = match durability {
                Durability::Full => "",
                Durability::Lazy => "; SET LOCAL synchronous_commit = off",
            };
            // 0 would mean no limit.
            let millis = wait.as_millis().max(1);
            AnsiTransactionManager::begin_transaction_sql(
                postgres,
                &format!(
                    "BEGIN ISOLATION LEVEL READ COMMITTED{access}; \
                     SET LOCAL lock_timeout = {millis}{durability}"
                ),
            )?;
        }
    }
    Ok(())
}

/// Returns an expression for the list after `SELECT` or `RETURNING` that makes the commit of a
/// statement lazy ([`Durability::Lazy`]) if the statement is a transaction of its own, and has no
/// effect otherwise.
pub(crate) fn lazy_if_alone(conn: &mut Conn) -> Result<&'static str> {
    let is_alone = matches!(conn, Conn::Postgres(_)) && depth(conn)? == 0;
    Ok(if is_alone { "set_config('synchronous_commit', 'off', true)" } else { "''" })
}

/// Begins a transaction that reads one state of the database (a snapshot).
pub(crate) fn begin_snapshot(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN")?,
        Conn::Postgres(postgres) => AnsiTransactionManager::begin_transaction_sql(
            postgres,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?,
    }
    Ok(())
}

pub(crate) fn commit(conn: &mut Conn) -> Result<()> {
    Ok(<Conn as Connection>::TransactionManager::commit_transaction(conn)?)
}

pub(crate) fn rollback(conn: &mut Conn) {
    if let Err(error) = <Conn as Connection>::TransactionManager::rollback_transaction(conn) {
        tracing::warn!(%error, "cannot roll back; the connection is dropped");
    }
}

/// Rolls back every savepoint of the outermost transaction.
pub(crate) fn roll_back_savepoints(conn: &mut Conn) -> Result<()> {
    while depth(conn)? > 1 {
        <Conn as Connection>::TransactionManager::rollback_transaction(conn)?;
    }
    Ok(())
}

/// Returns the number of open transactions and savepoints.
fn depth(conn: &mut Conn) -> Result<u32> {
    let status = <Conn as Connection>::TransactionManager::transaction_manager_status_mut(conn);
    Ok(status.transaction_depth()?.map_or(0, NonZeroU32::get))
}

/// Runs `work` in a savepoint of the transaction under way.
pub(crate) fn in_transaction<T, E: From<Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    <Conn as Connection>::TransactionManager::begin_transaction(conn).map_err(Error::from)?;
    finish(conn, work)
}

/// Runs `work` in a transaction of its own.
pub(crate) fn in_new_transaction<T, E: From<Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    begin(conn)?;
    finish(conn, work)
}

/// Runs `work`, which only reads, on one state of the database.
pub(crate) fn in_snapshot<T, E: From<Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    begin_snapshot(conn)?;
    finish(conn, work)
}

/// Runs `work` in the transaction that has begun, and ends it.
pub(super) fn finish<T, E: From<Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    match work(conn) {
        Ok(value) => {
            commit(conn)?;
            Ok(value)
        }
        Err(error) => {
            rollback(conn);
            Err(error)
        }
    }
}
