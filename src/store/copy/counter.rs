//! Sequences, which continue in the copy where they were.

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, Text};

use super::tables::Table;
use crate::store::{Conn, Result};

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = Nullable<BigInt>)]
    number: Option<i64>,
}

#[derive(QueryableByName)]
struct Sequence {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Returns the highest number that was ever assigned, also to deleted rows: traces of those
/// elsewhere must not meet a new row with the same number.
pub(super) fn last_number(conn: &mut Conn, table: &Table, column: &str) -> Result<i64> {
    let given = match conn {
        Conn::Sqlite(_) => {
            format!("SELECT seq AS number FROM sqlite_sequence WHERE name = '{}'", table.name)
        }
        Conn::Postgres(_) => {
            let name = sequence(table, column);
            let sequence: Sequence =
                diesel::sql_query(format!("SELECT {name} AS name")).get_result(conn)?;
            let name = sequence.name;
            format!("SELECT CASE WHEN is_called THEN last_value END AS number FROM {name}")
        }
    };
    let largest = format!("SELECT max(\"{column}\") AS number FROM \"{}\"", table.name);
    let mut last = 0;
    for sql in [given, largest] {
        let numbers = diesel::sql_query(sql).load::<Number>(conn)?;
        last = numbers.iter().filter_map(|row| row.number).fold(last, i64::max);
    }
    Ok(last)
}

/// Makes the next number higher than `last`.
pub(super) fn continue_after(
    conn: &mut Conn,
    table: &Table,
    column: &str,
    last: i64,
) -> Result<()> {
    if last == 0 {
        return Ok(());
    }
    let name = &table.name;
    match conn {
        Conn::Sqlite(sqlite) => {
            // The row exists only after a number was assigned.
            for sql in [
                format!("DELETE FROM sqlite_sequence WHERE name = '{name}'"),
                format!("INSERT INTO sqlite_sequence (name, seq) VALUES ('{name}', {last})"),
            ] {
                diesel::sql_query(sql).execute(sqlite)?;
            }
        }
        Conn::Postgres(postgres) => {
            let sql = format!("SELECT setval({}, {last})", sequence(table, column));
            diesel::sql_query(sql).execute(postgres)?;
        }
    }
    Ok(())
}

fn sequence(table: &Table, column: &str) -> String {
    format!("pg_get_serial_sequence('\"{}\"', '{column}')", table.name)
}
