//! Insertion of many rows with one statement.

use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::query_builder::BoxedSqlQuery;
use diesel::sql_types::{Array, BigInt, Binary, Bool, Nullable, Text};
use diesel::sqlite::{Sqlite, SqliteConnection};

use super::rows::Value;
use super::tables::{Column, Kind, Table};
use crate::store::{Conn, Error, Result};

/// Inserts `rows`, whose values are in the order of the table's columns.
pub(super) fn insert(conn: &mut Conn, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Sqlite(sqlite) => insert_sqlite(sqlite, table, rows),
        Conn::Postgres(postgres) => insert_postgres(postgres, table, rows),
    }
}

fn insert_sqlite(conn: &mut SqliteConnection, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
    let row = format!("({})", vec!["?"; table.columns.len()].join(", "));
    let all = vec![row.as_str(); rows.len()].join(", ");
    let sql = format!("INSERT INTO \"{}\" ({}) VALUES {all}", table.name, table.column_list());
    let mut query = diesel::sql_query(sql).into_boxed::<Sqlite>();
    for value in rows.iter().flatten() {
        query = match value {
            Value::Null => query.bind::<Nullable<BigInt>, _>(None::<i64>),
            Value::Integer(number) => query.bind::<BigInt, _>(number),
            Value::Text(text) => query.bind::<Text, _>(text),
            Value::Bytes(bytes) => query.bind::<Binary, _>(bytes),
        };
    }
    query.execute(conn)?;
    Ok(())
}

/// Inserts with one array per column, so the statement is the same for any number of rows.
fn insert_postgres(conn: &mut PgConnection, table: &Table, rows: &[Vec<Value>]) -> Result<()> {
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| format!("${}::{}[]", at + 1, postgres_type(column.kind)))
        .collect();
    let sql = format!(
        "INSERT INTO \"{}\" ({}) SELECT * FROM unnest({})",
        table.name,
        table.column_list(),
        arrays.join(", ")
    );
    let mut query = diesel::sql_query(sql).into_boxed::<Pg>();
    for (at, column) in table.columns.iter().enumerate() {
        query = bind_column(query, column, rows, at).ok_or_else(|| {
            Error::Internal(format!("{}.{} holds another type", table.name, column.name))
        })?;
    }
    query.execute(conn)?;
    Ok(())
}

fn postgres_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Integer => "bigint",
        Kind::Bool => "boolean",
        Kind::Text => "text",
        Kind::Bytes => "bytea",
    }
}

type PgQuery<'a, Q> = BoxedSqlQuery<'a, Pg, Q>;

/// Returns `None` if a value does not have the type of the column: SQLite would store anything.
fn bind_column<'a, Q>(
    query: PgQuery<'a, Q>,
    column: &Column,
    rows: &'a [Vec<Value>],
    at: usize,
) -> Option<PgQuery<'a, Q>> {
    let values = rows.iter().map(|row| &row[at]);
    macro_rules! array {
        ($sql_type:ty, $form:pat => $value:expr) => {
            query.bind::<Array<Nullable<$sql_type>>, _>(
                values
                    .map(|value| match value {
                        Value::Null => Some(None),
                        $form => Some(Some($value)),
                        _ => None,
                    })
                    .collect::<Option<Vec<_>>>()?,
            )
        };
    }
    Some(match column.kind {
        Kind::Integer => array!(BigInt, Value::Integer(number) => *number),
        Kind::Bool => array!(Bool, Value::Integer(number) => *number != 0),
        Kind::Text => array!(Text, Value::Text(text) => text.as_str()),
        Kind::Bytes => array!(Binary, Value::Bytes(bytes) => bytes.as_slice()),
    })
}
