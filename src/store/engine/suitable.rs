//! Checks that a database is suitable: its encoding, its tables, the version that created them and
//! the privileges of the role. Reads only.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable, Text};

use crate::store::copy::tables::{applied_migrations, names};
use crate::store::engine::locks;
use crate::store::engine::migrations::{LEVEL, RECORD, known, made_by};
use crate::store::engine::objects::{self, Names, Object};
use crate::store::engine::privileges::{require_create, require_schema, require_use};
use crate::store::engine::transaction::in_snapshot;
use crate::store::{Conn, Error, Result};

#[derive(QueryableByName)]
struct Level {
    #[diesel(sql_type = Nullable<Integer>)]
    level: Option<i32>,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    of_table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Bool)]
    needs_value: bool,
}

/// Returns the names of the missing migrations, the oldest first.
///
/// # Errors
/// [`Error::Unsuitable`], with advice, if the service could not work with the database.
pub(crate) fn find_missing(conn: &mut Conn) -> Result<Vec<String>> {
    let began = Instant::now();
    // Without the snapshot, tables that another instance creates meanwhile would be seen without
    // their migration.
    in_snapshot(conn, look).map_err(|error| locks::explain(conn, began, error))
}

/// Privileges on every table of Hallpass.
const USE: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

fn look(conn: &mut Conn) -> Result<Vec<String>> {
    locks::limit_waits(conn)?;
    refuse_other_encodings(conn)?;
    require_schema(conn)?;
    require_use(conn, &[RECORD], &["SELECT"])?;
    refuse_foreign_record(conn)?;
    let mut missing = known()?;
    let newest = missing.keys().next_back().cloned();
    let mut later = applied_migrations(conn)?.unwrap_or_default();
    let all = missing.len();
    let own = Own::of_this_version();
    missing.retain(|version, _| !later.remove(version));
    // Unknown older ones belong to another program that records its migrations here too.
    later.retain(|version| Some(version) > newest.as_ref());
    if missing.is_empty() {
        if later.is_empty() {
            refuse_changed_tables(conn, &own)?;
        }
    } else {
        refuse_foreign_tables(conn, &missing)?;
        require_create(conn, missing.len())?;
        require_use(conn, &[RECORD], &["SELECT", "INSERT"])?;
    }
    // Without any of our migrations, the others belong to another program.
    if !later.is_empty() && missing.len() < all {
        refuse_later_tables(conn, &later, &own)?;
    }
    require_use(conn, &own.names(), &USE)?;
    Ok(missing.into_values().collect())
}

/// The tables that the migrations make, which is what a start compares with. Running the migrations
/// would take longer than the rest of a start; a test does, and compares.
const TABLES: &str = include_str!("../../../migrations/tables.txt");

/// The tables of this version and their indexes.
struct Own {
    tables: Vec<OwnTable>,
    indexes: BTreeSet<Object>,
}

struct OwnTable {
    name: &'static str,
    columns: BTreeSet<&'static str>,
}

impl Own {
    fn of_this_version() -> Self {
        let mut own = Self { tables: Vec::new(), indexes: BTreeSet::new() };
        for line in TABLES.lines() {
            let mut words = line.split_ascii_whitespace();
            match (words.next(), words.next()) {
                (Some("table"), Some(name)) => {
                    own.tables.push(OwnTable { name, columns: words.collect() });
                }
                (Some("index"), Some(name)) => {
                    let (name, of_table) = (name.to_owned(), words.collect());
                    own.indexes.insert(Object { name, kind: "index".to_owned(), of_table });
                }
                _ => {}
            }
        }
        own
    }

    fn names(&self) -> Vec<&str> {
        self.tables.iter().map(|it| it.name).collect()
    }
}

/// Refuses a database that cannot store all characters. Single requests would fail later.
fn refuse_other_encodings(conn: &mut Conn) -> Result<()> {
    let Conn::Postgres(_) = conn else { return Ok(()) };
    let found = names(conn, "SELECT current_setting('server_encoding') AS name")?;
    match found.first() {
        Some(encoding) if encoding != "UTF8" => Err(Error::Unsuitable(format!(
            "the encoding of the database is {encoding}, which cannot hold every name: it must be \
             UTF8 (CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0)"
        ))),
        _ => Ok(()),
    }
}

