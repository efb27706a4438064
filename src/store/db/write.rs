//! Writes: transactions that are repeated after a conflict, and counters.

use std::thread;
use std::time::{Duration, Instant};

use super::{Backend, Db};
use crate::domain::UtcTime;
use crate::store::engine::connection::{Conn, ReadOnly};
use crate::store::engine::health::{Fault, Obstacle};
use crate::store::engine::pool::Pooled;
use crate::store::engine::probe;
use crate::store::engine::transaction::Durability;
use crate::store::limits::{self, Counting, Used, Uses};
use crate::store::{Error, Result};

/// Runs of a transaction before a conflict with others is an error.
const ATTEMPTS: u32 = 4;

/// Kind of a write: its durability, and whether its work is one statement on Postgres.
///
/// Such a statement is one round trip, a transaction of its own. After a failure of the connection
/// it runs again, although it may have been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteKind {
    /// Returns after it is on disk.
    Durable,
    /// Returns after it is on disk; one statement.
    DurableStatement,
    /// A write that is needed only until the conclusion of a job is stored. On SQLite it returns
    /// before it is on disk: a power failure ends this process too, and the job starts again. On
    /// Postgres it waits for the disk, since the server can fail while this process continues.
    Provisional,
    /// Returns before it is on disk: a power failure may undo it. The next durable write covers it.
    /// On Postgres no other transaction waits for the disk at the rows that it locks.
    Lazy,
    /// Returns before it is on disk; one statement.
    LazyStatement,
}

impl WriteKind {
    fn durability(self, backend: &Backend) -> Durability {
        match (self, backend) {
            (Self::Durable | Self::DurableStatement, _)
            | (Self::Provisional, Backend::Postgres { .. }) => Durability::Full,
            (Self::Lazy | Self::LazyStatement, _) | (Self::Provisional, Backend::Sqlite { .. }) => {
                Durability::Lazy
            }
        }
    }

    fn is_one_statement(self) -> bool {
        matches!(self, Self::DurableStatement | Self::LazyStatement)
    }
}

