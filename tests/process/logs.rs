//! The log holds no secret, no address and no name, whatever is asked and answered, down to
//! `trace`; and each of its lines is JSON that names the request it belongs to.

mod canaries;
mod failures;
mod flows;
mod lines;
mod ranges;
mod recording_client;
mod social;

use std::collections::{HashMap, HashSet};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use hallpass::clock::{Clock as _, SystemClock};
use hallpass::domain::EventKind;
use serde_json::Value;

use self::canaries::Canaries;
use self::flows::ROOT_PASSWORD;
use self::ranges::Ranges;
use self::recording_client::{Answered, RecordingClient};
use crate::database::Database;
use crate::django_site::{Site, Tables};
use crate::mailbox::Mailbox;
use crate::service::Setup;
use crate::smtp::{Mode, SmtpServer};

const SMTP_LOGIN: (&str, &str) = ("canary-smtp-user", "canary-smtp-password");

/// The flow without a request: rotation of keys.
const BACKGROUND_FLOW: &str = "hallpass::flows::keys";

/// Settings with a canary in each secret, and everything logged.
fn with_canaries(setup: Setup) -> Setup {
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
    canaries.add("a client's address", "203.0.113.77");
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
    let provider = social::Provider::start();
    let setup = provider
        .named_in(with_canaries(setup))
        .with("HALLPASS_SMTP_URL", &server.url())
        .with("HALLPASS_BREACHED_PASSWORDS_URL", &ranges.url());
    let arguments =
        ["create-superuser", "--username", "canaryroot", "--email", "canaryroot@example.com"];
    let superuser = setup.run_with_input(&arguments, &format!("{ROOT_PASSWORD}\n"));
    assert!(superuser.success, "{}", superuser.stderr);
    let site = Site::on_sqlite(Tables::WithAllauth);
    let mut said = output_of(&setup, &["import-django", "--from", &site.url]);
    let began = seconds_now();
    let service = setup.start();
    let client = RecordingClient::new(service.address(), server, canaries_of_settings());
    flows::registrations(&client);
    flows::log_ins(&client);
    social::identities(&client, &provider);
    flows::imported_accounts(&client);
    flows::own_account(&client);
    flows::resets_and_undoing(&client);
    flows::staff(&client);
    flows::services(&client);
    if crate::HAS_DRF {
        flows::django_adapter(&client);
    }
    flows::public_resources(&client);
    flows::nonsense(&client);
    for arguments in [&["keys", "rotate"][..], &["keys", "list"], &["mail", "list"]] {
        said += &output_of(&setup, arguments);
    }
    let kinds = flows::every_kind(&client);
    let missing: Vec<&str> =
        EventKind::ALL.iter().map(|it| it.name()).filter(|it| !kinds.contains(*it)).collect();
    assert!(missing.is_empty(), "not every flow was run: {missing:?}");
    assert_eq!(client.missing_operations(), [""; 0], "not every operation was called");
    flows::a_database_that_fails(&client, &Database::at(&setup.database_url()));
    let log = service.stop_for_log();
    let copy = format!("sqlite://{}", setup.folder().join("copy.db").display());
    let copying = ["copy-database", "--from", &setup.database_url(), "--to", &copy];
    said += &output_of(&setup, &copying);
    check_form(&log, &client, began);
    said += &superuser.stderr;
    let mut canaries = client.canaries().clone();
    let asked: HashSet<String> = ranges.asked().into_iter().collect();
    assert!(asked.len() > 2, "{asked:?}");
    for digits in asked {
        canaries.add_code("a part of the digest of a password", &digits);
    }
    canaries.assert_absent_in(&log);
    canaries.assert_absent_in(&said);
}

fn seconds_now() -> u64 {
    SystemClock.now().seconds().try_into().unwrap()
}

/// Returns everything that a command prints.
fn output_of(setup: &Setup, arguments: &[&str]) -> String {
    let finished = setup.run(arguments);
    assert!(finished.success, "{arguments:?}: {}", finished.stderr);
    finished.stdout + &finished.stderr
}

/// Each line is an object that says when in UTC; what a request makes names the request, what is
/// done to an account names it and who did it, and each request has one line that says how it was
/// answered.
fn check_form(log: &str, client: &RecordingClient, began: u64) {
    let (mut seen, mut causes) = (HashMap::new(), HashSet::new());
    let mut last = began;
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        let text =
            |field: &str| event[field].as_str().unwrap_or_else(|| panic!("no {field}: {line}"));
        assert!(["ERROR", "WARN", "INFO", "DEBUG", "TRACE"].contains(&text("level")), "{line}");
        assert!(text("timestamp").ends_with('Z'), "{line}");
        let at = humantime::parse_rfc3339(text("timestamp")).unwrap();
        let at = at.duration_since(UNIX_EPOCH).unwrap().as_secs();
        // Threads may write their lines in another order than they made them.
        assert!(at + 1 >= last && at <= seconds_now(), "{line}");
        last = last.max(at);
        let target = text("target");
        if event["cause"].as_str().is_some_and(|cause| !cause.is_empty()) {
            causes.insert((target.to_owned(), event["message"].as_str().unwrap_or("").to_owned()));
        }
        let is_asked_for = ["hallpass::http", "hallpass::flows", "hallpass::refusals"]
            .iter()
            .any(|room| target.starts_with(room));
        if is_asked_for && target != BACKGROUND_FLOW {
            let message = text("message");
            let id = event["span"]["request_id"].as_str();
            let id = id.unwrap_or_else(|| panic!("no request id: {line}"));
            if ["request", "request refused", "request failed"].contains(&message) {
                let told = (text("method").to_owned(), event["status"].as_u64().unwrap());
                assert!(event["micros"].is_u64(), "{line}");
                assert!(seen.insert(id.to_owned(), told).is_none(), "twice: {line}");
            }
            for (words, who) in WHO {
                assert!(!message.ends_with(words) || event[who].is_i64(), "no {who}: {line}");
            }
        }
    }
    for Answered { request_id, method, status } in client.answered() {
        let told = match seen.get(&request_id) {
            Some(told) => told,
            // Of refusals with one code 60 a minute are written.
            None if (400..500).contains(&status) => continue,
            None => panic!("{method} is not in the log"),
        };
        let is_preflight = told.0 == "-";
        assert!(is_preflight || told.0 == method, "{request_id}: {told:?}, not {method}");
        assert_eq!(told.1, u64::from(status), "{request_id}");
    }
    assert!(seen.len() > 100, "{}", seen.len());
    let refused = seen.values().filter(|told| (400..500).contains(&told.1)).count();
    assert!(refused > 50, "{refused}");
    for words in WHO.iter().map(|it| it.0).chain(WHAT_WENT_WRONG) {
        assert!(log.contains(words), "no line says {words}");
    }
    // What failed within is told with its cause: by the API, and by the adapter.
    let adapter = crate::HAS_DRF.then_some(("hallpass::drf::http::answers", "unavailable"));
    for (target, message) in FAILURES.into_iter().chain(adapter) {
        let told = causes.contains(&(target.to_owned(), message.to_owned()));
        assert!(told, "{target} tells no cause of {message:?}: {causes:?}");
    }
}

