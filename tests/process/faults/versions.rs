//! Two versions on one database while the instances are replaced one by one: what a newer one
//! leaves there, and what an older one still writes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::client::PASSWORD;
use crate::database::Database;
use crate::mailbox::Mailbox;
use crate::service::{Service, Setup};

/// The tables in an order that foreign keys allow.
const FIRST_TABLES: [&str; 6] =
    ["users", "sessions", "refresh_tokens", "registrations", "outbox", "signing_keys"];

fn on_both(story: impl Fn(Setup, bool)) {
    story(Setup::on_sqlite(), false);
    if let Some(setup) = Setup::on_postgres() {
        story(setup, true);
    }
}

pub(super) fn database(setup: &Setup) -> Database {
    fs::create_dir_all(setup.folder().join("data")).unwrap();
    Database::at(&setup.database_url())
}

/// The folders of the migrations, the oldest first.
pub(super) fn migrations(postgres: bool) -> Vec<PathBuf> {
    let kind = if postgres { "postgres" } else { "sqlite" };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(kind);
    let mut all: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

fn name_of(migration: &Path) -> &str {
    migration.file_name().unwrap().to_str().unwrap()
}

/// The name of a migration in the table of those that were run.
fn version_of(migration: &Path) -> String {
    name_of(migration).split('_').next().unwrap().replace('-', "")
}

/// Brings the tables to where an older version left them.
pub(super) fn migrate_by_hand(database: &Database, migrations: &[PathBuf]) {
    database.execute(
        "CREATE TABLE __diesel_schema_migrations ( \
         version VARCHAR(50) PRIMARY KEY NOT NULL, \
         run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP)",
    );
    for folder in migrations {
        database.execute(&fs::read_to_string(folder.join("up.sql")).unwrap());
        let version = version_of(folder);
        let note = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}')");
        database.execute(&note);
    }
}

/// The columns of a table and their types.
fn columns(database: &Database, postgres: bool, table: &str) -> BTreeMap<String, String> {
    let sql = if postgres {
        format!(
            "SELECT column_name || ' ' || data_type AS line FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = '{table}'"
        )
    } else {
        format!("SELECT name || ' ' || type AS line FROM pragma_table_info('{table}')")
    };
    let lines = database.lines(&sql);
    let split = lines.iter().map(|line| line.split_once(' ').unwrap());
    split.map(|(name, kind)| (name.to_owned(), kind.to_lowercase())).collect()
}

/// Returns a value of that type, as SQL.
fn value(kind: &str) -> &'static str {
    match kind {
        "text" => "'1'",
        "boolean" => "FALSE",
        "bytea" => "'\\x01'",
        "blob" => "x'01'",
        "bigint" | "integer" => "1",
        other => panic!("{other} is a type that no older version writes"),
    }
}

fn works(setup: &Setup, service: &Service, person: &str) {
    let api = service.api();
    let registration_token = api.register(person);
    let token = api.verify(&registration_token, &Mailbox::folder(setup).code_for(person));
    assert_eq!(api.verify_token(&token).status, 200);
    let answer = api.log_in(person, PASSWORD);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(api.refresh(&answer.text("refresh_token")).status, 200);
    assert_eq!(api.get("/readyz").status, 200);
}

#[test]
fn an_instance_serves_on_and_starts_again_beside_a_newer_version() {
    on_both(|setup, _| {
        let service = setup.start();
        works(&setup, &service, "before@example.com");
        let newer = database(&setup);
        newer.execute(
            "CREATE TABLE of_the_future (id BIGINT PRIMARY KEY); \
             ALTER TABLE users ADD COLUMN of_the_future TEXT; \
             ALTER TABLE sessions ADD COLUMN of_the_future BIGINT NOT NULL DEFAULT 7; \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')",
        );
        works(&setup, &service, "after@example.com");
        service.stop();
        let nothing = setup.run(&["migrate"]);
        assert!(nothing.success && !nothing.stdout.contains("applied"), "{}", nothing.stdout);
        works(&setup, &setup.start(), "again@example.com");
    });
}

#[test]
fn a_newer_version_brings_the_tables_of_the_one_before_up_to_date() {
    on_both(|setup, postgres| {
        let all = migrations(postgres);
        let (newest, before) = all.split_last().unwrap();
        migrate_by_hand(&database(&setup), before);
        let done = setup.run(&["migrate"]);
        let applied = format!("applied {}", name_of(newest));
        assert!(done.success && done.stdout.contains(&applied), "{} {}", done.stdout, done.stderr);
        works(&setup, &setup.start(), "mina@example.com");
    });
}

#[test]
fn what_the_first_version_writes_fits_the_newest_tables() {
    on_both(|setup, postgres| {
        let database = database(&setup);
        let all = migrations(postgres);
        migrate_by_hand(&database, &all[..1]);
        let first: Vec<_> =
            FIRST_TABLES.map(|table| (table, columns(&database, postgres, table))).into();
        let done = setup.run(&["migrate"]);
        assert!(done.success, "{}", done.stderr);
        for (table, mut columns) in first {
            assert!(!columns.is_empty(), "{table}");
            if table == "users" {
                // The database assigns the user ids.
                columns.remove("id");
            }
            let names: Vec<&str> = columns.keys().map(String::as_str).collect();
            let values: Vec<&str> = columns.values().map(|kind| value(kind)).collect();
            let (names, values) = (names.join(", "), values.join(", "));
            database.execute(&format!("INSERT INTO {table} ({names}) VALUES ({values})"));
            // And what it reads is there.
            database.lines(&format!("SELECT '1' AS line FROM (SELECT {names} FROM {table}) AS t"));
        }
        // A key that no secret opens stops a start; the rest must not.
        database.execute("DELETE FROM signing_keys");
        works(&setup, &setup.start(), "mina@example.com");
    });
}
