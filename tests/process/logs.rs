//! The log holds no secret, no address and no name, whatever is asked and answered, down to `trace`; and
//! each of its lines is JSON that names the request it belongs to.

mod canaries;
mod flows;
mod ranges;
mod teller;

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use hallpass::domain::EventKind;
use serde_json::Value;

use self::canaries::Canaries;
use self::flows::ROOT_PASSWORD;
use self::ranges::Ranges;
use self::teller::Teller;
use crate::database::Database;
use crate::django_site::{Site, Tables};
use crate::letters::Mailbox;
use crate::service::Setup;
use crate::smtp::{Mode, SmtpServer};

const SMTP_LOGIN: (&str, &str) = ("canary-smtp-user", "canary-smtp-password");

/// The flow that nobody asks for: keys take over from each other.
const HAPPENS_BY_ITSELF: &str = "hallpass::flows::keys";

/// Settings with a canary in each secret, and everything logged.
fn singing(setup: Setup) -> Setup {
    [
        ("HALLPASS_LOG", "trace"),
        ("HALLPASS_LOG_FORMAT", "json"),
        ("HALLPASS_SECRET", "canary-service-secret-0123456789abcdef"),
        ("HALLPASS_JWT_SECRET", "canary-jwt-secret-0123456789abcdef"),
        ("HALLPASS_PUBLIC_URL", "http://auth.test"),
        ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1"),
        ("HALLPASS_CORS_ORIGINS", "http://app.test"),
        ("HALLPASS_LIMITS", "on"),
        ("HALLPASS_LIMIT_NETWORK", "10000/1m"),
        ("HALLPASS_LIMIT_MAIL_HOURLY", "20"),
        ("HALLPASS_LIMIT_MAIL_NETWORK", "10000"),
        ("HALLPASS_REFRESH_GRACE", "0s"),
        ("HALLPASS_SESSIONS_PER_USER", "3"),
    ]
    .iter()
    .fold(setup, |setup, (name, value)| setup.with(name, value))
}

fn canaries_of_settings() -> Canaries {
    let mut canaries = Canaries::default();
    // All that the tests make up themselves begins so.
    canaries.add("a word of the test", "canary");
    canaries.add("a client's address", "203.0.113");
    canaries
}

#[test]
fn no_flow_leaves_a_secret_in_the_log_on_sqlite() {
    every_flow(Setup::on_sqlite());
}

#[test]
fn no_flow_leaves_a_secret_in_the_log_on_postgres() {
    let Some(setup) = Setup::on_postgres() else { return };
    let mut url = url::Url::parse(setup.setting("DATABASE_URL")).unwrap();
    // A server that trusts this machine takes any.
    if url.password().is_none() {
        url.set_password(Some("canary-database-password")).unwrap();
    }
    every_flow(setup.with("DATABASE_URL", url.as_str()));
}

fn every_flow(setup: Setup) {
    let mode = Mode::STARTTLS.login(SMTP_LOGIN.0, SMTP_LOGIN.1);
    let Some(server) = SmtpServer::start(mode) else { return };
    let ranges = Ranges::start();
    let setup = singing(setup)
        .with("HALLPASS_SMTP_URL", &server.url())
        .with("HALLPASS_BREACHED_PASSWORDS_URL", &ranges.url());
    let arguments =
        ["create-superuser", "--username", "canaryroot", "--email", "canaryroot@example.com"];
    let superuser = setup.run_with_input(&arguments, &format!("{ROOT_PASSWORD}\n"));
    assert!(superuser.success, "{}", superuser.stderr);
    let site = Site::on_sqlite(Tables::WithAllauth);
    let mut said = what_is_said(&setup, &["import-django", "--from", &site.url]);
    let service = setup.start();
    let teller = Teller::new(service.address(), server, canaries_of_settings());
    flows::registrations(&teller);
    flows::log_ins(&teller);
    flows::imported_accounts(&teller);
    flows::own_account(&teller);
    flows::resets_and_undoing(&teller);
    flows::staff(&teller);
    flows::django_face(&teller);
    flows::what_anybody_may_read(&teller);
    flows::nonsense(&teller);
    for arguments in [&["keys", "rotate"][..], &["keys", "list"], &["mail", "list"]] {
        said += &what_is_said(&setup, arguments);
    }
    let kinds = flows::every_kind(&teller);
    let missing: Vec<&str> =
        EventKind::ALL.iter().map(|it| it.name()).filter(|it| !kinds.contains(*it)).collect();
    assert!(missing.is_empty(), "not every flow was run: {missing:?}");
    assert_eq!(teller.never_done(), [""; 0], "not every operation was called");
    flows::a_database_that_fails(&teller, &Database::at(&setup.database_url()));
    let log = service.stop_for_log() + &superuser.stderr;
    let copy = format!("sqlite://{}", setup.folder().join("copy.db").display());
    let copying = ["copy-database", "--from", &setup.database_url(), "--to", &copy];
    said += &what_is_said(&setup, &copying);
    check_form(&log, &teller);
    let mut canaries = teller.canaries().clone();
    let asked: HashSet<String> = ranges.asked().into_iter().collect();
    assert!(asked.len() > 2, "{asked:?}");
    for digits in asked {
        canaries.add_code("a part of the digest of a password", &digits);
    }
    canaries.assert_absent_in(&log);
    canaries.assert_absent_in(&said);
}

