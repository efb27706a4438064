//! Migrations of the tables. Every instance may run them at the same time; a lock serializes them.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::sql_types::{Bool, Integer};
use diesel::{QueryableByName, RunQueryDsl as _, sql_query};
use diesel_migrations::MigrationHarness;

use crate::store::engine::connection::{Manager, ReadOnly};
use crate::store::engine::migrations::{POSTGRES, SQLITE};
use crate::store::engine::sqlite_file::folder_of;
use crate::store::engine::suitable::{find_missing, record_level};
use crate::store::engine::transaction::in_new_transaction;
use crate::store::{Conn, DatabaseUrl, Error, Result};

/// An arbitrary number, the same in every version.
const LOCK: i64 = 0x4841_4c4c_5041_5353;

/// Time that a migration waits for a table. Shorter than `deadlock_timeout`, a second.
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
/// Time for which a migration is retried while its tables are in use.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for the migrations of another instance.
const OTHER_INSTANCE_TIMEOUT: Duration = Duration::from_secs(30);
/// Interval of the checks for their end.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Runs the pending migrations and returns their names.
pub fn run(url: &DatabaseUrl) -> Result<Vec<String>> {
    let _one_at_a_time = match url {
        DatabaseUrl::Sqlite(path) => Some(lock_folder(path)?),
        DatabaseUrl::Postgres(_) => None,
    };
    let mut conn = Manager::new(url.clone(), ReadOnly(false)).open()?;
    if find_missing(&mut conn)?.is_empty() {
        return Ok(Vec::new());
    }
    let done = match conn {
        Conn::Sqlite(_) => run_on_sqlite(&mut conn)?,
        Conn::Postgres(_) => run_beside_others(&mut conn)?,
    };
    // The tables of earlier migrations may have been changed by another program.
    find_missing(&mut conn)?;
    Ok(done)
}

fn run_on_sqlite(conn: &mut Conn) -> Result<Vec<String>> {
    let mut done = Vec::new();
    if let Conn::Sqlite(sqlite) = conn {
        for migration in sqlite.pending_migrations(SQLITE).map_err(fault)? {
            sqlite.run_migration(&migration).map_err(fault)?;
            done.push(migration.name().to_string());
        }
    }
    record_level(conn)?;
    Ok(done)
}

/// Result of an attempt.
enum Step {
    Ran(Vec<String>),
    /// Another instance runs migrations.
    Waits,
    NothingLeft,
}

/// Runs migrations beside instances of the previous version. A migration of several tables and a
/// request can deadlock; Postgres then refuses one of them after a second, and that must not be the
/// request. So the migration gives up sooner, and is retried.
fn run_beside_others(conn: &mut Conn) -> Result<Vec<String>> {
    let mut done = Vec::new();
    let mut waits = Waits::until(OTHER_INSTANCE_TIMEOUT);
    let mut began = Instant::now();
    loop {
        let tried = Instant::now();
        match in_new_transaction(conn, run_next) {
            Ok(Step::NothingLeft) => return Ok(done),
            Ok(Step::Ran(names)) => {
                done.extend(names);
                began = Instant::now();
            }
            Ok(Step::Waits) => waits.for_others(|| holder(conn))?,
            // An error before the time-out is not a lock time-out, and would come again.
            Err(error) if tried.elapsed() < LOCK_TIMEOUT || began.elapsed() > RETRY_TIMEOUT => {
                return Err(error);
            }
            Err(error) => {
                tracing::info!(%error, "the tables may be in use; the migration is tried again");
                thread::sleep(LOCK_TIMEOUT);
            }
        }
    }
}

#[derive(QueryableByName)]
struct IsLocked {
    #[diesel(sql_type = Bool)]
    is_locked: bool,
}

