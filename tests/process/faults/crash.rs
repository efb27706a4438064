//! kill -9 at the worst moment. The system keeps what the process has written, so these tests
//! cannot show what a power failure would lose.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::both::on_both;
use crate::client::{Answer, Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::service::Setup;
use crate::smtp::Mode;
use crate::sql::{change, count};
use crate::waiting::wait_until;

const CLIENTS: usize = 8;
const REGISTRATIONS_EACH: usize = 25;
const KILL_AFTER: usize = 100;
/// Number of mails that an instance sends at once, which may go out twice.
const PARALLEL_SENDS: usize = 16;

/// A user who deletes the account, with more mails than can be deleted before the response.
const LEAVING: &str = "leaving@example.com";
const MAILS: usize = 100_000;

/// Address and registration token of every client that received `verification_sent`.
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
        wait_until("registrations", || count.load(Ordering::SeqCst) >= KILL_AFTER);
        service.kill();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let before = mailbox.codes().len();
    assert!(acknowledged.len() >= KILL_AFTER);
    assert!(acknowledged.len() < CLIENTS * REGISTRATIONS_EACH, "the kill came too late");

    let again = setup.start();
    let addresses = acknowledged.iter().map(|(email, _)| email.as_str());
    // A lease of the killed instance lasts 20 seconds.
    let (codes, took) = mailbox.wait_or(addresses, Duration::from_secs(40), || {
        let listed = setup.run(&["mail", "list"]);
        format!("{}\n{}", listed.stdout, again.log())
    });
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
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let Some((setup, mailbox)) = Mailbox::server(setup, Mode::PLAIN) else { return };
    no_acknowledged_registration_is_lost(&setup, &mailbox);
}

#[test]
fn kill_9_after_a_deletion_leaves_nothing_readable_in_the_file_after_the_next_start() {
    let setup = Setup::on_sqlite();
    let (service, mailbox) = (setup.start(), Mailbox::folder(&setup));
    let access = mailbox.new_account(&service.api(), LEAVING);
    let path = setup.folder().join("data/hallpass.db");
    let is_readable = || {
        let files =
            ["db", "db-wal"].map(|it| fs::read(path.with_extension(it)).unwrap_or_default());
        let stands =
            |file: &Vec<u8>| file.windows(LEAVING.len()).any(|part| part == LEAVING.as_bytes());
        files.iter().any(stands)
    };
    assert!(is_readable(), "the search finds nothing");
    let password = json!({"password": PASSWORD});
    assert_eq!(service.api().send("DELETE", "/v1/me", &access, &password).status, 204);
    service.kill();
    let _again = setup.start();
    wait_until("the address to go", || !is_readable());
}

const SUPERUSER: [&str; 6] =
    ["create-superuser", "--username", "admin", "--password", "admin", "--allow-weak-password"];
const EXCHANGES: usize = 150;

/// Logs in and refreshes again and again; returns the last refresh token that was handed out, if
/// any.
fn refresh_until_it_breaks(api: &Api, count: &AtomicUsize) -> Option<String> {
    let body = json!({"username": "admin", "password": "admin"});
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
    let body = json!({"username": "admin", "password": "admin"});
    let mut handed_out = Vec::new();
    while handed_out.len() < 40
        && let Ok(answer) = api.try_post("/v1/token-auth", &body)
    {
        assert_eq!(answer.status, 200, "{answer:?}");
        handed_out.push(answer.text("refresh_token"));
    }
    handed_out
}

const NEW_PASSWORD: &str = "a lantern on the pier";
const PEOPLE_EACH: usize = 15;
/// Number of changes after which the process is killed, of 240 possible ones.
const CHANGES: usize = 120;

/// A user whose verification is pending.
struct Person {
    email: String,
    proof: Value,
}

fn registered(setup: &Setup, api: &Api) -> Vec<Person> {
    let mailbox = Mailbox::folder(setup);
    let emails = (0..CLIENTS * PEOPLE_EACH).map(|number| format!("person-{number}@example.com"));
    let waiting: Vec<_> = emails.map(|email| (api.register(&email), email)).collect();
    let person = |(token, email): (String, String)| {
        let proof = json!({"registration_token": token, "code": mailbox.code_for(&email)});
        Person { email, proof }
    };
    waiting.into_iter().map(person).collect()
}

/// Acknowledged changes: the addresses of the users, or their tokens.
#[derive(Default)]
struct Told {
    proven: Vec<String>,
    ended: Vec<Answer>,
    changed: Vec<String>,
}

/// Users verify their addresses, one after the other, and then log out or change the password.
fn use_accounts_until_it_breaks(api: &Api, people: &[Person], count: &AtomicUsize) -> Told {
    let mut told = Told::default();
    for (number, Person { email, proof }) in people.iter().enumerate() {
        let Ok(pair) = api.try_post("/v1/verify-email", proof) else { break };
        assert_eq!(pair.status, 200, "{pair:?}");
        told.proven.push(email.clone());
        count.fetch_add(1, Ordering::SeqCst);
        let changes_password = number % 2 == 0;
        let done = if changes_password {
            let body = json!({"current_password": PASSWORD, "new_password": NEW_PASSWORD});
            api.try_send("POST", "/v1/password-change", &pair.text("access_token"), &body)
        } else {
            let body = json!({"refresh_token": pair.text("refresh_token")});
            api.try_post("/v1/token-revoke", &body)
        };
        let Ok(done) = done else { break };
        assert_eq!(done.status, 204, "{done:?}");
        if changes_password {
            told.changed.push(email.clone());
        } else {
            told.ended.push(pair);
        }
        count.fetch_add(1, Ordering::SeqCst);
    }
    told
}

