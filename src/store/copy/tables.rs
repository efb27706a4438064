//! Tables and columns of the migrations, read from a database, so that no list has to be
//! maintained.

use std::collections::{BTreeMap, BTreeSet};

use diesel::QueryableByName;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};

use crate::store::{Conn, Error, Result};

/// A table, as far as a copy needs to know it.
pub(in crate::store) struct Table {
    pub name: String,
    pub columns: Vec<Column>,
    /// The column with a sequence.
    pub counter: Option<String>,
}

pub(in crate::store) struct Column {
    pub name: String,
    pub kind: Kind,
}

/// Types of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Integer,
    Bool,
    Text,
    Bytes,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    counts_up: bool,
    #[diesel(sql_type = Nullable<Text>)]
    refers_to: Option<String>,
}

/// Tables that only instances of the previous version read. Triggers fill them from `challenges`,
/// also in the target of a copy, and the next version drops them.
const MIRRORS: [&str; 2] = ["registrations", "one_time_tokens"];

/// Returns the newest tables, each after those it refers to, and the migrations that create them.
/// They are read from the database of [`scratch`](crate::store::engine::migrations::scratch).
pub(in crate::store) fn of_this_version(
    scratch: &mut Conn,
) -> Result<(Vec<Table>, BTreeSet<String>)> {
    let mut tables = BTreeMap::new();
    let mut references: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in columns(scratch)? {
        let table = tables.entry(row.table_name.clone()).or_insert_with(|| Table {
            name: row.table_name.clone(),
            columns: Vec::new(),
            counter: None,
        });
        let known = references.entry(row.table_name.clone()).or_default();
        known.extend(row.refers_to.filter(|other| *other != row.table_name));
        if row.counts_up {
            table.counter = Some(row.name.clone());
        }
        table.columns.push(Column { kind: kind(&row.kind)?, name: row.name });
    }
    let newest = applied_migrations(scratch)?.unwrap_or_default();
    Ok((in_order(tables, &references)?, newest))
}

fn columns(conn: &mut Conn) -> Result<Vec<ColumnRow>> {
    let sql = "SELECT t.name AS table_name, c.name AS name, upper(c.type) AS kind, \
               c.pk > 0 AND t.sql LIKE '%AUTOINCREMENT%' AS counts_up, f.\"table\" AS refers_to \
               FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
               LEFT JOIN pragma_foreign_key_list(t.name) f ON f.\"from\" = c.name \
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND t.name <> '__diesel_schema_migrations' ORDER BY t.name, c.cid";
    let mut rows: Vec<ColumnRow> = diesel::sql_query(sql).load(conn)?;
    rows.retain(|row| !MIRRORS.contains(&row.table_name.as_str()));
    Ok(rows)
}

fn kind(name: &str) -> Result<Kind> {
    match name {
        "INTEGER" | "BIGINT" => Ok(Kind::Integer),
        "BOOLEAN" => Ok(Kind::Bool),
        "TEXT" => Ok(Kind::Text),
        "BLOB" => Ok(Kind::Bytes),
        other => Err(Error::Internal(format!("columns of the type {other} cannot be copied"))),
    }
}

fn in_order(
    mut tables: BTreeMap<String, Table>,
    references: &BTreeMap<String, BTreeSet<String>>,
) -> Result<Vec<Table>> {
    let mut ordered = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let waits = |name: &String| references[name].iter().any(|other| tables.contains_key(other));
        let next = tables.keys().find(|name| !waits(name)).cloned();
        let next = next.and_then(|name| tables.remove(&name));
        ordered.push(next.ok_or_else(|| Error::Internal("tables refer in a circle".into()))?);
    }
    Ok(ordered)
}

/// Returns the migrations of a database; `None` if there never were any.
pub(in crate::store) fn applied_migrations(conn: &mut Conn) -> Result<Option<BTreeSet<String>>> {
    if !names_of_tables(conn)?.contains("__diesel_schema_migrations") {
        return Ok(None);
    }
    names(conn, "SELECT version AS name FROM __diesel_schema_migrations").map(Some)
}

pub(in crate::store) fn names_of_tables(conn: &mut Conn) -> Result<BTreeSet<String>> {
    let sql = match conn {
        Conn::Sqlite(_) => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        Conn::Postgres(_) => {
            "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()"
        }
    };
    names(conn, sql)
}

pub(in crate::store) fn names(conn: &mut Conn, sql: &str) -> Result<BTreeSet<String>> {
    let rows = diesel::sql_query(sql).load::<Name>(conn)?;
    Ok(rows.into_iter().map(|row| row.name).collect())
}

/// Returns whether two connections to Postgres lead to the same tables, whatever their URLs.
pub(in crate::store) fn same_database(one: &mut Conn, other: &mut Conn) -> Result<bool> {
    // No two servers start at the same microsecond.
    let sql = "SELECT concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), \
               current_database(), current_schema()) AS name";
    Ok(names(one, sql)? == names(other, sql)?)
}

impl Table {
    /// Returns the quoted columns for a statement.
    pub(in crate::store) fn column_list(&self) -> String {
        let quoted: Vec<String> =
            self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        quoted.join(", ")
    }
}
