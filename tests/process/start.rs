//! Starts: without settings, repeated, and with obstacles that make them impossible.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::HAS_DOCS;
use crate::mailbox::Mailbox;
use crate::postgres::free_port;
use crate::service::{Finished, Setup};
use crate::sql;

const HIDDEN: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

/// Asserts that the start failed without a panic or a secret in its output, which it returns.
fn refused(finished: &Finished) -> &str {
    assert!(!finished.success, "it started:\n{}", finished.stderr);
    let text = finished.stderr.as_str();
    assert!(!text.contains("hunter2"), "a secret is shown:\n{text}");
    assert!(!text.contains("panic"), "{text}");
    text
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn nothing_is_needed_to_start_and_the_keys_stay_over_a_restart() {
    let setup = Setup::bare();
    let service = setup.start();
    let api = service.api();
    assert_eq!(api.get("/readyz").status, 200);
    let data = setup.folder().join("data");
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("secret")), 0o600);
    // There is no account by default.
    assert_eq!(sql::count_sqlite(&data.join("hallpass.db"), "users"), 0);
    let registration_token = api.register("mina@example.com");
    let code = Mailbox::folder(&setup).code_for("mina@example.com");
    let token = api.verify(&registration_token, &code);
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path) & 0o077, 0, "others can read {}", path.display());
    }
    let log = service.log();
    let documentation = HAS_DOCS.then(|| format!("http://{}/docs/", service.address()));
    for told in documentation.as_deref().into_iter().chain(["data/hallpass.db", "data/mail"]) {
        assert!(log.contains(told), "no {told} in:\n{log}");
    }
    for hidden in ["mina", "example.com", &token, &code, &registration_token] {
        assert!(!log.contains(hidden), "{hidden} in:\n{log}");
    }
    let keys = api.get("/.well-known/jwks.json").body;
    let first = format!("open http://{}/ in a browser", service.address());
    let log = service.log();
    let (before, _) = log.split_once(&first).unwrap_or_else(|| panic!("no {first} in:\n{log}"));
    for told in ["http://localhost and http://127.0.0.1 may call", "/dev/mails", "Hallpass "] {
        assert!(before.contains(told), "no {told} before {first} in:\n{log}");
    }
    service.stop();

    let again = setup.start();
    assert_eq!(again.api().get("/.well-known/jwks.json").body, keys);
    let answer = again.api().verify_token(&token);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[test]
fn an_address_in_use_ends_the_start_with_the_name_of_the_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let setup = Setup::on_sqlite().with("HALLPASS_BIND", &address.to_string());
    let finished = setup.run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains(&format!("cannot listen on {address} (HALLPASS_BIND): ")), "{text}");
}

#[test]
fn another_secret_than_that_of_the_keys_ends_the_start_with_the_name_of_the_setting() {
    let setup = Setup::on_sqlite();
    setup.start().stop();
    let setup = setup.with("HALLPASS_SECRET", HIDDEN);
    let finished = setup.run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains("HALLPASS_SECRET"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn a_postgres_that_is_down_ends_the_start_with_its_host_and_without_its_password() {
    let url = format!("postgres://hallpass:{HIDDEN}@127.0.0.1:{}/app", free_port());
    let finished = Setup::on_sqlite().with("DATABASE_URL", &url).run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains("127.0.0.1"), "{text}");
    assert!(finished.took < Duration::from_secs(5), "it took {:?}", finished.took);
}

#[test]
fn a_postgres_that_says_nothing_is_not_waited_for_without_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("postgres://hallpass:{HIDDEN}@127.0.0.1:{port}/app");
    let finished = Setup::on_sqlite().with("DATABASE_URL", &url).run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains("127.0.0.1"), "{text}");
    assert!(finished.took < Duration::from_secs(12), "it took {:?}", finished.took);
}

#[test]
fn a_port_in_use_ends_the_start_with_the_address_and_the_cause() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let finished = Setup::on_sqlite().with("HALLPASS_BIND", &address).run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
}

#[test]
fn a_data_folder_that_cannot_be_made_ends_the_start_with_its_name() {
    let setup = Setup::on_sqlite();
    setup.write("data", "this is a file");
    let finished = setup.run(&["serve"]);
    let text = refused(&finished);
    assert!(text.contains("data"), "{text}");
}

#[test]
fn a_file_that_can_be_no_database_ends_the_start_with_its_name_and_the_cause() {
    for (file, cause) in [
        ("folder.db", "it is a folder"),
        ("notes.db", "it is not a database of SQLite"),
        ("notes.db/a.db", "File exists"),
        ("other.db", "users that Hallpass did not make"),
    ] {
        let setup = Setup::on_sqlite().with("DATABASE_URL", &format!("sqlite://{file}"));
        fs::create_dir(setup.folder().join("folder.db")).unwrap();
        setup.write("notes.db", &"Things to do. ".repeat(200));
        sql::change_sqlite(&setup.folder().join("other.db"), "CREATE TABLE users (id INTEGER)");
        let named = file.split('/').next().unwrap();
        for command in ["serve", "migrate"] {
            let finished = setup.run(&[command]);
            let text = refused(&finished);
            let last = text.trim_end().lines().next_back().unwrap();
            assert!(last.contains(named) && last.contains(cause), "{file}: {text}");
            assert!(!last.contains("{ ") && !last.contains("Error("), "{file}: {text}");
        }
        let report = setup.run(&["doctor"]);
        let told = report.stdout.lines().find(|line| line.starts_with("FAIL database: ")).unwrap();
        let cause = if file == "notes.db/a.db" { "Not a directory" } else { cause };
        assert!(told.contains(named) && told.contains(cause), "{file}: {told}");
        assert!(!report.success);
        // Nothing was made there, or changed.
        assert!(fs::read_dir(setup.folder().join("folder.db")).unwrap().next().is_none());
        let notes = fs::read_to_string(setup.folder().join("notes.db")).unwrap();
        assert!(notes.starts_with("Things"), "{notes}");
    }
}
