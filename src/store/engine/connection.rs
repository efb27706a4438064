//! One connection type over two databases, opened by the scheme of the URL.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::connection::{
    AnsiTransactionManager, CacheSize, Connection, SimpleConnection, TransactionManager,
};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::UtcTime;
use crate::store::engine::certificates::with_system_certificates;
use crate::store::engine::health::{Fault, Faults, Trust, WriteState};
use crate::store::{DatabaseUrl, Error, Result};

/// A connection to either database.
///
/// The derive's own `establish` guesses the database and hides the true error, so connections
/// are opened by [`Manager`] alone.
#[derive(diesel::MultiConnection)]
pub enum Conn {
    /// Postgres.
    Postgres(PgConnection),
    /// SQLite.
    Sqlite(SqliteConnection),
}

/// Flag of a connection that may only read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOnly(pub bool);

/// Time at which a write returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// After the commit is on disk.
    Full,
    /// After the commit. A power failure may undo it, together with what was committed after it.
    Lazy,
}

/// Opens connections, for the pools and the writer thread.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    url: DatabaseUrl,
    read_only: ReadOnly,
    prepared_statements: bool,
    /// Limit of waits for locks that new connections to Postgres request.
    lock_timeout: Option<Duration>,
    writes: WriteState,
    trust: Trust,
}

impl Manager {
    /// Returns a manager whose Postgres connections keep no prepared statements.
    pub(crate) fn new(url: DatabaseUrl, read_only: ReadOnly) -> Self {
        let (writes, trust) = (WriteState::default(), Trust::default());
        Self { url, read_only, prepared_statements: false, lock_timeout: None, writes, trust }
    }

    /// Returns the manager of a pool.
    pub(crate) fn for_pool(
        self,
        prepared_statements: bool,
        wait: Duration,
        writes: WriteState,
    ) -> Self {
        // A pooler that loses prepared statements does not accept the start-up option either.
        let lock_timeout = Some(wait).filter(|_| prepared_statements);
        Self { prepared_statements, lock_timeout, writes, ..self }
    }

    pub(crate) fn writes(&self) -> &WriteState {
        &self.writes
    }

    pub(crate) fn open(&self) -> Result<Conn> {
        match &self.url {
            DatabaseUrl::Postgres(url) => {
                let mut conn = self.open_postgres(&connection_url(url)?)?;
                if !self.prepared_statements {
                    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
                }
                Ok(Conn::Postgres(conn))
            }
            DatabaseUrl::Sqlite(path) => self.open_sqlite(path),
        }
    }

    fn open_postgres(&self, url: &str) -> Result<PgConnection> {
        if let Some(timeout) = self.lock_timeout
            && let Some(url) = with_lock_timeout(url, timeout)
        {
            match PgConnection::establish(&url) {
                // PgBouncer accepts few start-up options and refuses connections with others.
                Err(error) if error.to_string().contains("startup parameter") => {}
                outcome => return Ok(outcome?),
            }
        }
        Ok(PgConnection::establish(url)?)
    }

    fn open_sqlite(&self, path: &Path) -> Result<Conn> {
        let path = path.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
        let mut conn = SqliteConnection::establish(path)?;
        // synchronous: an acknowledged write survives a power cut. secure_delete: what is deleted
        // is overwritten with zeros.
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
        )?;
        // In KiB, for the writer: the inner pages of the indexes of a million users.
        conn.batch_execute(if self.read_only.0 {
            "PRAGMA query_only = ON;"
        } else {
            "PRAGMA cache_size = -8192;"
        })?;
        Ok(Conn::Sqlite(conn))
    }
}

/// Characters that are escaped in a file URI. SQLite has no other way to open a file read-only.
const NOT_IN_A_URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// Opens a database that exists, and changes nothing there: no file is made, no journal turned to
/// WAL, nothing moved from it into the file.
pub(crate) fn open_to_look(url: &DatabaseUrl) -> Result<Conn> {
    let DatabaseUrl::Sqlite(path) = url else {
        return Manager::new(url.clone(), ReadOnly(true)).open();
    };
    let path = path.canonicalize().map_err(|error| Error::Unavailable(error.to_string()))?;
    let path = path.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
    let uri = format!("file:{}?mode=ro", utf8_percent_encode(path, NOT_IN_A_URI));
    let mut conn = SqliteConnection::establish(&uri)?;
    conn.batch_execute("PRAGMA busy_timeout = 5000;")?;
    Ok(Conn::Sqlite(conn))
}

/// Returns the URL for libpq with time-outs.
fn connection_url(url: &str) -> Result<String> {
    Ok(with_time_limits(&with_system_certificates(url)?))
}

