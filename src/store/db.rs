//! The handle to the database: reads, writes and counts, over a pool of connections to Postgres, or
//! the writer thread and the reading connections of SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::engine::combiner::Combiner;
use super::engine::connection::{self, Conn, Manager, ReadOnly};
use super::engine::health::{Fault, WriteState};
use super::engine::migrate::run as migrate;
use super::engine::pool::{LogFaults, Pooled};
use super::engine::probe;
use super::engine::transaction::Durability;
use super::engine::url::DatabaseUrl;
use super::engine::wake_up::WakeUp;
use super::engine::writer::Writer;
use super::limits::{self, Counting, Used, Uses};
use super::{Error, Result};
use crate::domain::UtcTime;

/// A handle to the database, cheap to clone.
#[derive(Clone)]
pub struct Db {
    shape: Backend,
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
    /// True if connections to Postgres keep prepared statements. A pooler that hands each
    /// transaction to another server process loses them.
    pub prepared_statements: bool,
}

/// Flag of work that is one statement.
#[derive(Clone, Copy)]
struct Alone(bool);

/// Runs of a transaction before a conflict with others is an error.
const ATTEMPTS: u32 = 4;
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
        let shape = match url {
            DatabaseUrl::Sqlite(_) => Backend::Sqlite {
                writer: Arc::new(Writer::start(manager(ReadOnly(false)), wake_up.clone())?),
                readers: pool(ReadOnly(true)),
                manager: manager(ReadOnly(false)),
            },
            DatabaseUrl::Postgres(_) => {
                Backend::Postgres { pool: pool(ReadOnly(false)), uses: Arc::default() }
            }
        };
        Ok(Self { shape, writes, wake_up, wait: settings.wait, waiting: Arc::default() })
    }

    /// Runs `work`, which only reads, on a connection.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        match &self.shape {
            Backend::Sqlite { readers, .. } => work(self.connection(readers)?.conn()),
            Backend::Postgres { pool, .. } => {
                let (mut pooled, _) =
                    self.begin(pool, ReadOnly(true), Durability::Full, self.wait)?;
                pooled.finish(work)
            }
        }
    }

    /// Writes like [`Db::write`] by work that is one statement on Postgres, and one round trip there.
    pub fn read_alone<T, E: From<Error>>(
        &self,
        work: impl Fn(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let Backend::Postgres { pool, .. } = &self.shape else { return self.read(work) };
        let (mut pooled, _) = self.check_out(pool, self.wait)?;
        if pooled.limits_waits() {
            let outcome = pooled.run_alone(&work);
            // See `repeat`. A lock that was not available is not waited for twice.
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
        let Backend::Postgres { pool, .. } = &self.shape else { return self.read(work) };
        let (mut pooled, _) = self.begin(pool, ReadOnly(true), Durability::Full, wait)?;
        match (pooled.finish(work), pooled.fault()) {
            (Err(Error::Unavailable(cause)), Some(Fault::Unknown)) => Err(Error::Locked(cause)),
            (outcome, _) => outcome,
        }
    }

    /// Tries a write and rolls it back.
    pub fn try_write(&self) -> Result<()> {
        match &self.shape {
            Backend::Sqlite { manager, .. } => probe::try_write(&mut manager.open()?),
            Backend::Postgres { pool, .. } => probe::try_write(self.connection(pool)?.conn()),
        }
    }

    /// Tries a write on SQLite, rolls it back, and records whether writes succeed. On Postgres each
    /// connection that the pool hands out shows that.
    pub fn probe_writes(&self) -> Result<()> {
        if matches!(self.shape, Backend::Postgres { .. }) {
            return Ok(());
        }
        let outcome = self.try_write();
        self.writes.note(outcome.is_ok());
        outcome
    }

    /// Runs `work` in one transaction and returns after it is on disk. An error rolls it back.
    ///
    /// `work` must be short: on SQLite all writers share one thread. On Postgres it is retried
    /// after a conflict with other transactions, so it must have no effect outside the database.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.repeat(work, Durability::Full, Alone(false))
    }

    /// Writes like [`Db::write`] by work that is one statement on Postgres, and one round trip there.
    ///
    /// After a failure of the connection, `work` runs again, although it may have been committed.
    pub fn write_alone<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.repeat(work, Durability::Full, Alone(true))
    }

    /// Writes like [`Db::write`] what matters only until this process has stored the conclusion of
    /// a job. On SQLite it returns before it is on disk: the next [`Db::write`] covers it, and a
    /// power failure before that ends this process too, so that the job is done from its start.
    /// Postgres may fail and leave this process running, so there it waits for the disk.
    pub fn write_provisional<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let durability = match self.shape {
            Backend::Sqlite { .. } => Durability::Lazy,
            Backend::Postgres { .. } => Durability::Full,
        };
        self.repeat(work, durability, Alone(false))
    }

    /// Writes counters, which may be lost in a power failure. Returns before they are on disk, so that on Postgres no other use of a counter waits for that.
    pub fn count<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.repeat(work, Durability::Lazy, Alone(false))
    }

    /// Counts a use by one statement of its own. On Postgres, concurrent uses of the same counter in
    /// this process are counted together: one by one, each would be a statement and wait for its turn
    /// at the row.
    ///
    /// Until the caller stores a wait, others may count more uses than its limit allows. It refuses
    /// them by their numbers.
    pub fn use_counter(&self, name: &str, window_ends: UtcTime, now: UtcTime) -> Result<Counting> {
        let Backend::Postgres { uses, .. } = &self.shape else {
            let name = name.to_owned();
            return self.count(move |conn| limits::use_counter(conn, &name, window_ends, now));
        };
        uses.run(name, |callers| {
            let uses = i64::try_from(callers).unwrap_or(i64::MAX);
            let together = Uses { name: name.to_owned(), uses, window_ends };
            let count = move |conn: &mut Conn| limits::use_counters(conn, &[together], now);
            let missing = || Error::Internal("a counter has no result".to_owned());
            let counted = self.count_alone(count)?.pop().ok_or_else(missing)?;
            let nth = |n| counted.map(|used| Used { uses: used.uses - uses + n, ..used });
            Ok((1..=uses).map(nth).collect())
        })
    }

    /// Writes counters like [`Db::count`] by work that is one statement: see [`Db::write_alone`].
    pub fn count_alone<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.repeat(work, Durability::Lazy, Alone(true))
    }

    /// Returns whether all writes go through one thread, so that no transaction waits for another.
    pub fn has_one_writer(&self) -> bool {
        matches!(self.shape, Backend::Sqlite { .. })
    }

    /// Runs `work` in a transaction, and again after a conflict with others.
    fn repeat<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
        durability: Durability,
        alone: Alone,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let pool = match &self.shape {
            Backend::Sqlite { writer, .. } => return in_writer(writer, durability, work),
            Backend::Postgres { pool, .. } => pool,
        };
        // A statement of its own has the isolation level that is the server's default. Where that leads
        // to a conflict, it runs again at ours.
        if alone.0
            && let (mut pooled, wait) = self.check_out(pool, self.wait)?
            && pooled.limits_waits()
        {
            let began = Instant::now();
            let outcome = pooled.run_alone(work.clone());
            match pooled.fault() {
                Some(Fault::Unknown) if began.elapsed() >= wait => return outcome,
                Some(_) => {}
                None => {
                    pooled.note_write();
                    return outcome;
                }
            }
        }
        let mut attempt = 1;
        loop {
            let (mut pooled, wait) = self.begin(pool, ReadOnly(false), durability, self.wait)?;
            let began = Instant::now();
            let outcome = self.finish(&mut pooled, work.clone());
            let may_repeat = match pooled.fault() {
                Some(Fault::Conflict) => true,
                // Another connection may lead to the server that took over.
                Some(Fault::ReadOnly) => self.can_write(),
                // A lock that was not available in all this time is not a transient conflict.
                Some(Fault::Unknown) => began.elapsed().as_millis() < wait.as_millis(),
                Some(Fault::Connection) | None => false,
            };
            if outcome.is_ok() || !may_repeat || attempt == ATTEMPTS {
                return outcome;
            }
            // The other transactions of the conflict must not retry at the same moment.
            drop(pooled);
            thread::sleep(Duration::from_millis(jitter() * u64::from(attempt)));
            attempt += 1;
        }
    }

    /// Does the same for work that is too large to be kept for a retry.
    pub fn write_once<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.shape {
            Backend::Sqlite { writer, .. } => in_writer(writer, Durability::Full, work),
            Backend::Postgres { pool, .. } => {
                let (mut pooled, _) =
                    self.begin(pool, ReadOnly(false), Durability::Full, self.wait)?;
                self.finish(&mut pooled, work)
            }
        }
    }

    /// Runs `work` in a transaction on Postgres that has begun and may write.
    fn finish<T, E: From<Error>>(
        &self,
        pooled: &mut Pooled,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let outcome = pooled.finish(work);
        if outcome.is_ok() {
            pooled.note_write();
        }
        self.wake_up.end_transaction(outcome.is_ok());
        outcome
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

    /// Returns whether the database accepts writes, according to the last transactions.
    pub fn can_write(&self) -> bool {
        self.writes.can_write()
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
        match &self.shape {
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

    /// Makes deleted data unreadable in the files of SQLite. Postgres does so itself when it
    /// vacuums.
    pub fn forget_deleted(&self) -> Result<()> {
        match &self.shape {
            Backend::Sqlite { manager, .. } => connection::empty_log(manager),
            Backend::Postgres { .. } => Ok(()),
        }
    }

    /// Returns the time of the database, if it has a clock of its own.
    pub fn clock(&self) -> Result<Option<UtcTime>> {
        self.read(connection::clock)
    }
}

fn in_writer<T, E>(
    writer: &Writer,
    durability: Durability,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
) -> std::result::Result<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    // Log lines of the work belong to its request.
    let span = tracing::Span::current();
    writer.run(durability, move |conn| span.in_scope(|| work(conn)))
}

/// Returns a random number of milliseconds, from 5 to 30.
fn jitter() -> u64 {
    5 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 10
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_shows_that_writes_are_possible_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let wait = Duration::from_secs(1);
        let db = Db::open(&url, PoolSettings { size: 1, wait, prepared_statements: true }).unwrap();
        db.writes.note(false);
        db.probe_writes().unwrap();
        assert!(db.can_write());
    }
}