impl Db {
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
        self.write_as(WriteKind::Durable, work)
    }

    /// Writes like [`Db::write`], with another durability or by one statement.
    pub fn write_as<T, E>(
        &self,
        kind: WriteKind,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Clone + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let durability = kind.durability(&self.backend);
        let pool = match &self.backend {
            Backend::Sqlite { writer, .. } => return writer.run(durability, work),
            Backend::Postgres { pool, .. } => pool,
        };
        // A statement of its own has the isolation level that is the server's default. Where that
        // leads to a conflict, it runs again at ours.
        if kind.is_one_statement()
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
                // Diesel does not distinguish a full disk (53100), and messages are in the language
                // of the server: a trial write shows it.
                if may_repeat && outcome.is_err() && pooled.fault() == Some(Fault::Unknown) {
                    self.writes.doubt();
                }
                return outcome;
            }
            // The other transactions of the conflict must not retry at the same moment.
            drop(pooled);
            thread::sleep(Duration::from_millis(jitter() * u64::from(attempt)));
            attempt += 1;
        }
    }

    /// Writes like [`Db::write`], without a retry, what is too large to be kept for one.
    pub fn write_once<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.backend {
            Backend::Sqlite { writer, .. } => writer.run(Durability::Full, work),
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

    /// Counts a use by one statement of its own. On Postgres, concurrent uses of the same counter
    /// in this process are counted together: one by one, each would be a statement and wait for its
    /// turn at the row.
    ///
    /// A power failure may lose the last counts. Until the caller stores a wait, others may count
    /// more uses than its limit allows. It refuses them by their numbers.
    pub fn use_counter(&self, name: &str, window_ends: UtcTime, now: UtcTime) -> Result<Counting> {
        let Backend::Postgres { uses, .. } = &self.backend else {
            let name = name.to_owned();
            let use_one = move |conn: &mut Conn| limits::use_counter(conn, &name, window_ends, now);
            return self.write_as(WriteKind::Lazy, use_one);
        };
        uses.run(name, |callers| {
            let uses = i64::try_from(callers).unwrap_or(i64::MAX);
            let together = Uses { name: name.to_owned(), uses, window_ends };
            let count = move |conn: &mut Conn| limits::use_counters(conn, &[together], now);
            let missing = || Error::Internal("a counter has no result".to_owned());
            let mut counted = self.write_as(WriteKind::LazyStatement, count)?;
            let counted = counted.pop().ok_or_else(missing)?;
            let nth = |n| counted.map(|used| Used { uses: used.uses - uses + n, ..used });
            Ok((1..=uses).map(nth).collect())
        })
    }

    /// Returns whether all writes go through one thread, so that no transaction waits for another.
    pub fn has_one_writer(&self) -> bool {
        matches!(self.backend, Backend::Sqlite { .. })
    }

    /// Tries a write and rolls it back.
    pub fn try_write(&self) -> Result<()> {
        match &self.backend {
            Backend::Sqlite { manager, .. } => probe::try_write(&mut manager.open()?),
            Backend::Postgres { pool, .. } => self.connection(pool)?.run_alone(probe::try_write),
        }
    }

    /// Tries a write if writes fail, or one failed on Postgres for a reason that is not known, and
    /// records whether it succeeds. Whether a Postgres is read-only is shown by each connection that
    /// the pool hands out.
    pub fn probe_writes(&self) -> Result<()> {
        let is_doubtful = self.writes.take_doubt();
        if !is_doubtful && !self.writes.has(Obstacle::Failure) {
            return Ok(());
        }
        let outcome = match &self.backend {
            Backend::Sqlite { .. } => self.try_write(),
            Backend::Postgres { pool, .. } => {
                let mut pooled = self.connection(pool)?;
                let outcome = pooled.run_alone(probe::try_write);
                // A lost connection, a lock or a standby says nothing about this obstacle.
                let is_other = pooled.fault() != Some(Fault::Unknown)
                    || matches!(outcome, Err(Error::Locked(_)));
                if outcome.is_err() && is_other {
                    return outcome;
                }
                outcome
            }
        };
        self.writes.note(Obstacle::Failure, outcome.is_err());
        outcome
    }

    /// Returns whether the database accepts writes, according to the last transactions.
    pub fn can_write(&self) -> bool {
        self.writes.can_write()
    }
}

/// Returns a random number of milliseconds, from 5 to 30.
fn jitter() -> u64 {
    5 + u64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 10
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DatabaseUrl, PoolSettings, PreparedStatements};

    /// SQLite itself copies no log.
    #[test]
    fn the_log_of_sqlite_does_not_grow_with_each_commit() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let wait = Duration::from_secs(1);
        let db = Db::open(
            &url,
            PoolSettings { size: 1, wait, prepared_statements: PreparedStatements::Always },
        )
        .unwrap();
        let log = || std::fs::metadata(folder.path().join("a.db-wal")).unwrap().len();
        let now = UtcTime::from_seconds(1);
        let longest = 2_000 * 4_096;
        let (mut written, mut number) = (0, 0);
        while written < 2 * longest {
            // A page and more of the table, and as much of its index.
            let name = format!("{number}{}", "x".repeat(8_192));
            db.use_counter(&name, now, now).unwrap().unwrap();
            (written, number) = (written + 2 * 8_192, number + 1);
            assert!(log() < longest, "{} bytes after {number} commits", log());
        }
    }

    #[test]
    fn a_probe_shows_that_writes_are_possible_again() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let wait = Duration::from_secs(1);
        let db = Db::open(
            &url,
            PoolSettings { size: 1, wait, prepared_statements: PreparedStatements::Always },
        )
        .unwrap();
        db.writes.note(Obstacle::Failure, true);
        assert!(!db.can_write());
        db.probe_writes().unwrap();
        assert!(db.can_write());
    }
}