/// Runs the oldest pending migration, so that no table is locked for longer than its own change
/// takes; in an empty database, where nothing waits, all of them. The lock ends with the
/// transaction: a session lock would stay with the connection of a pooler.
fn run_next(conn: &mut Conn) -> Result<Step> {
    let Conn::Postgres(postgres) = conn else { return Ok(Step::NothingLeft) };
    postgres.batch_execute(&format!("SET LOCAL lock_timeout = {}", LOCK_TIMEOUT.as_millis()))?;
    let lock = sql_query(format!("SELECT pg_try_advisory_xact_lock({LOCK}) AS is_locked"));
    if !lock.get_result::<IsLocked>(postgres)?.is_locked {
        return Ok(Step::Waits);
    }
    let pending = postgres.pending_migrations(POSTGRES).map_err(fault)?;
    if pending.is_empty() {
        return Ok(Step::NothingLeft);
    }
    let is_empty = postgres.applied_migrations().map_err(fault)?.is_empty();
    let due = if is_empty { &pending[..] } else { &pending[..1] };
    for migration in due {
        postgres.run_migration(migration).map_err(fault)?;
    }
    if due.len() == pending.len() {
        record_level(conn)?;
    }
    Ok(Step::Ran(due.iter().map(|it| it.name().to_string()).collect()))
}

#[derive(QueryableByName)]
struct Holder {
    #[diesel(sql_type = Integer)]
    pid: i32,
}

/// Returns the server process that has the lock, for an operator.
fn holder(conn: &mut Conn) -> String {
    let Conn::Postgres(postgres) = conn else { return String::new() };
    let held = sql_query(format!(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid IS NOT NULL \
         AND (classid::bigint << 32) | objid::bigint = {LOCK}"
    ));
    match held.get_result::<Holder>(postgres) {
        Ok(holder) => format!(" (server process {})", holder.pid),
        Err(_) => String::new(),
    }
}

/// The wait for another instance, with a time-out. A long wait is logged.
struct Waits {
    limit: Duration,
    began: Option<Instant>,
    is_told: bool,
}

/// Longer than most migrations take.
const TELL_AFTER: Duration = Duration::from_secs(1);

impl Waits {
    fn until(limit: Duration) -> Self {
        Self { limit, began: None, is_told: false }
    }

    fn for_others(&mut self, who: impl FnOnce() -> String) -> Result<()> {
        let waited = self.began.get_or_insert_with(Instant::now).elapsed();
        if waited > self.limit {
            let limit = self.limit;
            return Err(Error::Unavailable(format!(
                "another instance{} has held the lock of the migrations for {limit:?}",
                who()
            )));
        }
        if waited > TELL_AFTER && !self.is_told {
            self.is_told = true;
            tracing::warn!("waits for another instance{} that migrates the database", who());
        }
        thread::sleep(LOOK_AGAIN);
        Ok(())
    }
}

/// Returns the names of the pending migrations. It creates nothing, not even a file.
pub fn pending(url: &DatabaseUrl) -> Result<Vec<String>> {
    if !url.is_there() {
        return Err(Error::Unavailable("the file does not exist yet".to_owned()));
    }
    find_missing(&mut Manager::new(url.clone(), ReadOnly(false)).open()?)
}

fn fault(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("migration failed: {error}"))
}

/// Locks the folder of a new file. SQLite's own locks do not help there: two connections that
/// switch it to WAL at the same moment refuse each other at once. The lock ends with the returned
/// handle.
fn lock_folder(database: &Path) -> Result<File> {
    let folder = folder_of(database);
    let fault = |error: io::Error| Error::Unavailable(format!("{}: {error}", folder.display()));
    let handle = File::open(folder).map_err(fault)?;
    let mut waits = Waits::until(OTHER_INSTANCE_TIMEOUT);
    loop {
        match handle.try_lock() {
            Ok(()) => return Ok(handle),
            Err(TryLockError::Error(error)) => return Err(fault(error)),
            Err(TryLockError::WouldBlock) => waits.for_others(String::new)?,
        }
    }
}
