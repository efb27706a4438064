//! One connection type over two databases, opened by the scheme of the URL.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use diesel::connection::{
    AnsiTransactionManager, Connection, SimpleConnection, TransactionManager,
};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;

use super::{Error, Result};

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

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server, as libpq understands the URL. It may hold a password.
    Postgres(String),
}

impl DatabaseUrl {
    /// Reads `sqlite://PATH` or `postgres://...`; anything else is refused, since a typo in the
    /// scheme would silently make a file of that name.
    pub fn parse(text: &str) -> std::result::Result<Self, &'static str> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite(path.into())),
            _ => Err("must be postgres://USER:PASSWORD@HOST/DATABASE or sqlite://PATH"),
        }
    }

    /// A description for logs, without user and password.
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("SQLite, {}", path.display()),
            Self::Postgres(text) => match url::Url::parse(text) {
                Ok(url) => {
                    format!("Postgres, {}{}", url.host_str().unwrap_or("local socket"), url.path())
                }
                Err(_) => "Postgres".to_owned(),
            },
        }
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// Whether a connection may only look.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadOnly(pub bool);

/// Opens connections, for the pools and the writer thread.
#[derive(Clone, Debug)]
pub(super) struct Manager {
    url: DatabaseUrl,
    read_only: ReadOnly,
}

impl Manager {
    pub(super) fn new(url: DatabaseUrl, read_only: ReadOnly) -> Self {
        Self { url, read_only }
    }

    pub(super) fn open(&self) -> Result<Conn> {
        match &self.url {
            DatabaseUrl::Postgres(url) => {
                Ok(Conn::Postgres(PgConnection::establish(&with_time_limits(url))?))
            }
            DatabaseUrl::Sqlite(path) => self.open_sqlite(path),
        }
    }

    fn open_sqlite(&self, path: &Path) -> Result<Conn> {
        let path = path.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
        let mut conn = SqliteConnection::establish(path)?;
        // FULL: an acknowledged write survives a power cut.
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON;",
        )?;
        if self.read_only.0 {
            conn.batch_execute("PRAGMA query_only = ON;")?;
        }
        Ok(Conn::Sqlite(conn))
    }
}

/// Opens the database of another application, to look only. No setting of it is touched, and a file
/// that is not there is a fault.
pub(super) fn open_foreign(url: &DatabaseUrl) -> Result<Conn> {
    match url {
        DatabaseUrl::Postgres(url) => {
            Ok(Conn::Postgres(PgConnection::establish(&with_time_limits(url))?))
        }
        DatabaseUrl::Sqlite(path) => {
            let path = path.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
            // The path of a URI, in which these three have a meaning.
            let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let mut conn = SqliteConnection::establish(&format!("file:{path}?mode=ro"))?;
            conn.batch_execute("PRAGMA busy_timeout = 5000;")?;
            Ok(Conn::Sqlite(conn))
        }
    }
}

/// Begins a transaction that sees the database as it is at its first statement, to the end.
pub(super) fn begin_snapshot(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN")?,
        Conn::Postgres(postgres) => AnsiTransactionManager::begin_transaction_sql(
            postgres,
            "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?,
    }
    Ok(())
}

/// libpq waits without end for a server that takes the connection and says nothing, and a quarter
/// of an hour for one whose machine has gone, unless the URL says otherwise.
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

impl r2d2::ManageConnection for Manager {
    type Connection = Conn;
    type Error = Error;

    fn connect(&self) -> Result<Conn> {
        self.open()
    }

    fn is_valid(&self, conn: &mut Conn) -> Result<()> {
        match conn {
            // A file does not go away between two requests.
            Conn::Sqlite(_) => Ok(()),
            Conn::Postgres(_) => ping(conn),
        }
    }

    fn has_broken(&self, conn: &mut Conn) -> bool {
        std::thread::panicking()
            || <Conn as Connection>::TransactionManager::is_broken_transaction_manager(conn)
    }
}

/// The pool tries again by itself; its faults are worth a line, not an error to a caller.
#[derive(Debug)]
pub(super) struct LogFaults;

impl r2d2::HandleError<Error> for LogFaults {
    fn handle_error(&self, error: Error) {
        tracing::warn!(%error, "cannot connect to the database");
    }
}

pub(super) fn ping(conn: &mut Conn) -> Result<()> {
    Ok(conn.batch_execute("SELECT 1")?)
}

/// Begins a transaction that may write. SQLite must take the write lock at once: a transaction
/// that reads first and writes later fails as soon as somebody else has written in between.
pub(super) fn begin(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => {
            AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN IMMEDIATE")?;
        }
        Conn::Postgres(_) => <Conn as Connection>::TransactionManager::begin_transaction(conn)?,
    }
    Ok(())
}

pub(super) fn commit(conn: &mut Conn) -> Result<()> {
    Ok(<Conn as Connection>::TransactionManager::commit_transaction(conn)?)
}

fn rollback(conn: &mut Conn) {
    if let Err(error) = <Conn as Connection>::TransactionManager::rollback_transaction(conn) {
        tracing::warn!(%error, "cannot roll back; the connection is dropped");
    }
}

/// Undoes everything that is open inside the outermost transaction.
pub(super) fn roll_back_savepoints(conn: &mut Conn) -> Result<()> {
    type Transactions = <Conn as Connection>::TransactionManager;
    let depth = |conn: &mut Conn| {
        let status = Transactions::transaction_manager_status_mut(conn);
        status.transaction_depth().map(|depth| depth.map_or(0, NonZeroU32::get))
    };
    while depth(conn)? > 1 {
        Transactions::rollback_transaction(conn)?;
    }
    Ok(())
}

/// Runs `work` in a transaction of its own, or in a savepoint inside one.
pub(super) fn in_transaction<T, E: From<Error>>(
    conn: &mut Conn,
    work: impl FnOnce(&mut Conn) -> std::result::Result<T, E>,
) -> std::result::Result<T, E> {
    <Conn as Connection>::TransactionManager::begin_transaction(conn).map_err(Error::from)?;
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

    #[test]
    fn the_scheme_alone_chooses_the_database() {
        for (text, good) in [
            ("sqlite://data/a.db", true),
            ("sqlite:/tmp/a.db", true),
            ("postgres://u:p@h/d", true),
            ("postgresql:///d?host=/run", true),
            ("postgers://u:p@h/d", false),
            ("sqlite::memory:", false),
            ("data/a.db", false),
            ("", false),
        ] {
            assert_eq!(DatabaseUrl::parse(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn time_limits_of_the_operator_stay() {
        let limited = with_time_limits("postgres://u@h/d");
        assert_eq!(limited, "postgres://u@h/d?connect_timeout=5&tcp_user_timeout=10000");
        let limited = with_time_limits("postgres://u@h/d?connect_timeout=60");
        assert_eq!(limited, "postgres://u@h/d?connect_timeout=60&tcp_user_timeout=10000");
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let url = DatabaseUrl::parse("postgres://user:secret@db.example/app").unwrap();
        assert_eq!(format!("{url:?}"), "Postgres, db.example/app");
    }
}
