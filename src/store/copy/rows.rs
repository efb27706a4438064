//! Rows of any table, read in the same form from both databases.

use aws_lc_rs::digest;
use diesel::backend::Backend;
use diesel::connection::DefaultLoadingMode;
use diesel::deserialize::{self, FromSql, QueryableByName};
use diesel::pg::{Pg, PgRowByRowLoadingMode, PgValue};
use diesel::prelude::*;
use diesel::row::{Field as _, NamedRow, Row};
use diesel::sql_types::{BigInt, Binary, Bool, Integer, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteType, SqliteValue};

use super::tables::Table;
use crate::store::{Conn, Error, Result};

/// A value in both databases. SQLite stores booleans as 0 and 1.
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

struct Values(Vec<Value>);

impl QueryableByName<Sqlite> for Values {
    fn build<'a>(row: &impl NamedRow<'a, Sqlite>) -> deserialize::Result<Self> {
        read_all(row, from_sqlite)
    }
}

impl QueryableByName<Pg> for Values {
    fn build<'a>(row: &impl NamedRow<'a, Pg>) -> deserialize::Result<Self> {
        read_all(row, from_postgres)
    }
}

fn read_all<'a, DB: Backend>(
    row: &impl Row<'a, DB>,
    read: impl Fn(DB::RawValue<'_>) -> deserialize::Result<Value>,
) -> deserialize::Result<Values> {
    let read = |at| {
        let field = row.get(at).ok_or("a column is missing")?;
        field.value().map_or(Ok(Value::Null), &read)
    };
    (0..row.field_count()).map(read).collect::<deserialize::Result<_>>().map(Values)
}

fn from_sqlite(value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Value> {
    match value.value_type() {
        None => Ok(Value::Null),
        Some(SqliteType::Long) => FromSql::<BigInt, Sqlite>::from_sql(value).map(Value::Integer),
        Some(SqliteType::Text) => FromSql::<Text, Sqlite>::from_sql(value).map(Value::Text),
        Some(SqliteType::Binary) => FromSql::<Binary, Sqlite>::from_sql(value).map(Value::Bytes),
        Some(other) => Err(format!("a value of the type {other:?} cannot be copied").into()),
    }
}

fn from_postgres(value: PgValue<'_>) -> deserialize::Result<Value> {
    // Type OIDs are fixed: src/include/catalog/pg_type.dat of Postgres.
    match value.get_oid().get() {
        16 => <bool as FromSql<Bool, Pg>>::from_sql(value).map(|it| Value::Integer(it.into())),
        17 => FromSql::<Binary, Pg>::from_sql(value).map(Value::Bytes),
        20 => FromSql::<BigInt, Pg>::from_sql(value).map(Value::Integer),
        23 => <i32 as FromSql<Integer, Pg>>::from_sql(value).map(|it| Value::Integer(it.into())),
        25 => FromSql::<Text, Pg>::from_sql(value).map(Value::Text),
        other => Err(format!("a value of the type {other} cannot be copied").into()),
    }
}

/// Calls `each` with the values of every row, in the order of the table's columns. Rows are not
/// collected: they may exceed the memory.
pub(super) fn for_each_row<E>(
    conn: &mut Conn,
    table: &Table,
    fault: impl Fn(Error) -> E,
    mut each: impl FnMut(Vec<Value>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let sql = format!("SELECT {} FROM \"{}\"", table.column_list(), table.name);
    let query = diesel::sql_query(sql);
    let mut next = |row: QueryResult<Values>| each(row.map_err(|error| fault(error.into()))?.0);
    let failed = |error: diesel::result::Error| fault(error.into());
    match conn {
        Conn::Sqlite(sqlite) => query
            .load_iter::<Values, DefaultLoadingMode>(sqlite)
            .map_err(failed)?
            .try_for_each(&mut next),
        Conn::Postgres(postgres) => query
            .load_iter::<Values, PgRowByRowLoadingMode>(postgres)
            .map_err(failed)?
            .try_for_each(&mut next),
    }
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
}

/// Returns the number of rows of a table.
pub(super) fn count(conn: &mut Conn, table: &Table) -> Result<u64> {
    let sql = format!("SELECT count(*) AS number FROM \"{}\"", table.name);
    let row: Number = diesel::sql_query(sql).get_result(conn)?;
    Ok(row.number.and_then(|number| number.try_into().ok()).unwrap_or(0))
}

/// Checksum of a table, which shows a difference without showing content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of rows.
    pub rows: u64,
    /// The sum of the hashes of the rows, so their order does not matter.
    pub checksum: u128,
}

impl Summary {
    fn add(&mut self, row: &[Value]) {
        let mut hash = digest::Context::new(&digest::SHA256);
        for value in row {
            // Each value contains its type and length, so different rows have different bytes.
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Integer(number) => (1, &number.to_be_bytes()),
                Value::Text(text) => (2, text.as_bytes()),
                Value::Bytes(bytes) => (3, bytes),
            };
            hash.update(&[kind]);
            hash.update(&(bytes.len() as u64).to_be_bytes());
            hash.update(bytes);
        }
        let hash = hash.finish();
        let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
        self.rows += 1;
        self.checksum = self.checksum.wrapping_add(u128::from_be_bytes(half));
    }
}

/// Computes the number and the checksum of the rows of a table.
pub(super) fn summarise<E>(
    conn: &mut Conn,
    table: &Table,
    fault: impl Fn(Error) -> E,
) -> std::result::Result<Summary, E> {
    let mut summary = Summary::default();
    for_each_row(conn, table, fault, |row| {
        summary.add(&row);
        Ok(())
    })?;
    Ok(summary)
}
