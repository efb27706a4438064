//! One connection type over two databases, opened by the scheme of the URL.

use std::path::Path;
use std::sync::Once;
use std::time::Duration;

use diesel::RunQueryDsl as _;
use diesel::connection::{CacheSize, Connection, SimpleConnection, TransactionManager};
use diesel::pg::PgConnection;
use diesel::sqlite::SqliteConnection;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::UtcTime;
use crate::store::engine::certificates::with_system_certificates;
use crate::store::engine::health::{Trust, WriteState};
use crate::store::engine::sqlite_file;
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

/// Time for which a statement on SQLite waits for a lock, in milliseconds.
const BUSY_TIMEOUT: &str = "PRAGMA busy_timeout = 5000;";

/// Time for which emptying the log waits for readers.
const READERS_WAIT: Duration = Duration::from_millis(20);

#[derive(diesel::QueryableByName)]
struct Journal {
    #[diesel(sql_type = diesel::sql_types::Text)]
    journal_mode: String,
}

/// Flag of a connection that may only read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadOnly(pub bool);

/// The connections to Postgres that keep prepared statements. A pooler that hands each transaction
/// to another server process loses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PreparedStatements {
    /// All.
    Always,
    /// Those that lead to no pooler, as far as one can be recognised.
    UnlessPooled,
    /// None.
    Never,
}

/// Opens connections, for the pools and the writer thread.
#[derive(Clone, Debug)]
pub(crate) struct Manager {
    url: DatabaseUrl,
    read_only: ReadOnly,
    prepared_statements: PreparedStatements,
    /// Limit of waits for locks that new connections to Postgres request.
    lock_timeout: Option<Duration>,
    pub(super) writes: WriteState,
    pub(super) trust: Trust,
}

impl Manager {
    /// Returns a manager whose Postgres connections keep no prepared statements.
    pub(crate) fn new(url: DatabaseUrl, read_only: ReadOnly) -> Self {
        let (writes, trust) = (WriteState::default(), Trust::default());
        Self {
            url,
            read_only,
            prepared_statements: PreparedStatements::Never,
            lock_timeout: None,
            writes,
            trust,
        }
    }

    /// Returns the manager of a pool.
    pub(crate) fn for_pool(
        self,
        prepared_statements: PreparedStatements,
        wait: Duration,
        writes: WriteState,
    ) -> Self {
        // A pooler that loses prepared statements does not accept the start-up option either.
        let lock_timeout = Some(wait).filter(|_| prepared_statements != PreparedStatements::Never);
        Self { prepared_statements, lock_timeout, writes, ..self }
    }

    pub(crate) fn writes(&self) -> &WriteState {
        &self.writes
    }

    pub(crate) fn open(&self) -> Result<Conn> {
        match &self.url {
            DatabaseUrl::Postgres(url) => {
                let mut conn = self.open_postgres(&connection_url(url)?)?;
                if self.prepared_statements == PreparedStatements::Never {
                    prepare_no_statements(&mut conn);
                }
                Ok(Conn::Postgres(conn))
            }
            DatabaseUrl::Sqlite(path) => self.open_sqlite(path),
        }
    }

    fn open_postgres(&self, url: &str) -> Result<PgConnection> {
        if let Some(timeout) = self.lock_timeout
            && let Some(limited) = with_lock_timeout(url, timeout)
        {
            match PgConnection::establish(&limited) {
                Err(error) if refuses_option(&error) => {
                    let mut conn = PgConnection::establish(url)?;
                    self.note_pooler(&mut conn);
                    return Ok(conn);
                }
                outcome => return Ok(outcome?),
            }
        }
        Ok(PgConnection::establish(url)?)
    }

    /// Records whether the server limits waits for locks on a new connection. Where the start-up
    /// option had no effect, a pooler ignored it.
    pub(super) fn note_limit(&self, postgres: &mut PgConnection, limits_waits: bool) {
        let DatabaseUrl::Postgres(url) = &self.url else { return };
        let asked = self.lock_timeout.and_then(|timeout| with_lock_timeout(url, timeout));
        if asked.is_some() && !limits_waits {
            self.note_pooler(postgres);
        }
    }

    /// Keeps no statements on a connection through a pooler, unless the setting demands it. In
    /// transaction mode, the statement of that name at the next server process may be another one,
    /// which would be executed in its place.
    fn note_pooler(&self, conn: &mut PgConnection) {
        static LOGGED: Once = Once::new();
        if self.prepared_statements == PreparedStatements::Always {
            LOGGED.call_once(|| tracing::warn!("{PREPARED_BEHIND_A_POOLER}"));
            return;
        }
        LOGGED.call_once(|| {
            tracing::info!(
                setting = "HALLPASS_DATABASE_PREPARED_STATEMENTS",
                "Postgres is reached through a pooler: no statements are prepared, as with `off`"
            );
        });
        prepare_no_statements(conn);
    }

    fn open_sqlite(&self, path: &Path) -> Result<Conn> {
        if !self.read_only.0 {
            sqlite_file::require_writable(path)?;
        }
        self.open_file(path).map_err(|error| sqlite_file::explain(path, error))
    }