/// All that a command tells the operator.
fn what_is_said(setup: &Setup, arguments: &[&str]) -> String {
    let finished = setup.run(arguments);
    assert!(finished.success, "{arguments:?}: {}", finished.stderr);
    finished.stdout + &finished.stderr
}

/// Each line is an object; what a request makes names the request, and each request has its line.
fn check_form(log: &str, teller: &Teller) {
    let mut seen = HashSet::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for field in ["timestamp", "level", "target"] {
            assert!(event[field].is_string(), "{line}");
        }
        let target = event["target"].as_str().unwrap();
        let id = event["span"]["request_id"].as_str();
        let is_asked_for =
            target.starts_with("hallpass::http") || target.starts_with("hallpass::flows");
        if is_asked_for && target != HAPPENS_BY_ITSELF {
            assert!(event["message"].is_string(), "{line}");
            let id = id.unwrap_or_else(|| panic!("no request id: {line}"));
            if event["message"] == "request" || event["message"] == "request failed" {
                seen.insert(id.to_owned());
            }
        }
    }
    let unseen: Vec<String> =
        teller.request_ids().into_iter().filter(|id| !seen.contains(id)).collect();
    assert!(unseen.is_empty(), "{} of {} requests are not in the log", unseen.len(), seen.len());
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn what_mail_servers_say_about_an_address_stays_out_of_the_log() {
    let login = Mode::STARTTLS.login(SMTP_LOGIN.0, SMTP_LOGIN.1);
    for fault in ["reject-recipient", "reject-sender", "reject-content", "reject-login"] {
        let setup = singing(Setup::on_sqlite());
        let Some((setup, _mailbox)) = Mailbox::server(setup, login.fault(fault)) else { return };
        let setup = setup.with("HALLPASS_MAIL_FROM", "canary@canary.example");
        let service = setup.start();
        service.api().register("canarymina@example.com");
        service.wait_for_log("mail not sent", 1);
        // The line is logged just before the note is made.
        thread::sleep(Duration::from_millis(500));
        let said = ["list", "retry"].map(|what| what_is_said(&setup, &["mail", what]));
        assert!(said[0].contains("c***@example.com"), "{}", said[0]);
        canaries_of_settings().assert_absent_in(&(service.log() + &said.concat()));
    }
}

#[test]
fn a_database_that_cannot_be_reached_does_not_put_its_password_into_the_log() {
    let url = "postgres://canary-user:canary-password@127.0.0.1:1/canary";
    let setup = singing(Setup::on_sqlite()).with("DATABASE_URL", url);
    let failed = setup.run(&["serve"]);
    assert!(!failed.success);
    for secret in ["canary-user", "canary-password"] {
        assert!(!(failed.stderr.clone() + &failed.stdout).contains(secret), "{}", failed.stderr);
    }
}

#[test]
fn a_canary_in_a_log_is_noticed() {
    let mut canaries = canaries_of_settings();
    canaries.add_code("a code", "123456");
    let sings = |line: &str| std::panic::catch_unwind(|| canaries.assert_absent_in(line)).is_err();
    assert!(!sings(
        r#"{"timestamp":"2026-11-24T08:00:00.123456Z","message":"request","micros":123456}"#
    ));
    assert!(sings(r#"{"timestamp":"2026-11-24T08:00:00.000000Z","message":"code 123456"}"#));
    assert!(sings(
        r#"{"timestamp":"2026-11-24T08:00:00.000000Z","message":"CANARY-mina@example.com"}"#
    ));
}
