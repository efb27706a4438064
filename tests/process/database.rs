//! The database of a service, past the service.

use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{RunQueryDsl as _, sql_query};
use hallpass::store::{Conn, DatabaseUrl, Db, Error, PoolSettings};

use crate::sql::Line;

/// A way in for SQL.
pub struct Database(Db);

impl Database {
    /// The database as it is, which on SQLite may be not there yet.
    pub fn at(url: &str) -> Self {
        let settings = PoolSettings { size: 1, wait: Duration::from_secs(10) };
        Self(Db::open_as_is(&DatabaseUrl::parse(url).unwrap(), settings).unwrap())
    }

    /// Runs statements in one transaction.
    pub fn execute(&self, sql: &str) {
        let text = sql.to_owned();
        let done =
            self.0.write(move |conn: &mut Conn| conn.batch_execute(&text).map_err(Error::from));
        done.unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// What a query for a column `line` gives.
    pub fn lines(&self, sql: &str) -> Vec<String> {
        let rows =
            self.0.read(|conn: &mut Conn| sql_query(sql).load::<Line>(conn).map_err(Error::from));
        rows.unwrap().into_iter().map(|row| row.line).collect()
    }
}
