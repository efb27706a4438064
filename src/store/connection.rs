//! One connection type over two databases, opened by the scheme of the URL.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use diesel::RunQueryDsl as _;
use diesel::connection::{
    AnsiTransactionManager, Connection, SimpleConnection, TransactionManager,
};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Error, Result};
use crate::domain::UtcTime;

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
            if !is_percent_encoded(text) {
                return Err("has a % that encodes nothing: a % in a password is written %25");
            }
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        match path {
            Some(path) if !path.is_empty() && path != ":memory:" => Ok(Self::Sqlite(path.into())),
            _ => Err("must be postgres://USER:PASSWORD@HOST/DATABASE or sqlite://PATH"),
        }
    }

    /// Whether there is anything to open: a file that does not exist would be made.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres(_) => true,
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

/// Whether libpq can decode `text`. If not, it would say so with the password in its message.
fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit) && it != b"00")
    })
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
        // synchronous: an acknowledged write survives a power cut. secure_delete: what is deleted is
        // overwritten with zeros.
        conn.batch_execute(
            "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
             PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
        )?;
        if self.read_only.0 {
            conn.batch_execute("PRAGMA query_only = ON;")?;
        }
        Ok(Conn::Sqlite(conn))
    }
}

/// What a path cannot hold inside of an URI. SQLite has no other way to open a file for reading only.
const NOT_IN_A_URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/');

/// Opens a database that exists, and changes nothing there: no file is made, no journal turned to WAL,
/// nothing moved from it into the file.
pub(super) fn open_to_look(url: &DatabaseUrl) -> Result<Conn> {
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

/// Writes SQLite's log into the file and empties it: both may hold what was deleted since. A log that is being
/// read stays until the next call.
pub(super) fn empty_log(manager: &Manager) -> Result<()> {
    if let Conn::Sqlite(sqlite) = &mut manager.open()? {
        // Writers wait meanwhile: not for long.
        sqlite.batch_execute("PRAGMA busy_timeout = 20; PRAGMA wal_checkpoint(TRUNCATE);")?;
    }
    Ok(())
}

pub(super) fn ping(conn: &mut Conn) -> Result<()> {
    Ok(conn.batch_execute("SELECT 1")?)
}

/// A server has a clock of its own; a file goes by that of this machine.
pub(super) fn clock(conn: &mut Conn) -> Result<Option<UtcTime>> {
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

/// Begins a transaction that looks at one state of the database, whatever others do meanwhile.
pub(super) fn begin_snapshot(conn: &mut Conn) -> Result<()> {
    match conn {
        Conn::Sqlite(sqlite) => AnsiTransactionManager::begin_transaction_sql(sqlite, "BEGIN")?,
        Conn::Postgres(postgres) => AnsiTransactionManager::begin_transaction_sql(
            postgres,
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        )?,
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
    fn the_scheme_chooses_the_database_and_what_cannot_be_read_is_refused() {
        for (text, good) in [
            ("sqlite://data/a.db", true),
            ("sqlite:/tmp/a.db", true),
            ("postgres://u:p@h/d", true),
            ("postgresql:///d?host=/run", true),
            ("postgres://u:50%25@h/d", true),
            ("postgres://u:50%@h/d", false),
            ("postgres://u:%zz@h/d", false),
            ("postgres://u:%00@h/d", false),
            ("postgers://u:p@h/d", false),
            ("sqlite::memory:", false),
            ("data/a.db", false),
            ("", false),
        ] {
            assert_eq!(DatabaseUrl::parse(text).is_ok(), good, "{text}");
        }
    }

    /// What is acknowledged waits for the disk. No test can cut the power.
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
    fn a_password_in_the_url_is_not_shown() {
        let url = DatabaseUrl::parse("postgres://user:secret@db.example/app").unwrap();
        assert_eq!(format!("{url:?}"), "Postgres, db.example/app");
    }
}
