//! Refusals of `copy-database`, with their reasons.

use std::fs;

use crate::copying::{copy, file, sqlite_url};
use crate::postgres;
use crate::service::{Finished, Setup};
use crate::sql;

/// A migrated file with one account.
fn with_an_account() -> Setup {
    let setup = Setup::on_sqlite();
    let admin = ["create-superuser", "--username", "admin", "--password", "admin"];
    let made = setup.run(&[&admin[..], &["--allow-weak-password"]].concat());
    assert!(made.success, "{}", made.stderr);
    setup
}

/// Fails, and says `why`.
fn refused(setup: &Setup, from: &str, to: &str, why: &str) -> Finished {
    let finished = copy(setup, from, to);
    assert!(!finished.success, "it copied:\n{}", finished.stdout);
    assert!(finished.stderr.contains(why), "no {why:?} in:\n{}", finished.stderr);
    assert!(!finished.stderr.contains("panic"), "{}", finished.stderr);
    finished
}

#[test]
fn a_target_that_holds_something_is_left_as_it_is() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    let to = setup.folder().join("target.db");
    assert!(copy(&setup, &from, &sqlite_url(&to)).success);
    let before = sql::everything(&to);
    refused(&setup, &from, &sqlite_url(&to), "is not empty, it has rows: 1 in events, 1 in users");
    assert_eq!(sql::everything(&to), before);

    let Some(postgres) = postgres::fresh_schema() else { return };
    assert!(copy(&setup, &from, &postgres).success);
    refused(&setup, &from, &postgres, "is not empty, it has rows: 1 in events, 1 in users");
    assert_eq!(sql::count_postgres(&postgres, "users"), 1);
}

#[test]
fn an_older_target_that_holds_something_is_not_even_migrated() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    let to = setup.folder().join("target.db");
    sql::change_sqlite(&to, "CREATE TABLE users (id INTEGER); INSERT INTO users VALUES (1);");
    refused(&setup, &from, &sqlite_url(&to), "is not empty");
    assert_eq!(sql::count_sqlite(&to, "sqlite_master"), 1);
}

#[test]
fn the_same_database_is_noticed_by_whatever_name() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    refused(&setup, &from, "sqlite:data/../data/hallpass.db", "are the same database");

    let Some(postgres) = postgres::fresh_schema() else { return };
    let made = setup.run_with("DATABASE_URL", &postgres, &["migrate"]);
    assert!(made.success, "{}", made.stderr);
    let other_name = postgres.replace("127.0.0.1", "localhost");
    refused(&setup, &postgres, &other_name, "are the same database");
    let Some(other) = postgres::fresh_schema() else { return };
    assert!(copy(&setup, &postgres, &other).success, "another schema is another database");
}

#[test]
fn only_tables_of_this_version_are_copied() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    let to = setup.folder().join("target.db");
    let newest = "SELECT max(version) FROM __diesel_schema_migrations";

    sql::change_sqlite(
        &file(&setup),
        "INSERT INTO __diesel_schema_migrations (version) VALUES ('29990101000001')",
    );
    refused(&setup, &from, &sqlite_url(&to), "newer than this version");
    let forget = format!("DELETE FROM __diesel_schema_migrations WHERE version = ({newest})");
    sql::change_sqlite(&file(&setup), &format!("{forget}; {forget};"));
    refused(&setup, &from, &sqlite_url(&to), "run `hallpass migrate`");

    let foreign = setup.folder().join("foreign.db");
    sql::change_sqlite(&foreign, "CREATE TABLE birds (name TEXT)");
    refused(&setup, &sqlite_url(&foreign), &sqlite_url(&to), "is no database of Hallpass");
    setup.write("text.db", &"no database at all".repeat(100));
    refused(&setup, "sqlite:text.db", &sqlite_url(&to), "not a database");
    assert!(!to.exists(), "a target was made for nothing");
}

