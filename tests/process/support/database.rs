//! Direct access to the database of a service.

use std::time::Duration;

use diesel::connection::{Connection as _, SimpleConnection as _};
use diesel::sqlite::SqliteConnection;
use diesel::{RunQueryDsl as _, sql_query};
use hallpass::store::{Conn, DatabaseUrl, Db, Error, PoolSettings, PreparedStatements};

use crate::sql::Line;

/// A way in for SQL.
pub struct Database(Db);

impl Database {
    /// The database as it is, which on SQLite may be not there yet.
    pub fn at(url: &str) -> Self {
        let wait = Duration::from_secs(10);
        let settings =
            PoolSettings { size: 1, wait, prepared_statements: PreparedStatements::Always };
        let url = DatabaseUrl::parse(url).unwrap();
        if let DatabaseUrl::Sqlite(path) = &url {
            // Two connections that turn a new file to WAL at the same moment refuse each other.
            let mut first = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
            first.batch_execute("PRAGMA journal_mode = WAL").unwrap();
        }
        Self(Db::open_as_is(&url, settings).unwrap())
    }

    /// Runs statements in one transaction.
    pub fn execute(&self, sql: &str) {
        let text = sql.to_owned();
        let done =
            self.0.write(move |conn: &mut Conn| conn.batch_execute(&text).map_err(Error::from));
        done.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// Runs a statement after another one, in one transaction. Returns how many rows it changed.
    pub fn change(&self, before: &str, sql: &str) -> usize {
        let (before, sql) = (before.to_owned(), sql.to_owned());
        let changed = self.0.write(move |conn: &mut Conn| {
            conn.batch_execute(&before)?;
            sql_query(sql).execute(conn).map_err(Error::from)
        });
        changed.unwrap()
    }

    /// Returns the column `line` of a query.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let rows =
            self.0.read(|conn: &mut Conn| sql_query(sql).load::<Line>(conn).map_err(Error::from));
        rows.unwrap().into_iter().map(|row| row.line).collect()
    }
}
