//! The only room that knows Diesel. One connection type over SQLite and Postgres, one file per
//! table family. Functions say their effect (`find_`, `insert_`, `consume_`, `end_`), take `now`
//! as an argument and never decide what a result means.

mod backup;
mod connection;
mod error;
mod migrate;
mod page;
mod schema;
mod writer;

pub mod copy;
pub mod django_source;
pub mod erasures;
pub mod events;
pub mod import;
pub mod known_devices;
pub mod limits;
pub mod one_time_tokens;
pub mod outbox;
pub mod registrations;
pub mod sessions;
pub mod signing_keys;
pub mod stand_ins;
pub mod user_search;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

pub use backup::{BackupError, backup};
pub use connection::{Conn, DatabaseUrl};
pub use error::{Error, Result, Unique};
pub use migrate::{pending, run as migrate};
pub use page::Page;

use connection::{Manager, ReadOnly};
use writer::Writer;

use crate::domain::UtcTime;

/// A handle to the database, cheap to clone.
#[derive(Clone)]
pub struct Db {
    shape: Shape,
}

#[derive(Clone)]
enum Shape {
    /// SQLite takes one writer: a thread that commits many jobs at once. Readers never wait.
    Sqlite {
        writer: Arc<Writer>,
        readers: r2d2::Pool<Manager>,
        manager: Manager,
    },
    Postgres {
        pool: r2d2::Pool<Manager>,
    },
}

/// How the pools are made.
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Connections to Postgres, or reading connections to SQLite.
    pub size: u32,
    /// How long a caller waits for a free connection.
    pub wait: Duration,
}

impl Db {
    /// Opens the database and brings its tables up to date.
    pub fn open(url: &DatabaseUrl, settings: PoolSettings) -> Result<Self> {
        migrate(url)?;
        Self::open_as_is(url, settings)
    }

    /// Opens the database as it is.
    pub fn open_as_is(url: &DatabaseUrl, settings: PoolSettings) -> Result<Self> {
        let pool = |read_only| {
            r2d2::Pool::builder()
                .max_size(settings.size)
                // With none, nobody replaces a broken connection that others are waiting for.
                .min_idle(Some(1))
                .test_on_check_out(true)
                .connection_timeout(settings.wait)
                .error_handler(Box::new(connection::LogFaults))
                .build_unchecked(Manager::new(url.clone(), read_only))
        };
        let shape = match url {
            DatabaseUrl::Sqlite(_) => Shape::Sqlite {
                writer: Arc::new(Writer::start(Manager::new(url.clone(), ReadOnly(false)))?),
                readers: pool(ReadOnly(true)),
                manager: Manager::new(url.clone(), ReadOnly(false)),
            },
            DatabaseUrl::Postgres(_) => Shape::Postgres { pool: pool(ReadOnly(false)) },
        };
        Ok(Self { shape })
    }

    /// Runs `work` on a connection, for looking only.
    pub fn read<T, E: From<Error>>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let pool = match &self.shape {
            Shape::Sqlite { readers, .. } => readers,
            Shape::Postgres { pool } => pool,
        };
        work(&mut *pool.get().map_err(Error::from)?)
    }

    /// Runs `work` in one transaction and answers after it is on disk. An error rolls it back.
    ///
    /// `work` must be short: on SQLite all writers share one thread.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Conn) -> std::result::Result<T, E> + Send + 'static,
    ) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &self.shape {
            // What the work logs belongs to the request that it is done for.
            Shape::Sqlite { writer, .. } => {
                let span = tracing::Span::current();
                writer.run(move |conn| span.in_scope(|| work(conn)))
            }
            Shape::Postgres { pool } => {
                connection::in_transaction(&mut *pool.get().map_err(Error::from)?, work)
            }
        }
    }

    /// Makes what was deleted unreadable in the files of SQLite. A Postgres does so by itself, when it vacuums.
    pub fn forget_deleted(&self) -> Result<()> {
        match &self.shape {
            Shape::Sqlite { manager, .. } => connection::empty_log(manager),
            Shape::Postgres { .. } => Ok(()),
        }
    }

    /// What time it is for the database, if it has a clock of its own.
    pub fn clock(&self) -> Result<Option<UtcTime>> {
        self.read(connection::clock)
    }

    /// Whether the database answers.
    pub fn ping(&self) -> Result<()> {
        self.read(connection::ping)
    }
}