#[test]
fn what_cannot_be_reached_is_named_and_no_password_is_shown() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    let missing = refused(&setup, "sqlite:missing.db", "sqlite:target.db", "missing.db");
    assert!(missing.stderr.contains("the source"), "{}", missing.stderr);
    assert!(!setup.folder().join("missing.db").exists(), "looking made a file");
    for (to, why) in [
        ("postgers://me:hunter2@127.0.0.1/x", "--to: must be postgres://"),
        ("postgres://me:hunter2%@127.0.0.1/x", "--to: has a % that encodes nothing"),
        ("postgres://me:hunter2@127.0.0.1:1/x", "the target (Postgres, 127.0.0.1:1/x)"),
        #[cfg(not(feature = "postgres-tls"))]
        ("postgres://me:hunter2@db.example.com/x", "--to: names a server on another machine"),
    ] {
        for (from, to, why) in [
            (from.as_str(), to, why.to_owned()),
            (to, from.as_str(), why.replace("--to", "--from").replace("target", "source")),
        ] {
            let finished = refused(&setup, from, to, &why);
            assert!(!finished.stderr.contains("hunter2"), "{}", finished.stderr);
        }
    }
}

#[test]
fn the_settings_of_the_service_do_not_matter() {
    let setup = with_an_account();
    let from = sqlite_url(&file(&setup));
    let setup = setup.with("DATABASE_URL", "nonsense").with("HALLPASS_BIND", "nonsense");
    let finished = copy(&setup, &from, "sqlite:target.db");
    assert!(finished.success, "{}", finished.stderr);
}

#[test]
fn the_source_can_be_a_read_only_file() {
    use std::os::unix::fs::PermissionsExt as _;
    let setup = with_an_account();
    let before = fs::read(file(&setup)).unwrap();
    fs::set_permissions(file(&setup), fs::Permissions::from_mode(0o400)).unwrap();
    let finished = copy(&setup, &sqlite_url(&file(&setup)), "sqlite:target.db");
    assert!(finished.success, "{}", finished.stderr);
    assert_eq!(fs::read(file(&setup)).unwrap(), before);
}

/// A database that does not keep what it is given.
fn is_noticed_and_undone(setup: &Setup, to: &str) {
    let finished = refused(setup, &sqlite_url(&file(setup)), to, "nothing was kept of the copy");
    let users: Vec<&str> =
        finished.stdout.lines().skip_while(|line| !line.starts_with("users ")).take(2).collect();
    assert!(users[1].ends_with("DIFFERENT"), "{}", finished.stdout);
    assert_eq!(finished.stdout.matches("DIFFERENT").count(), 1, "{}", finished.stdout);
}

#[test]
fn a_difference_in_sqlite_is_noticed_and_nothing_is_kept() {
    let setup = with_an_account();
    let to = setup.folder().join("target.db");
    let made = setup.run_with("DATABASE_URL", &sqlite_url(&to), &["migrate"]);
    assert!(made.success, "{}", made.stderr);
    sql::change_sqlite(
        &to,
        "CREATE TRIGGER spoil AFTER INSERT ON users
         BEGIN UPDATE users SET created_at = created_at + 1 WHERE id = new.id; END",
    );
    is_noticed_and_undone(&setup, &sqlite_url(&to));
    assert_eq!(sql::count_sqlite(&to, "users"), 0);
}

#[test]
fn a_difference_in_postgres_is_noticed_and_nothing_is_kept() {
    let Some(postgres) = postgres::fresh_schema() else { return };
    let setup = with_an_account();
    let made = setup.run_with("DATABASE_URL", &postgres, &["migrate"]);
    assert!(made.success, "{}", made.stderr);
    sql::change_postgres(
        &postgres,
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN new.email_verified = NOT new.email_verified; RETURN new; END $$;
         CREATE TRIGGER spoil BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION spoil()",
    );
    is_noticed_and_undone(&setup, &postgres);
    assert_eq!(sql::count_postgres(&postgres, "users"), 0);
}