/// Lines that tell why a request failed, with where they come from.
const FAILURES: [(&str, &str); 2] =
    [("hallpass::http::error", "unavailable"), ("hallpass::http::error", "internal error")];

/// Lines that the log must have: refusals of log-ins, limits, internal errors.
const WHAT_WENT_WRONG: [&str; 5] = [
    "log-in refused: wrong name or password",
    "log-in refused: account disabled",
    "wrong password within a session",
    "refused: over the limit",
    "request failed",
];

/// Lines that must name a user, and the field for it.
const WHO: [(&str, &str); 11] = [
    ("logged in", "user_id"),
    ("logged out", "user_id"),
    ("e-mail address verified", "user_id"),
    ("password changed", "user_id"),
    ("password reset", "user_id"),
    ("by its owner", "user_id"),
    ("by staff", "user_id"),
    ("by staff", "by"),
    ("account created at the Django REST adapter", "by"),
    ("account changed at the Django REST adapter", "by"),
    ("account deleted at the Django REST adapter", "by"),
];

/// In the text form too, which is the default, no request writes a line or a control sequence of
/// its own.
#[test]
fn no_request_forges_a_line_of_the_text_form() {
    let setup =
        Setup::on_sqlite().with("HALLPASS_LOG", "trace").with("HALLPASS_LOG_FORMAT", "text");
    let setup = setup.with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1");
    let service = setup.start();
    let forged = "x\n2026-11-24T08:00:00.000000Z  INFO forged by a client\r\u{1b}[2K\u{1b}[31m";
    let encoded: String = form_urlencoded::byte_serialize(forged.as_bytes()).collect();
    let client = reqwest::blocking::Client::new();
    let base = format!("http://{}", service.address());
    let header = "x\t2026-11-24T08:00:00.000000Z  INFO forged by a client";
    for (method, path) in [
        ("GET", format!("/{encoded}")),
        ("GET", format!("/v1/users/{encoded}?search={encoded}")),
        ("GET", format!("/verify-email?token={encoded}")),
        ("POST", "/v1/token-auth".to_owned()),
        ("POST", "/v1/register".to_owned()),
        ("POST", "/api-token-auth/".to_owned()),
        ("FORGED", "/users/".to_owned()),
    ] {
        let body = serde_json::json!({"username": forged, "email": forged, "password": forged});
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = client.request(method, format!("{base}{path}")).json(&body);
        let request = request.header("user-agent", header).header("x-forwarded-for", header);
        let answer = request.header("x-request-id", header).header("authorization", header).send();
        assert!(answer.unwrap().status().as_u16() < 500, "{path}");
    }
    let log = service.stop_for_log();
    assert!(log.lines().count() > 20, "{log}");
    for line in log.lines() {
        let (time, _) = line.split_once(' ').unwrap_or((line, ""));
        assert!(humantime::parse_rfc3339(time).is_ok(), "a line without its time: {line:?}");
        assert!(!line.contains(|c: char| c.is_control()), "{line:?}");
        assert!(!line.contains("forged"), "{line:?}");
    }
}

#[test]
fn what_mail_servers_say_about_an_address_stays_out_of_the_log() {
    let login = Mode::STARTTLS.login(SMTP_LOGIN.0, SMTP_LOGIN.1);
    for fault in ["reject-recipient", "reject-sender", "reject-content", "reject-login"] {
        let setup = with_canaries(Setup::on_sqlite());
        let Some((setup, _mailbox)) = Mailbox::server(setup, login.fault(fault)) else { return };
        let setup = setup.with("HALLPASS_MAIL_FROM", "canary@canary.example");
        let service = setup.start();
        service.api().register("canarymina@example.com");
        service.wait_for_log("mail not sent", 1);
        // The line is logged just before the note is made.
        thread::sleep(Duration::from_millis(500));
        let said = ["list", "retry"].map(|what| output_of(&setup, &["mail", what]));
        assert!(said[0].contains("c***@example.com"), "{}", said[0]);
        canaries_of_settings().assert_absent_in(&(service.log() + &said.concat()));
    }
}

#[test]
fn a_database_that_cannot_be_reached_does_not_put_its_password_into_the_log() {
    let url = "postgres://canary-user:canary-password@127.0.0.1:1/canary";
    let setup = with_canaries(Setup::on_sqlite()).with("DATABASE_URL", url);
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
