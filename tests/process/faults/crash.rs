//! kill -9 at the worst moment.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::api::Api;
use crate::letters::Mailbox;
use crate::service::Setup;
use crate::smtp::Mode;

const CLIENTS: usize = 8;
const REGISTRATIONS_EACH: usize = 25;
const KILL_AFTER: usize = 100;
/// As many as an instance sends at once: so many may go out twice.
const PARALLEL_SENDS: usize = 16;

/// Address and registration token of everybody who was told `verification_sent`.
type Acknowledged = Vec<(String, String)>;

fn register_until_it_breaks(api: &Api, client: usize, count: &AtomicUsize) -> Acknowledged {
    let mut acknowledged = Vec::new();
    for number in 0..REGISTRATIONS_EACH {
        let email = format!("person-{client}-{number}@example.com");
        let Ok(answer) = api.try_register(&email) else { break };
        assert_eq!(answer.status, 202, "{answer:?}");
        acknowledged.push((email, answer.text("registration_token")));
        count.fetch_add(1, Ordering::SeqCst);
    }
    acknowledged
}

fn no_acknowledged_registration_is_lost(setup: &Setup, mailbox: &Mailbox) {
    let service = setup.start();
    let (api, count) = (service.api(), AtomicUsize::new(0));
    let acknowledged: Acknowledged = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (api, count) = (&api, &count);
                scope.spawn(move || register_until_it_breaks(api, client, count))
            })
            .collect();
        while count.load(Ordering::SeqCst) < KILL_AFTER {
            thread::sleep(Duration::from_millis(1));
        }
        service.kill();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let before = mailbox.codes().len();
    assert!(acknowledged.len() >= KILL_AFTER);
    assert!(acknowledged.len() < CLIENTS * REGISTRATIONS_EACH, "the kill came too late");

    let again = setup.start();
    let addresses = acknowledged.iter().map(|(email, _)| email.as_str());
    let (codes, took) = mailbox.wait_for(addresses, Duration::from_secs(40));
    println!(
        "{} acknowledged, {before} had mail at the kill, the last mail came {took:?} after the \
         restart",
        acknowledged.len()
    );
    let api = again.api();
    for (email, registration_token) in &acknowledged {
        let codes = &codes[email];
        assert!(codes.iter().all(|code| code == &codes[0]), "a second mail has another code");
        api.verify(registration_token, &codes[0]);
    }
    let mails: usize = codes.values().map(Vec::len).sum();
    assert!(mails <= codes.len() + PARALLEL_SENDS, "{mails} mails to {} people", codes.len());
}

#[test]
fn kill_9_loses_no_acknowledged_registration_on_sqlite_with_a_mail_folder() {
    let setup = Setup::on_sqlite();
    let mailbox = Mailbox::folder(&setup);
    no_acknowledged_registration_is_lost(&setup, &mailbox);
}

#[test]
fn kill_9_loses_no_acknowledged_registration_on_postgres_with_smtp() {
    let Some(setup) = Setup::on_postgres() else { return };
    let Some((setup, mailbox)) = Mailbox::server(setup, Mode::PLAIN) else { return };
    no_acknowledged_registration_is_lost(&setup, &mailbox);
}

const SUPERUSER: [&str; 6] =
    ["create-superuser", "--username", "admin", "--password", "admin", "--allow-weak-password"];
const EXCHANGES: usize = 150;

/// Logs in and refreshes again and again; returns the last refresh token that was handed out, if any.
fn refresh_until_it_breaks(api: &Api, count: &AtomicUsize) -> Option<String> {
    let body = serde_json::json!({"username": "admin", "password": "admin"});
    let mut last = api.try_post("/v1/token-auth", &body).ok()?.text("refresh_token");
    while let Ok(answer) = api.try_refresh(&last) {
        assert_eq!(answer.status, 200, "{answer:?}");
        last = answer.text("refresh_token");
        count.fetch_add(1, Ordering::SeqCst);
    }
    Some(last)
}

/// Logs in again and again; returns the refresh tokens that were handed out.
fn log_in_until_it_breaks(api: &Api) -> Vec<String> {
    let body = serde_json::json!({"username": "admin", "password": "admin"});
    let mut handed_out = Vec::new();
    while handed_out.len() < 40
        && let Ok(answer) = api.try_post("/v1/token-auth", &body)
    {
        assert_eq!(answer.status, 200, "{answer:?}");
        handed_out.push(answer.text("refresh_token"));
    }
    handed_out
}

fn no_acknowledged_refresh_or_log_in_is_lost(setup: Setup) {
    let setup = setup.with("HALLPASS_SESSIONS_PER_USER", "100");
    let made = setup.run(&SUPERUSER);
    assert!(made.success, "{}", made.stderr);
    let service = setup.start();
    let (api, count) = (service.api(), AtomicUsize::new(0));
    let handed_out: Vec<String> = thread::scope(|scope| {
        let refreshing: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| refresh_until_it_breaks(&api, &count))).collect();
        let logging_in = scope.spawn(|| log_in_until_it_breaks(&api));
        while count.load(Ordering::SeqCst) < EXCHANGES {
            thread::sleep(Duration::from_millis(1));
        }
        service.kill();
        let mut tokens = logging_in.join().unwrap();
        tokens.extend(refreshing.into_iter().filter_map(|client| client.join().unwrap()));
        tokens
    });
    assert!(handed_out.len() > CLIENTS, "nobody logged in");

    let again = setup.start();
    let api = again.api();
    for token in &handed_out {
        let answer = api.refresh(token);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(api.verify_token(&answer.text("access_token")).status, 200);
    }
    println!("{} refresh tokens out at the kill, all good after it", handed_out.len());
}

#[test]
fn kill_9_loses_no_acknowledged_refresh_or_log_in_on_sqlite() {
    no_acknowledged_refresh_or_log_in_is_lost(Setup::on_sqlite());
}

#[test]
fn kill_9_loses_no_acknowledged_refresh_or_log_in_on_postgres() {
    let Some(setup) = Setup::on_postgres() else { return };
    no_acknowledged_refresh_or_log_in_is_lost(setup);
}
