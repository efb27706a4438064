//! The handle to the database: a pool of connections to Postgres, or the writer thread and the
//! reading connections of SQLite.

pub(super) mod write;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::engine::combiner::Combiner;
use super::engine::connection::{self, Conn, Manager, PreparedStatements, ReadOnly};
use super::engine::health::{Fault, WriteState};
use super::engine::migrate::run as migrate;
use super::engine::pool::LogFaults;
use super::engine::transaction::Durability;
use super::engine::url::DatabaseUrl;
use super::engine::wake_up::WakeUp;
use super::engine::writer::Writer;
use super::limits::Counting;
use super::{Error, Result};
use crate::domain::UtcTime;

/// A handle to the database, cheap to clone.
#[derive(Clone)]
pub struct Db {
    backend: Backend,
    writes: WriteState,
    wake_up: WakeUp,
    wait: Duration,
    /// Callers that wait for a connection of the pool.
    waiting: Arc<AtomicUsize>,
}

/// The use of the connection pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolUse {
    /// Largest number of connections.
    pub max: u32,
    /// Number of open connections.
    pub open: u32,
    /// Number of idle connections.
    pub idle: u32,
    /// Number of callers that wait for a connection.
    pub waiting: usize,
}

#[derive(Clone)]
enum Backend {
    /// SQLite has one writer: a thread that commits many jobs at once. Readers never wait.
    Sqlite { writer: Arc<Writer>, readers: r2d2::Pool<Manager>, manager: Manager },
    Postgres {
        pool: r2d2::Pool<Manager>,
        /// Uses of the counters of limits.
        uses: Arc<Combiner<Counting>>,
    },
}

/// Settings of the connection pools.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Connections to Postgres, or reading connections to SQLite.
    pub size: u32,
    /// Time-out of a caller for a free connection and, on Postgres, for a lock.
    pub wait: Duration,
    /// The connections to Postgres that keep prepared statements.
    pub prepared_statements: PreparedStatements,
}

/// Pause between attempts to empty SQLite's log.
const EMPTY_PAUSE: Duration = Duration::from_millis(20);

/// Shortest time-out of a lock, however long the wait for the connection was.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

impl Db {
    /// Opens the database and runs pending migrations.
    pub fn open(url: &DatabaseUrl, settings: PoolSettings) -> Result<Self> {
        migrate(url)?;
        Self::open_as_is(url, settings)
    }

    /// Opens the database without migrations.
    pub fn open_as_is(url: &DatabaseUrl, settings: PoolSettings) -> Result<Self> {
        let (writes, wake_up) = (WriteState::default(), WakeUp::default());
        let manager = |read_only| {
            let PoolSettings { prepared_statements, wait, .. } = settings;
            Manager::new(url.clone(), read_only).for_pool(prepared_statements, wait, writes.clone())
        };
        let pool = |read_only| {
            r2d2::Pool::builder()
                .max_size(settings.size)
                // With none, no thread replaces a broken connection while callers wait for one.
                .min_idle(Some(1))
                .test_on_check_out(true)
                .connection_timeout(settings.wait)
                .error_handler(Box::new(LogFaults))
                .build_unchecked(manager(read_only))
        };
        let backend = match url {
            DatabaseUrl::Sqlite(_) => Backend::Sqlite {
                writer: Arc::new(Writer::start(manager(ReadOnly(false)), wake_up.clone())?),
                readers: pool(ReadOnly(true)),
                manager: manager(ReadOnly(false)),
            },
            DatabaseUrl::Postgres(_) => {
                Backend::Postgres { pool: pool(ReadOnly(false)), uses: Arc::default() }
            }
        };
        Ok(Self { backend, writes, wake_up, wait: settings.wait, waiting: Arc::default() })
    }