on_both! {
    fn kill_9_loses_no_acknowledged_refresh_or_log_in(setup) {
        let setup = setup.with("HALLPASS_SESSIONS_PER_USER", "100");
        let made = setup.run(&SUPERUSER);
        assert!(made.success, "{}", made.stderr);
        let service = setup.start();
        let (api, count) = (service.api(), AtomicUsize::new(0));
        let handed_out: Vec<String> = thread::scope(|scope| {
            let refreshing: Vec<_> =
                (0..CLIENTS).map(|_| scope.spawn(|| refresh_until_it_breaks(&api, &count))).collect();
            let logging_in = scope.spawn(|| log_in_until_it_breaks(&api));
            wait_until("refreshes", || count.load(Ordering::SeqCst) >= EXCHANGES);
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

    fn kill_9_loses_no_acknowledged_verification_log_out_or_change_of_password(setup) {
        let service = setup.start();
        let people = registered(&setup, &service.api());
        let (api, count) = (service.api(), AtomicUsize::new(0));
        let told: Vec<Told> = thread::scope(|scope| {
            let clients: Vec<_> = people
                .chunks(PEOPLE_EACH)
                .map(|people| scope.spawn(|| use_accounts_until_it_breaks(&api, people, &count)))
                .collect();
            wait_until("changes", || count.load(Ordering::SeqCst) >= CHANGES);
            service.kill();
            clients.into_iter().map(|client| client.join().unwrap()).collect()
        });
        let proven: Vec<String> = told.iter().flat_map(|it| it.proven.clone()).collect();
        let ended: Vec<Answer> = told.iter().flat_map(|it| it.ended.clone()).collect();
        let changed: Vec<String> = told.iter().flat_map(|it| it.changed.clone()).collect();
        assert!(proven.len() < people.len(), "the kill came too late");
        assert!(!ended.is_empty() && !changed.is_empty(), "nobody did more than prove");

        let again = setup.start();
        let api = again.api();
        for email in &proven {
            let known = [PASSWORD, NEW_PASSWORD].map(|password| api.log_in(email, password).status);
            // A change without a response may or may not have been made.
            let expected: &[[u16; 2]] =
                if changed.contains(email) { &[[401, 200]] } else { &[[200, 401], [401, 200]] };
            assert!(expected.contains(&known), "{email}: {known:?}");
        }
        for pair in &ended {
            let refreshed = api.refresh(&pair.text("refresh_token"));
            assert_eq!(refreshed.body["code"], "refresh_token_revoked", "{refreshed:?}");
            let verified = api.verify_token(&pair.text("access_token"));
            assert_eq!(verified.body["code"], "token_revoked", "{verified:?}");
        }
        println!(
            "{} proofs, {} log-outs and {} changes of a password stayed",
            proven.len(),
            ended.len(),
            changed.len()
        );
    }
    fn kill_9_in_a_deletion_leaves_nothing_to_read_and_the_rest_is_deleted_later(setup) {
        assert!(setup.run(&SUPERUSER).success);
        let (service, mailbox) = (setup.start(), Mailbox::folder(&setup));
        let api = service.api();
        let access = mailbox.new_account(&api, LEAVING);
        let user = format!("(SELECT id FROM users WHERE email = '{LEAVING}')");
        change(&setup, &format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAILS}) \
             INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at, finished_at, user_id) SELECT 'm' || i, 'new_device', \
             '{LEAVING}', 'en', '', 'sent', 1, 0, 0, 0, {user} FROM n"
        ));
        let me = api.send("GET", "/v1/me", &access, &Value::Null);
        let path = format!("/v1/users/{}", me.body["user_id"]);
        let password = json!({"password": PASSWORD});
        assert_eq!(api.send("DELETE", "/v1/me", &access, &password).status, 204);
        service.kill();
        let left = count(&setup, "outbox WHERE user_id IS NOT NULL");
        assert!(left > 0 && count(&setup, "users WHERE deleted_at IS NOT NULL") == 1);

        let again = setup.start();
        let api = again.api();
        let staff = api.log_in("admin", "admin").text("access_token");
        assert_eq!(api.send("GET", &path, &staff, &Value::Null).status, 404);
        assert_eq!(api.send("GET", "/v1/me", &access, &Value::Null).body["code"], "token_revoked");
        assert_eq!(api.log_in(LEAVING, PASSWORD).status, 401);
        api.register(LEAVING);
        wait_until("the rows to be deleted", || {
            count(&setup, "users WHERE deleted_at IS NOT NULL") == 0
        });
        assert_eq!(count(&setup, "outbox WHERE id LIKE 'm%'"), 0);
        println!("{left} of {MAILS} mails were left by the kill");
    }
}