/// Refuses a record of migrations with other columns, which another program made: its rows could
/// not be read, and ours could not be added.
fn refuse_foreign_record(conn: &mut Conn) -> Result<()> {
    let present = columns(conn, &[RECORD])?;
    let own = ["version", "run_on"];
    let lacks = own.iter().any(|name| present.iter().all(|it| it.name != *name));
    let demands = present.iter().any(|it| it.needs_value && !own.contains(&it.name.as_str()));
    if present.is_empty() || !(lacks || demands) {
        return Ok(());
    }
    Err(Error::Unsuitable(format!(
        "the database has a table {RECORD} with other columns than version and run_on, which \
         Hallpass did not make: give it a database or a schema of its own"
    )))
}

/// Refuses tables of another program. A migration would fail halfway, or use them.
fn refuse_foreign_tables(conn: &mut Conn, missing: &BTreeMap<String, String>) -> Result<()> {
    let (names, present) = (Names::of(conn), objects::list(conn)?);
    let to_be_made = made_by(missing)?;
    let foreign = to_be_made.iter().filter_map(|own| names.find_other(own, &present));
    let foreign: BTreeSet<String> = foreign.map(ToString::to_string).collect();
    if foreign.is_empty() {
        return Ok(());
    }
    Err(Error::Unsuitable(format!(
        "the database has {} that Hallpass did not make: give it a database or a schema of its own",
        foreign.into_iter().collect::<Vec<_>>().join(", ")
    )))
}

/// Refuses tables that were changed. Requests that need the missing part would fail later.
fn refuse_changed_tables(conn: &mut Conn, own: &Own) -> Result<()> {
    let fault = match first_fault(conn, own)? {
        None => index_fault(conn, own)?,
        fault => fault,
    };
    match fault {
        Some(fault) => Err(Error::Unsuitable(format!(
            "{fault}, although every migration is recorded: something other than Hallpass changed the \
             tables; undo that, or restore a backup"
        ))),
        None => Ok(()),
    }
}

/// Refuses tables that are more than one version newer. Only the next version keeps them usable for
/// this one.
fn refuse_later_tables(conn: &mut Conn, later: &BTreeSet<String>, own: &Own) -> Result<()> {
    let level = level(conn)?;
    let later = later.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let refused = |cause: String| {
        Err(Error::Unsuitable(format!(
            "the tables were made by a later version of Hallpass (migrations {later}), {cause}: use \
             the newer program"
        )))
    };
    if level > LEVEL + 1 {
        return refused(format!(
            "they have level {level}, and this program works with {LEVEL} and {}",
            LEVEL + 1
        ));
    }
    if let Some(fault) = first_fault(conn, own)? {
        return refused(fault);
    }
    tracing::warn!(migrations = later, "the tables are those of the next version");
    Ok(())
}

/// Returns the first part of the tables that this version could not read or write.
fn first_fault(conn: &mut Conn, own: &Own) -> Result<Option<String>> {
    let all = columns(conn, &own.names())?;
    for table in &own.tables {
        let present: Vec<&Column> = all.iter().filter(|it| it.of_table == table.name).collect();
        if present.is_empty() {
            return Ok(Some(format!("the table {} is missing", table.name)));
        }
        let missing = table.columns.iter().find(|name| present.iter().all(|it| it.name != **name));
        if let Some(name) = missing {
            return Ok(Some(format!("{}.{name} is missing", table.name)));
        }
        let demanded =
            present.iter().find(|it| it.needs_value && !table.columns.contains(it.name.as_str()));
        if let Some(column) = demanded {
            return Ok(Some(format!("{}.{} needs a value", table.name, column.name)));
        }
    }
    Ok(None)
}

