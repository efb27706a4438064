//! Databases that Hallpass cannot work with: each is told at the start and by the doctor, at once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection};

use super::versions::{database, migrate_by_hand, migrations};
use crate::both::on_both_without_tables;
use crate::postgres::Cluster;
use crate::service::Setup;
use crate::sql::change_postgres;

/// A start waits for nothing here. The rest is for a busy machine.
const AT_ONCE: Duration = Duration::from_secs(8);

fn is_refused(setup: &Setup, because: &[&str]) {
    for command in ["serve", "migrate", "doctor"] {
        let finished = setup.run(&[command]);
        let told = format!("{}{}", finished.stdout, finished.stderr);
        assert!(!finished.success, "{command}: {told}");
        assert!(finished.took < AT_ONCE, "{command} took {:?}", finished.took);
        for word in because {
            assert!(told.contains(word), "{command} does not say {word}: {told}");
        }
        assert!(!told.contains("panic"), "{told}");
    }
}

#[test]
fn a_database_in_another_encoding_than_utf8() {
    let Some(cluster) = Cluster::start_new() else { return };
    for encoding in ["LATIN1", "SQL_ASCII", "EUC_KR"] {
        let name = encoding.to_lowercase();
        let sql = format!(
            "CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
        );
        change_postgres(&cluster.url(), &sql);
        let url = cluster.url().replace("/postgres", &format!("/{name}"));
        let setup = Setup::on_sqlite().with("DATABASE_URL", &url);
        is_refused(&setup, &[encoding, "UTF8"]);
    }
}