/// Without them, libpq waits for ever for a server that accepts the connection and sends nothing,
/// and a quarter of an hour for one whose machine is gone.
fn with_time_limits(url: &str) -> String {
    let mut url = url.to_owned();
    for (name, value) in [("connect_timeout", "5"), ("tcp_user_timeout", "10000")] {
        if !url.contains(&format!("{name}=")) {
            let separator = if url.contains('?') { '&' } else { '?' };
            url = format!("{url}{separator}{name}={value}");
        }
    }
    url
}

/// Adds `lock_timeout` to the start-up options of a URL, unless it has another.
fn with_lock_timeout(url: &str, timeout: Duration) -> Option<String> {
    if url.contains("lock_timeout") {
        return None;
    }
    // 0 would mean no limit.
    let option = format!("options=-c%20lock_timeout%3D{}", timeout.as_millis().max(1));
    Some(match url.split_once("options=") {
        Some((before, options)) => format!("{before}{option}%20{options}"),
        None if url.contains('?') => format!("{url}&{option}"),
        None => format!("{url}?{option}"),
    })
}

/// A connection of a pool.
pub(crate) struct Pooled {
    conn: Conn,
    opened: Instant,
    /// Time of the last check or write that succeeded.
    proven: Option<Instant>,
    /// True if the server limits the waits of each session for locks.
    limits_waits: bool,
    faults: Faults,
}

/// Age of the last success up to which a connection is used without a check, which is a round trip.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A connection to a server that has become read-only is replaced when it is this old: a new one
/// may lead to the server that took over. One that is as new shows that none did.
const READ_ONLY_FOR: Duration = Duration::from_secs(1);

impl Pooled {
    fn new(mut conn: Conn) -> Self {
        let faults = Faults::default();
        conn.set_instrumentation(faults.listener());
        Self { conn, opened: Instant::now(), proven: None, limits_waits: false, faults }
    }

    /// Begins a transaction with `wait` as its lock time-out.
    pub(crate) fn begin(
        &mut self,
        access: ReadOnly,
        durability: Durability,
        wait: Duration,
    ) -> Result<()> {
        self.faults.clear();
        begin_waiting(&mut self.conn, access, durability, wait)
    }

    /// Runs `work` in the transaction that has begun, and ends it.
    pub(crate) fn finish<T, E: From<Error>>(
        &mut self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        finish(&mut self.conn, work)
    }

    /// Runs `work`, which is one statement and so a transaction of its own.
    pub(crate) fn run_alone<T, E>(
        &mut self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        self.faults.clear();
        work(&mut self.conn)
    }

    /// Returns whether statements outside a transaction have a lock time-out.
    pub(crate) fn limits_waits(&self) -> bool {
        self.limits_waits
    }

    /// Records a successful write.
    pub(crate) fn note_write(&mut self) {
        self.proven = Some(Instant::now());
    }

    /// Returns the connection itself.
    pub(crate) fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Returns the reason why the last transaction failed.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.faults.first()
    }

    fn is_new(&self) -> bool {
        self.opened.elapsed() < READ_ONLY_FOR
    }
}

impl r2d2::ManageConnection for Manager {
    type Connection = Pooled;
    type Error = Error;

    fn connect(&self) -> Result<Pooled> {
        self.open().map(Pooled::new)
    }

    fn is_valid(&self, pooled: &mut Pooled) -> Result<()> {
        // A file does not disappear between two requests.
        let Conn::Postgres(postgres) = &mut pooled.conn else { return Ok(()) };
        let is_trusted = |proven: Instant| {
            proven.elapsed() < TRUSTED_FOR && self.writes.can_write() && self.trust.covers(proven)
        };
        if pooled.proven.is_some_and(is_trusted) {
            return Ok(());
        }
        let State { takes_writes, limits_waits } = state(postgres)?;
        if takes_writes || pooled.is_new() {
            self.writes.note(takes_writes);
            (pooled.proven, pooled.limits_waits) = (Some(Instant::now()), limits_waits);
            return Ok(());
        }
        Err(Error::ReadOnly("the connection is replaced".to_owned()))
    }

    fn has_broken(&self, pooled: &mut Pooled) -> bool {
        if matches!(pooled.fault(), Some(Fault::Connection | Fault::ReadOnly)) {
            // The other connections may have the same fault.
            self.trust.withdraw();
        }
        std::thread::panicking()
            || pooled.fault() == Some(Fault::Connection)
            || (pooled.fault() == Some(Fault::ReadOnly) && !pooled.is_new())
            || <Conn as Connection>::TransactionManager::is_broken_transaction_manager(
                &mut pooled.conn,
            )
    }
}

/// Logs faults of the pool, which retries by itself.
#[derive(Debug)]
pub(crate) struct LogFaults;