/// Returns the first missing index of this version. SQLite needs them, since statements name them;
/// on Postgres a missing index makes statements slow, and is logged.
fn index_fault(conn: &mut Conn, own: &Own) -> Result<Option<String>> {
    let (names, present) = (Names::of(conn), objects::list(conn)?);
    let lacks = |it: &&Object| !present.iter().any(|other| names.is_own(it, other));
    let missing: Vec<&str> = own.indexes.iter().filter(lacks).map(|it| it.name.as_str()).collect();
    match (missing.first(), conn) {
        (None, _) => Ok(None),
        (Some(first), Conn::Sqlite(_)) => Ok(Some(format!("the index {first} is missing"))),
        (Some(_), Conn::Postgres(_)) => {
            tracing::warn!(
                indexes = missing.join(", "),
                "indexes are missing, which makes statements slow: restore them as the migrations make them"
            );
            Ok(None)
        }
    }
}

/// Returns the columns of those of the tables that exist.
fn columns(conn: &mut Conn, tables: &[&str]) -> Result<Vec<Column>> {
    Ok(match conn {
        Conn::Sqlite(sqlite) => diesel::sql_query(
            "SELECT t.value AS of_table, c.name AS name, \
             c.\"notnull\" AND c.dflt_value IS NULL AND NOT c.pk AS needs_value \
             FROM json_each(?) t JOIN pragma_table_info(t.value) c",
        )
        .bind::<Text, _>(format!("[\"{}\"]", tables.join("\",\"")))
        .load(sqlite)?,
        Conn::Postgres(postgres) => diesel::sql_query(
            "SELECT t.name AS of_table, a.attname::text AS name, \
             a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS needs_value \
             FROM unnest(string_to_array($1, ' ')) t(name) \
             JOIN pg_attribute a ON a.attrelid = to_regclass(t.name) \
             WHERE a.attnum > 0 AND NOT a.attisdropped",
        )
        .bind::<Text, _>(tables.join(" "))
        .load(postgres)?,
    })
}

/// Returns the recorded level of the tables, 0 without one.
fn level(conn: &mut Conn) -> Result<i32> {
    let row: Level = match conn {
        Conn::Sqlite(sqlite) => {
            diesel::sql_query("SELECT user_version AS level FROM pragma_user_version")
                .get_result(sqlite)?
        }
        Conn::Postgres(postgres) => diesel::sql_query(
            "SELECT substring(obj_description(to_regclass('__diesel_schema_migrations'), 'pg_class') \
             FROM '^Hallpass, level ([0-9]{1,6})$')::integer AS level",
        )
        .get_result(postgres)?,
    };
    Ok(row.level.unwrap_or_default())
}

/// Records the level of this version beside the migrations that were run.
pub(crate) fn record_level(conn: &mut Conn) -> Result<()> {
    if level(conn)? >= LEVEL {
        return Ok(());
    }
    let sql = match conn {
        Conn::Sqlite(_) => format!("PRAGMA user_version = {LEVEL}"),
        Conn::Postgres(_) => {
            format!("COMMENT ON TABLE __diesel_schema_migrations IS 'Hallpass, level {LEVEL}'")
        }
    };
    Ok(diesel::connection::SimpleConnection::batch_execute(conn, &sql)?)
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::fmt::Write as _;
    use std::fs;

    use super::TABLES;
    use crate::store::copy::tables::of_this_version;
    use crate::store::engine::migrations::scratch;
    use crate::store::engine::objects;

    #[test]
    fn the_list_of_tables_is_that_of_the_migrations() {
        let mut made = scratch().unwrap();
        let mut text = String::new();
        for table in of_this_version(&mut made).unwrap().0 {
            let columns: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
            writeln!(text, "table {} {}", table.name, columns.join(" ")).unwrap();
        }
        for index in objects::list(&mut made).unwrap().iter().filter(|it| it.kind == "index") {
            writeln!(text, "index {} {}", index.name, index.of_table).unwrap();
        }
        let file = env::temp_dir().join("hallpass-tables.txt");
        if text != TABLES {
            fs::write(&file, text).unwrap();
            panic!("replace migrations/tables.txt by {}", file.display());
        }
    }
}
