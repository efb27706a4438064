//! Pooled connections, and the checks that replace the broken and read-only ones.

use std::time::{Duration, Instant};

use diesel::RunQueryDsl as _;
use diesel::connection::{Connection, TransactionManager};
use diesel::pg::PgConnection;

use crate::store::engine::connection::{
    Conn, Manager, ReadOnly, connection_url, refuses_option, with_lock_timeout,
};
use crate::store::engine::health::{Fault, Faults, Obstacle};
use crate::store::engine::transaction::{Durability, begin_waiting, finish};
use crate::store::{DatabaseUrl, Error, Result};

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

    /// Runs `work`, which is one statement and so a transaction of its own, or begins one itself.
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
        if pooled.proven.is_none() {
            self.note_limit(postgres, limits_waits);
        }
        if takes_writes || pooled.is_new() {
            self.writes.note(Obstacle::ReadOnly, !takes_writes);
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

/// The lock time-out of a connection that only shows whether it has one.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Returns whether Postgres is reached through a pooler, as far as one can be recognised.
pub fn is_pooled(url: &DatabaseUrl) -> Result<bool> {
    let DatabaseUrl::Postgres(url) = url else { return Ok(false) };
    let limited = with_lock_timeout(&connection_url(url)?, PROBE_TIMEOUT);
    let Some(limited) = limited else { return Ok(false) };
    match PgConnection::establish(&limited) {
        Err(error) if refuses_option(&error) => Ok(true),
        outcome => Ok(!state(&mut outcome?)?.limits_waits),
    }
}

#[derive(diesel::QueryableByName)]
struct State {
    /// True if new transactions may write. They may not on a standby, nor with
    /// `default_transaction_read_only`.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    takes_writes: bool,
    /// True if the session has a lock time-out. A pooler may accept the start-up option and ignore
    /// it.
    #[diesel(sql_type = diesel::sql_types::Bool)]
    limits_waits: bool,
}

fn state(postgres: &mut PgConnection) -> Result<State> {
    let sql = "SELECT current_setting('transaction_read_only') = 'off' AS takes_writes, \
               current_setting('lock_timeout') <> '0' AS limits_waits";
    Ok(diesel::sql_query(sql).get_result(postgres)?)
}