impl r2d2::HandleError<Error> for LogFaults {
    fn handle_error(&self, error: Error) {
        // Logged once, as a change of the state of writes.
        if !matches!(error, Error::ReadOnly(_)) {
            tracing::warn!(%error, "cannot connect to the database");
        }
    }
}

/// Writes SQLite's log into the file and empties it: both may hold what was deleted since. A log
/// that is being read stays until the next call.
pub(crate) fn empty_log(manager: &Manager) -> Result<()> {
    if let Conn::Sqlite(sqlite) = &mut manager.open()? {
        // The first copies while others write. Writers wait for the second, which has little left.
        sqlite.batch_execute(
            "PRAGMA wal_checkpoint(PASSIVE); \
             PRAGMA busy_timeout = 20; PRAGMA wal_checkpoint(TRUNCATE);",
        )?;
    }
    Ok(())
}

#[derive(diesel::QueryableByName)]
struct State {
    /// True if new transactions may write. They may not on a standby, nor with
    /// `default_transaction_read_only`.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    takes_writes: bool,
    /// True if the session has a lock time-out. A pooler may accept the start-up option and ignore it.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    limits_waits: bool,
}

fn state(postgres: &mut PgConnection) -> Result<State> {
    let sql = "SELECT current_setting('transaction_read_only') = 'off' AS takes_writes, \
               current_setting('lock_timeout') <> '0' AS limits_waits";
    Ok(diesel::sql_query(sql).get_result(postgres)?)
}

/// A server has a clock of its own; a file goes by that of this machine.
pub(crate) fn clock(conn: &mut Conn) -> Result<Option<UtcTime>> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        micros: i64,
    }
    match conn {
        Conn::Sqlite(_) => Ok(None),
        Conn::Postgres(postgres) => {
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";
            let row: Row = diesel::sql_query(sql).get_result(postgres)?;
            Ok(Some(UtcTime::from_micros(row.micros)))
        }
    }
}

/// Begins a transaction that may write. SQLite must take the write lock at once: a transaction
/// that reads first and writes later fails as soon as another user has written in between.
pub(crate) fn begin(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => {
            AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
        }
        Conn::Postgres(postgres) => {
            // Set in each transaction: the default of the server may be another, and a setting of the
            // session would reach other clients of a pooler.
            AnsiTransactionManager::begin_transaction_sql(
                postgres,
                "BEGIN ISOLATION LEVEL READ COMMITTED",
            )?;
        }
    }
    Ok(())
}

/// Sets when the next commits of SQLite's writer return. In the mode WAL, `NORMAL` leaves out the flush of
/// the log; that of a later commit with `FULL` covers it.
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
fn begin_waiting(
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
/// statement lazy ([`Durability::Lazy`]), if the statement is a transaction of its own.
pub(crate) fn lazy_if_alone(conn: &mut Conn) -> Result<Option<&'static str>> {
    let is_alone = matches!(conn, Conn::Postgres(_)) && depth(conn)? == 0;
    Ok(is_alone.then_some("set_config('synchronous_commit', 'off', true)"))
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
fn finish<T, E: From<Error>>(
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An acknowledged write is on disk. No test can cut the power.
    #[test]
    fn a_file_is_written_through_to_the_disk() {
        #[derive(diesel::QueryableByName)]
        struct Setting {
            #[diesel(sql_type = diesel::sql_types::Integer)]
            synchronous: i32,
        }
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let mut conn = Manager::new(url, ReadOnly(false)).open().unwrap();
        let full = diesel::sql_query("PRAGMA synchronous").get_result::<Setting>(&mut conn);
        assert_eq!(full.unwrap().synchronous, 2);
    }

    #[test]
    fn time_limits_of_the_operator_stay() {
        let limited = with_time_limits("postgres://u@h/d");
        assert_eq!(limited, "postgres://u@h/d?connect_timeout=5&tcp_user_timeout=10000");
        let limited = with_time_limits("postgres://u@h/d?connect_timeout=60");
        assert_eq!(limited, "postgres://u@h/d?connect_timeout=60&tcp_user_timeout=10000");
    }

    #[test]
    fn start_up_options_of_the_operator_stay() {
        let wait = Duration::from_secs(3);
        for (url, limited) in [
            ("postgres://h/d", Some("postgres://h/d?options=-c%20lock_timeout%3D3000")),
            ("postgres://h/d?a=b", Some("postgres://h/d?a=b&options=-c%20lock_timeout%3D3000")),
            (
                "postgres://h/d?options=-csearch_path%3Dx&a=b",
                Some("postgres://h/d?options=-c%20lock_timeout%3D3000%20-csearch_path%3Dx&a=b"),
            ),
            ("postgres://h/d?options=-clock_timeout%3D1", None),
        ] {
            assert_eq!(with_lock_timeout(url, wait).as_deref(), limited);
        }
    }
}