on_both_without_tables! {
    fn a_database_with_tables_of_another_program(setup) {
        let database = database(&setup);
        database.execute("CREATE TABLE users (id BIGINT); CREATE TABLE other (id BIGINT)");
        is_refused(&setup, &["users", "did not make"]);
        database.execute("DROP TABLE users; CREATE VIEW events AS SELECT 1 AS id");
        is_refused(&setup, &["events", "did not make"]);
        // The list of migrations of another program that was written with Diesel.
        database.execute("DROP VIEW events; CREATE TABLE sessions (id BIGINT)");
        migrate_by_hand(&database, &[]);
        database.execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('20200101000000')");
        is_refused(&setup, &["sessions", "did not make"]);
        database.execute("DROP TABLE sessions");
        assert!(setup.run(&["migrate"]).success);
        setup.start().stop();
    }

    fn an_index_of_another_program_with_one_of_our_names(setup) {
        let database = database(&setup);
        database.execute("CREATE TABLE other (id BIGINT); CREATE INDEX outbox_fresh ON other (id)");
        is_refused(&setup, &["outbox_fresh", "other", "did not make"]);
        // The tables are ours, and a migration that is pending makes the index.
        migrate_by_hand(&database, &migrations(setup.has("DATABASE_URL"))[..1]);
        is_refused(&setup, &["outbox_fresh", "other", "did not make"]);
        database.execute("DROP INDEX outbox_fresh");
        // One that an operator made beforehand stays.
        database.execute("CREATE INDEX outbox_fresh ON outbox (next_attempt_at, id) \
            WHERE status = 'queued' AND next_attempt_at <= created_at");
        assert!(setup.run(&["migrate"]).success);
        setup.start().stop();
    }

    fn an_index_that_something_else_dropped(setup) {
        assert!(setup.run(&["migrate"]).success);
        database(&setup).execute("DROP INDEX outbox_fresh; CREATE TABLE other (id BIGINT)");
        database(&setup).execute("CREATE INDEX outbox_fresh ON other (id)");
        if setup.has("DATABASE_URL") {
            // Statements are slower without it, and no other.
            let log = setup.start().stop_for_log();
            assert!(log.contains("indexes are missing") && log.contains("outbox_fresh"), "{log}");
        } else {
            is_refused(&setup, &["the index outbox_fresh is missing", "restore"]);
        }
    }

    fn a_record_of_migrations_of_another_form(setup) {
        let database = database(&setup);
        database.execute("CREATE TABLE __diesel_schema_migrations (id BIGINT, name TEXT)");
        is_refused(&setup, &["__diesel_schema_migrations", "did not make"]);
        database.execute("DROP TABLE __diesel_schema_migrations");
        database.execute("CREATE VIEW __diesel_schema_migrations AS SELECT 1 AS id");
        is_refused(&setup, &["__diesel_schema_migrations", "did not make"]);
    }

    fn older_migrations_of_another_program_are_not_of_a_later_version(setup) {
        assert!(setup.run(&["migrate"]).success);
        database(&setup).execute(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('20200101000000')");
        let log = setup.start().stop_for_log();
        assert!(!log.contains("next version"), "{log}");
        // Nor do they hide what is wrong with our tables.
        database(&setup).execute("DROP TABLE known_devices");
        is_refused(&setup, &["the table known_devices is missing", "restore"]);
    }

    fn a_table_of_another_program_in_the_way_of_a_later_migration(setup) {
        let database = database(&setup);
        migrate_by_hand(&database, &migrations(setup.has("DATABASE_URL"))[..1]);
        database.execute("CREATE TABLE events (id BIGINT)");
        is_refused(&setup, &["events", "did not make"]);
    }

    fn tables_of_a_later_version_than_the_next(setup) {
        assert!(setup.run(&["migrate"]).success);
        let database = database(&setup);
        let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')";
        database.execute(later);
        // The next version.
        set_level(&setup, 3);
        setup.start().stop();
        set_level(&setup, 4);
        is_refused(&setup, &["later version", "20991231000001", "level 4"]);
    }

    fn tables_of_a_later_version_that_lack_a_column(setup) {
        assert!(setup.run(&["migrate"]).success);
        let database = database(&setup);
        let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001')";
        database.execute(&format!("{later}; ALTER TABLE users RENAME COLUMN locale TO language"));
        is_refused(&setup, &["later version", "users.locale is missing"]);
    }

    fn tables_of_this_version_that_something_else_changed(setup) {
        assert!(setup.run(&["migrate"]).success);
        let database = database(&setup);
        database.execute("ALTER TABLE sessions RENAME COLUMN device TO client");
        is_refused(&setup, &["sessions.device is missing", "restore"]);
        database.execute("ALTER TABLE sessions RENAME COLUMN client TO device");
        database.execute("DROP TABLE known_devices");
        is_refused(&setup, &["the table known_devices is missing", "restore"]);
    }
}

#[test]
fn a_table_of_another_program_in_another_case_on_sqlite() {
    let setup = Setup::on_sqlite();
    database(&setup).execute("CREATE TABLE Users (id BIGINT)");
    is_refused(&setup, &["Users", "did not make"]);
}

#[test]
fn names_in_another_case_are_other_names_on_postgres() {
    let Some(setup) = Setup::on_postgres() else { return };
    database(&setup).execute("CREATE TABLE \"Users\" (id BIGINT)");
    setup.start().stop();
}

/// A role without rights on a database of its own, and the URL by which it connects.
fn role_without_rights(cluster: &Cluster) -> (Setup, String) {
    for sql in ["CREATE DATABASE app", "CREATE ROLE hp LOGIN"] {
        change_postgres(&cluster.url(), sql);
    }
    // At the end of the URL only: its scheme has the same word.
    let owner = format!("{}app", cluster.url().trim_end_matches("postgres"));
    change_postgres(&owner, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let setup = Setup::on_sqlite().with("DATABASE_URL", &owner.replace("hallpass@", "hp@"));
    (setup, owner)
}

#[test]
fn a_role_that_may_not_use_the_tables() {
    let Some(cluster) = Cluster::start_new() else { return };
    let (setup, owner) = role_without_rights(&cluster);
    is_refused(&setup, &["role hp", "schema public", "GRANT USAGE, CREATE ON SCHEMA"]);
    assert!(Setup::on_sqlite().with("DATABASE_URL", &owner).run(&["migrate"]).success);
    is_refused(&setup, &["role hp", "__diesel_schema_migrations", "GRANT SELECT, INSERT, UPDATE"]);
    change_postgres(&owner, "GRANT ALL ON ALL TABLES IN SCHEMA public TO hp");
    // Tables that are up to date are not changed: a role that only uses them will do.
    setup.start().stop();
    assert!(setup.run(&["doctor"]).stdout.contains("ok   database"));
    change_postgres(&owner, "REVOKE UPDATE, DELETE ON outbox FROM hp");
    is_refused(
        &setup,
        &["role hp", "UPDATE, DELETE on the table outbox", "IN SCHEMA public TO hp"],
    );
}

#[test]
fn a_search_path_without_a_schema() {
    let Some(cluster) = Cluster::start_new() else { return };
    let url = format!("{}?options=-csearch_path%3Dnosuch", cluster.url());
    let setup = Setup::on_sqlite().with("DATABASE_URL", &url);
    is_refused(&setup, &["search_path (nosuch)", "CREATE SCHEMA"]);
}

#[test]
fn tables_that_another_transaction_has_locked() {
    let Some(cluster) = Cluster::start_new() else { return };
    let setup = Setup::on_sqlite().with("DATABASE_URL", &cluster.url());
    assert!(setup.run(&["migrate"]).success);
    let mut other = PgConnection::establish(&cluster.url()).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE __diesel_schema_migrations").unwrap();
    is_refused(&setup, &["__diesel_schema_migrations", "locked", "server process"]);
    other.batch_execute("ROLLBACK; BEGIN; LOCK TABLE limits").unwrap();
    let report = setup.run(&["doctor"]).stdout;
    let database = report.lines().find(|line| line.contains(" database: ")).unwrap();
    for word in ["FAIL", "limits", "locked", "server process"] {
        assert!(database.contains(word), "{report}");
    }
}

/// The record of a version whose tables have that level.
fn set_level(setup: &Setup, level: u32) {
    if setup.has("DATABASE_URL") {
        let note =
            format!("COMMENT ON TABLE __diesel_schema_migrations IS 'Hallpass, level {level}'");
        change_postgres(&setup.database_url(), &note);
    } else {
        let file = setup.folder().join("data/hallpass.db");
        crate::sql::change_sqlite(&file, &format!("PRAGMA user_version = {level}"));
    }
}

#[test]
fn a_file_that_is_no_database() {
    let setup = Setup::on_sqlite();
    fs::create_dir_all(setup.folder().join("data")).unwrap();
    fs::write(Path::new(&setup.folder()).join("data/hallpass.db"), "x".repeat(5000)).unwrap();
    is_refused(&setup, &["not a database"]);
}
