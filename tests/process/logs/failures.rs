//! A full, closed or slow log stops no request and no command.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, SeekFrom, pipe};
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use crate::client::PASSWORD;
use crate::mailbox::Mailbox;
use crate::scratch;
use crate::service::{Service, Setup};
use crate::sql;

/// Far more requests than fill a stalled pipe of 64 KiB and the lines that may wait with it.
const TOO_MANY: usize = 12_000;

fn noisy() -> Setup {
    Setup::on_sqlite().with("HALLPASS_LOG", "debug")
}

fn metric(service: &Service, name: &str) -> u64 {
    let text = service.api().get_text("/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

fn serves(service: &Service) {
    for number in 0..20 {
        let body = json!({"username": format!("user-{number}"), "password": "wrong wrong wrong"});
        let answer = service.api().post("/v1/token-auth", &body);
        assert_eq!(answer.status, 401);
        assert!(answer.took < Duration::from_secs(5), "{:?}", answer.took);
    }
}

#[test]
fn a_log_on_a_full_disk_stops_nothing_and_its_lines_are_counted() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let setup = noisy();
    let service = setup.start_with_log(full.into());
    serves(&service);
    assert!(metric(&service, "hallpass_log_lines_dropped_total") > 20);
    service.stop();
}

#[test]
fn a_log_at_the_limit_of_a_file_size_stops_nothing() {
    // 4 MiB, which is more than the database needs.
    const BLOCKS: u64 = 8192;
    let folder = scratch::folder();
    let mut log = File::create(folder.path().join("log")).unwrap();
    log.set_len(BLOCKS * 512).unwrap();
    log.seek(SeekFrom::End(0)).unwrap();
    // The start logs a warning about this one.
    let setup = noisy().with("HALLPASS_UNKNOWN", "x");
    let service = setup.start_with_small_files(BLOCKS, log.try_clone().unwrap().into());
    serves(&service);
    assert!(metric(&service, "hallpass_log_lines_dropped_total") > 20);
    service.stop();
}

#[test]
fn a_log_whose_reader_has_gone_stops_nothing() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let setup = noisy();
    let service = setup.start_with_log(writer.into());
    serves(&service);
    assert!(metric(&service, "hallpass_log_lines_dropped_total") > 20);
    service.stop();
}

#[test]
fn a_log_whose_reader_stalls_stops_nothing() {
    let (reader, writer) = pipe().unwrap();
    let setup = noisy().with("HALLPASS_LOG", "trace");
    let service = setup.start_with_log(writer.into());
    let api = service.api().kept_alive();
    let mut requests = 0;
    while metric(&service, "hallpass_log_lines_dropped_total") == 0 {
        for _ in 0..100 {
            assert_eq!(api.get("/v1/config").status, 200);
        }
        requests += 100;
        assert!(requests < TOO_MANY, "no line is dropped");
    }
    serves(&service);
    service.stop();
    drop(reader);
}

#[test]
fn a_flood_of_refusals_is_sampled_and_counted_in_the_log() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    for number in 0..100 {
        let body = json!({"username": format!("user-{number}"), "password": "wrong wrong wrong"});
        assert_eq!(service.api().post("/v1/token-auth", &body).status, 401);
    }
    let log = service.stop_for_log();
    assert_eq!(log.matches("log-in refused").count(), 60, "{log}");
}

#[test]
fn a_user_who_repeats_a_request_is_sampled_in_the_log() {
    let setup = Setup::on_sqlite().with("HALLPASS_EMAIL_VERIFICATION", "none");
    let service = setup.start();
    let api = service.api();
    let [one, other] = ["eve@example.com", "mina@example.com"].map(|email| {
        let account = json!({"email": email, "password": PASSWORD});
        api.post("/v1/register", &account).text("access_token")
    });
    for _ in 0..100 {
        assert_eq!(api.send("PATCH", "/v1/me", &one, &json!({"locale": "en"})).status, 200);
        assert_eq!(api.send("DELETE", "/v1/me/sessions", &one, &json!({})).status, 204);
    }
    assert_eq!(api.send("DELETE", "/v1/me/sessions", &other, &json!({})).status, 204);
    let log = service.stop_for_log();
    assert_eq!(log.matches("profile changed").count(), 60, "{log}");
    assert_eq!(log.matches("other sessions ended").count(), 61, "{log}");
}

#[test]
fn a_command_whose_reader_has_gone_does_not_panic() {
    let setup = Setup::on_sqlite();
    assert!(setup.run(&["migrate"]).success);
    for arguments in
        [&["openapi"][..], &["env-example"], &["mail", "list"], &["keys", "list"], &["migrate"]]
    {
        for stream in [Stdio::null, broken, full] {
            let status = setup.run_into(arguments, stream(), stream());
            assert_ne!(status.code(), Some(101), "{arguments:?} panicked");
            assert!(status.code().is_some(), "{arguments:?} was killed: {status}");
        }
    }
    // A failing start, too.
    let status = setup.with("HALLPASS_BIND", "nowhere").run_into(&["serve"], broken(), broken());
    assert_eq!(status.code(), Some(1));
}

fn broken() -> Stdio {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    writer.into()
}

fn full() -> Stdio {
    OpenOptions::new().write(true).open("/dev/full").unwrap().into()
}

#[test]
fn warnings_about_an_account_name_its_id() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let api = service.api();
    let mailbox = Mailbox::folder(&setup);
    let database = setup.folder().join("data/hallpass.db");
    mailbox.new_account(&api, "first@example.com");
    let access = mailbox.new_account(&api, "second@example.com");
    let refuse = |name: &str, action: &str| {
        let raise = "BEGIN SELECT RAISE(ABORT, 'refused'); END";
        sql::change_sqlite(&database, &format!("CREATE TRIGGER {name} BEFORE {action} {raise}"));
    };
    refuse("no_events", "INSERT ON events");
    assert_eq!(api.log_in("second@example.com", "wrong").status, 401);
    let password = json!({"current_password": "wrong", "new_password": "plum tree at dusk"});
    assert_eq!(api.send("POST", "/v1/password-change", &access, &password).status, 401);
    sql::change_sqlite(&database, "DROP TRIGGER no_events");
    refuse("no_deletion", "DELETE ON users");
    let password = json!({"password": PASSWORD});
    assert_eq!(api.send("DELETE", "/v1/me", &access, &password).status, 204);
    let log = service.stop_for_log();
    for (warning, count) in [
        ("a wrong password is missing in the audit trail", 2),
        ("the rows of an account are not deleted at once", 1),
        ("data of a deleted user is not erased yet", 1),
    ] {
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(warning)).collect();
        assert_eq!(lines.len(), count, "{warning}: {log}");
        assert!(lines.iter().all(|line| line.contains("user_id=2")), "{lines:?}");
    }
}