    /// Runs `work`, which only reads, on a connection.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        match &self.backend {
            Backend::Sqlite { readers, .. } => work(self.connection(readers)?.conn()),
            Backend::Postgres { pool, .. } => {
                let (mut pooled, _) =
                    self.begin(pool, ReadOnly(true), Durability::Full, self.wait)?;
                pooled.finish(work)
            }
        }
    }

    /// Reads like [`Db::read`] by work that is one statement on Postgres, and one round trip there.
    pub fn read_statement<T, E: From<Error>>(
        &self,
        work: impl Fn(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let Backend::Postgres { pool, .. } = &self.backend else { return self.read(work) };
        let (mut pooled, _) = self.check_out(pool, self.wait)?;
        if pooled.limits_waits() {
            let outcome = pooled.run_alone(&work);
            // See `write_as`. A lock that was not available is not waited for twice.
            if !matches!(pooled.fault(), Some(Fault::Conflict | Fault::Connection)) {
                return outcome;
            }
        }
        drop(pooled);
        self.read(work)
    }

    /// Runs `work`, which only reads and must not wait for others: on Postgres no longer than
    /// `wait` for each lock.
    ///
    /// # Errors
    /// [`Error::Locked`] if the server responds and only this read is refused.
    pub fn read_soon<T>(
        &self,
        wait: Duration,
        work: impl FnOnce(&mut Conn) -> Result<T>,
    ) -> Result<T> {
        let Backend::Postgres { pool, .. } = &self.backend else { return self.read(work) };
        let (mut pooled, _) = self.begin(pool, ReadOnly(true), Durability::Full, wait)?;
        match (pooled.finish(work), pooled.fault()) {
            (Err(Error::Unavailable(cause)), Some(Fault::Unknown)) => Err(Error::Locked(cause)),
            (outcome, _) => outcome,
        }
    }

    /// Returns a receiver that changes after each commit of this process that enqueued a job.
    pub fn enqueued(&self) -> watch::Receiver<()> {
        self.wake_up.subscribe()
    }

    /// Begins a transaction; returns its connection and the lock time-out of its statements.
    fn begin(
        &self,
        pool: &r2d2::Pool<Manager>,
        access: ReadOnly,
        durability: Durability,
        longest: Duration,
    ) -> Result<(r2d2::PooledConnection<Manager>, Duration)> {
        let (mut pooled, wait) = self.check_out(pool, longest)?;
        match pooled.begin(access, durability, wait) {
            Err(_) if pooled.fault() == Some(Fault::Connection) => {}
            begun => return begun.map(|()| (pooled, wait)),
        }
        // The server ended the connection after its last use. The next one is checked beforehand.
        drop(pooled);
        let (mut pooled, wait) = self.check_out(pool, longest)?;
        pooled.begin(access, durability, wait)?;
        Ok((pooled, wait))
    }

    /// Returns a connection, and the lock time-out of its statements.
    fn check_out(
        &self,
        pool: &r2d2::Pool<Manager>,
        longest: Duration,
    ) -> Result<(r2d2::PooledConnection<Manager>, Duration)> {
        let began = Instant::now();
        let pooled = self.connection(pool)?;
        Ok((pooled, longest.saturating_sub(began.elapsed()).max(SHORTEST_WAIT)))
    }

    /// Returns how much of the connection pool is in use.
    pub fn pool_use(&self) -> PoolUse {
        let pool = self.pool();
        let state = pool.state();
        PoolUse {
            max: pool.max_size(),
            open: state.connections,
            idle: state.idle_connections,
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    fn pool(&self) -> &r2d2::Pool<Manager> {
        match &self.backend {
            Backend::Sqlite { readers, .. } => readers,
            Backend::Postgres { pool, .. } => pool,
        }
    }

    fn connection(&self, pool: &r2d2::Pool<Manager>) -> Result<r2d2::PooledConnection<Manager>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let connection = pool.get();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Ok(connection?)
    }

    /// Makes deleted data unreadable in the files of SQLite, unless others use its log during so
    /// many attempts. Postgres does so itself when it vacuums.
    pub fn forget_deleted(&self, attempts: u32) -> Result<()> {
        let Backend::Sqlite { writer, readers, .. } = &self.backend else { return Ok(()) };
        for attempt in 1..=attempts {
            // Others write meanwhile. They wait for the rest, which is short.
            connection::copy_log(self.connection(readers)?.conn())?;
            if writer.empty_log()? {
                return Ok(());
            }
            // SQLite waits for readers, but not for the end of another copy.
            if attempt < attempts {
                thread::sleep(EMPTY_PAUSE);
            }
        }
        tracing::debug!("SQLite's log is in use; the next purge empties it");
        Ok(())
    }

    /// Returns the time of the database, if it has a clock of its own.
    pub fn clock(&self) -> Result<Option<UtcTime>> {
        self.read(connection::clock)
    }
}