    fn open_file(&self, path: &Path) -> Result<Conn> {
        let path = path.to_str().ok_or_else(|| Error::Internal("path is not UTF-8".into()))?;
        let mut conn = SqliteConnection::establish(path)?;
        conn.batch_execute(BUSY_TIMEOUT)?;
        let journal: Journal =
            diesel::sql_query("PRAGMA journal_mode = WAL").get_result(&mut conn)?;
        if journal.journal_mode != "wal" {
            return Err(Error::Unsuitable(sqlite_file::NO_WAL.to_owned()));
        }
        // synchronous: an acknowledged write survives a power cut. secure_delete: what is deleted
        // is overwritten with zeros.
        conn.batch_execute(
            "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
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

/// The warning about a pooler with `HALLPASS_DATABASE_PREPARED_STATEMENTS=on`.
pub const PREPARED_BEHIND_A_POOLER: &str = "Postgres is reached through a pooler, and \
     HALLPASS_DATABASE_PREPARED_STATEMENTS=on: in transaction mode, a pooler that does not track \
     prepared statements loses or confuses them; set auto or off unless yours tracks them";

/// Returns whether a pooler refused a start-up option, of which it accepts few.
pub(super) fn refuses_option(error: &diesel::ConnectionError) -> bool {
    error.to_string().contains("startup parameter")
}

fn prepare_no_statements(conn: &mut PgConnection) {
    conn.set_prepared_statement_cache_size(CacheSize::Disabled);
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
    conn.batch_execute(BUSY_TIMEOUT)?;
    Ok(Conn::Sqlite(conn))
}

/// Returns the URL for libpq with time-outs.
pub(super) fn connection_url(url: &str) -> Result<String> {
    Ok(with_time_limits(&with_system_certificates(url)?))
}

/// Adds time-outs to a URL that has none. Without them, libpq waits for ever for a server that
/// accepts the connection and sends nothing, and a quarter of an hour for one whose machine is
/// gone.
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
pub(super) fn with_lock_timeout(url: &str, timeout: Duration) -> Option<String> {
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

/// Returns the number of pages of SQLite's log that are not in the file yet.
pub(crate) fn log_pages(conn: &mut Conn) -> Result<i32> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        log: i32,
        #[diesel(sql_type = diesel::sql_types::Integer)]
        checkpointed: i32,
    }
    let Conn::Sqlite(sqlite) = conn else { return Ok(0) };
    let row: Row = diesel::sql_query("PRAGMA wal_checkpoint(NOOP)").get_result(sqlite)?;
    Ok(row.log - row.checkpointed)
}

/// Copies SQLite's log into the file, as far as no reader needs the file as it is. It waits for no
/// other connection.
pub(crate) fn copy_log(conn: &mut Conn) -> Result<()> {
    let Conn::Sqlite(sqlite) = conn else { return Ok(()) };
    Ok(sqlite.batch_execute("PRAGMA wal_checkpoint(PASSIVE);")?)
}

/// Writes the rest of SQLite's log into the file and empties it: both may hold what was deleted
/// since. Returns whether it is empty: others may read or copy it.
///
/// The connection that writes does it. From another one, SQLite would forget the pages that the
/// connection that writes has in memory.
pub(crate) fn empty_log(conn: &mut Conn) -> Result<bool> {
    #[derive(diesel::QueryableByName)]
    struct Checkpoint {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        busy: i32,
    }
    let Conn::Sqlite(sqlite) = conn else { return Ok(true) };
    sqlite.batch_execute(&format!("PRAGMA busy_timeout = {};", READERS_WAIT.as_millis()))?;
    let checkpoint = diesel::sql_query("PRAGMA wal_checkpoint(TRUNCATE)");
    let emptied = checkpoint.get_result::<Checkpoint>(sqlite).map(|it| it.busy == 0);
    sqlite.batch_execute(BUSY_TIMEOUT)?;
    Ok(emptied?)
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

    /// This way of locking needs no shared memory, without which there is no write-ahead log.
    #[test]
    fn a_file_without_a_write_ahead_log_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.db");
        let url = DatabaseUrl::Sqlite(format!("file:{}?vfs=unix-dotfile", file.display()).into());
        let refused = Manager::new(url, ReadOnly(false)).open().err().unwrap();
        assert!(matches!(refused, Error::Unsuitable(_)), "{refused}");
    }

    /// `.cargo/config.toml` chooses it: Diesel writes `LIMIT ?`, and SQLite would plan such a
    /// statement for each limit that it is executed with.
    #[test]
    fn sqlite_plans_a_statement_once() {
        #[derive(diesel::QueryableByName)]
        struct Chosen {
            #[diesel(sql_type = diesel::sql_types::Bool)]
            chosen: bool,
        }
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::Sqlite(folder.path().join("a.db"));
        let mut conn = Manager::new(url, ReadOnly(false)).open().unwrap();
        let chosen = "SELECT sqlite_compileoption_used('ENABLE_QPSG') AS chosen";
        assert!(diesel::sql_query(chosen).get_result::<Chosen>(&mut conn).unwrap().chosen);
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
