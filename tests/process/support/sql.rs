//! Direct reads of the databases, and changes that the service would never make.

use std::collections::BTreeMap;
use std::path::Path;

use diesel::connection::SimpleConnection as _;
use diesel::pg::Pg;
use diesel::sql_types::{BigInt, Nullable, Text};
use diesel::sqlite::Sqlite;
use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection, sql_query,
};

use crate::service::Setup;

/// A row of a query for a column `line`.
#[derive(QueryableByName)]
pub struct Line {
    #[diesel(sql_type = Text)]
    pub line: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// A column of a SQLite file.
#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = BigInt)]
    required: i64,
    #[diesel(sql_type = Nullable<Text>)]
    of_table: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    refers_to: Option<String>,
}

pub fn sqlite(path: &Path) -> SqliteConnection {
    SqliteConnection::establish(path.to_str().unwrap()).unwrap()
}

pub fn change_sqlite(path: &Path, sql: &str) {
    sqlite(path).batch_execute(sql).unwrap();
}

pub fn change_postgres(url: &str, sql: &str) {
    PgConnection::establish(url).unwrap().batch_execute(sql).unwrap();
}

/// Changes the database of a service.
pub fn change(setup: &Setup, sql: &str) {
    if setup.has("DATABASE_URL") {
        change_postgres(setup.setting("DATABASE_URL"), sql);
    } else {
        change_sqlite(&setup.folder().join("data/hallpass.db"), sql);
    }
}

/// Counts rows in the database of a service.
pub fn count(setup: &Setup, from: &str) -> i64 {
    if setup.has("DATABASE_URL") {
        count_postgres(setup.setting("DATABASE_URL"), from)
    } else {
        count_sqlite(&setup.folder().join("data/hallpass.db"), from)
    }
}

pub fn count_sqlite(path: &Path, from: &str) -> i64 {
    let sql = format!("SELECT count(*) AS count FROM {from}");
    sql_query(sql).get_result::<Count>(&mut sqlite(path)).unwrap().count
}

pub fn count_postgres(url: &str, from: &str) -> i64 {
    let sql = format!("SELECT count(*) AS count FROM {from}");
    let mut connection = PgConnection::establish(url).unwrap();
    sql_query(sql).get_result::<Count>(&mut connection).unwrap().count
}

/// The rows of a query in the database of a service.
pub fn load<T>(setup: &Setup, query: &str) -> Vec<T>
where
    T: QueryableByName<Sqlite> + QueryableByName<Pg> + 'static,
{
    if setup.has("DATABASE_URL") {
        let mut connection = PgConnection::establish(setup.setting("DATABASE_URL")).unwrap();
        return sql_query(query).load(&mut connection).unwrap();
    }
    sql_query(query).load(&mut sqlite(&setup.folder().join("data/hallpass.db"))).unwrap()
}

/// The texts that `sql` selects as `line`.
pub fn lines(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let lines = sql_query(sql).load::<Line>(connection).unwrap();
    lines.into_iter().map(|it| it.line).collect()
}

/// The tables of the service, whatever those are.
fn tables(connection: &mut SqliteConnection) -> BTreeMap<String, Vec<Column>> {
    let sql = "SELECT m.name AS table_name, c.name AS name, c.type AS kind, \
               c.\"notnull\" OR c.pk AS required, \
               f.\"table\" AS of_table, f.\"to\" AS refers_to \
               FROM sqlite_master m JOIN pragma_table_info(m.name) c \
               LEFT JOIN pragma_foreign_key_list(m.name) f ON f.\"from\" = c.name \
               WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' \
               AND m.name <> '__diesel_schema_migrations' ORDER BY m.name, c.cid";
    let mut tables: BTreeMap<String, Vec<Column>> = BTreeMap::new();
    for column in sql_query(sql).load::<Column>(connection).unwrap() {
        tables.entry(column.table_name.clone()).or_default().push(column);
    }
    tables
}

/// The tables that triggers fill, for instances of the version before.
pub const MIRRORS: [&str; 2] = ["registrations", "one_time_tokens"];

/// Returns all rows of all tables of a file.
pub fn everything(path: &Path) -> BTreeMap<String, Vec<String>> {
    let mut connection = sqlite(path);
    let mut all = BTreeMap::new();
    for (table, columns) in tables(&mut connection) {
        let values: Vec<String> =
            columns.iter().map(|it| format!("'{0}=' || quote(\"{0}\")", it.name)).collect();
        let sql =
            format!("SELECT {} AS line FROM \"{table}\" ORDER BY 1", values.join(" || ' ' || "));
        all.insert(table, lines(&mut connection, &sql));
    }
    all
}

/// Puts three rows into every table of a file, with a value of its own in each column; in the
/// third, what may be empty is.
pub fn fill_every_column(path: &Path) {
    let mut connection = sqlite(path);
    // The order of the tables does not matter here.
    connection.batch_execute("PRAGMA foreign_keys = OFF").unwrap();
    let tables = tables(&mut connection);
    let kind_of = |table: &str, column: &str| {
        let column = tables[table].iter().find(|it| it.name == column).unwrap();
        column.kind.clone()
    };
    for (table, columns) in tables.iter().filter(|(table, _)| !MIRRORS.contains(&table.as_str())) {
        for row in [1, 2, 3] {
            let values: Vec<String> = columns
                .iter()
                .map(|it| match (&it.of_table, &it.refers_to) {
                    _ if row == 3 && it.required == 0 => "NULL".to_owned(),
                    (Some(table), Some(column)) => {
                        value(table, column, &kind_of(table, column), row)
                    }
                    _ => value(table, &it.name, &it.kind, row),
                })
                .collect();
            let rows = format!("INSERT INTO \"{table}\" VALUES ({})", values.join(", "));
            connection.batch_execute(&rows).unwrap();
        }
    }
}

fn value(table: &str, column: &str, kind: &str, row: i64) -> String {
    match kind {
        "INTEGER" => row.to_string(),
        "BIGINT" => (i64::MAX - row).to_string(),
        "BOOLEAN" => (row % 2).to_string(),
        "TEXT" => format!("'{table}.{column} {row}: \"Zoë\" ''한국어'' \\N, {{}}\t🔑\r\n'"),
        "BLOB" => format!("CAST('{table}.{column}' || x'00ff0{row}' AS BLOB)"),
        other => panic!("no example of {other}"),
    }
}
