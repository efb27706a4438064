//! Exhausted connections to the database, and locks of other programs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, PgConnection, SqliteConnection};
use serde_json::json;

use super::assert_unavailable;
use super::connections::allow_many_connections;
use crate::client::{Api, PASSWORD};
use crate::mailbox::Mailbox;
use crate::process::statements::pooler::behind_a_pooler;
use crate::service::{Service, Setup};

const MINA: &str = "mina@example.com";
/// Waits of 3 seconds for a connection, 5 for SQLite's lock, and a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(9);
/// A lock is waited for 3 seconds, by one statement of a request.
const LOCK_LIMIT: Duration = Duration::from_millis(5_900);
/// The default of `PgBouncer` (`default_pool_size`).
const SERVER_PROCESSES: u32 = 20;
/// Time after which the request that has the connection is given up.
const HELD_LIMIT: Duration = Duration::from_secs(20);

/// A service with one person; her access token.
fn with_mina(setup: &Setup) -> (Service, String) {
    let service = setup.start();
    let token = Mailbox::folder(setup).new_account(&service.api(), MINA);
    (service, token)
}

fn tokens_are_checked_for(span: Duration, api: &Api, token: &str) {
    let started = Instant::now();
    while started.elapsed() < span {
        let answer = api.verify_token(token);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.took < Duration::from_secs(1), "it took {:?}", answer.took);
        assert_eq!(api.get("/healthz").status, 200);
        thread::sleep(Duration::from_millis(50));
    }
}

fn wait_until_served(api: &Api) {
    let started = Instant::now();
    while api.log_in(MINA, PASSWORD).status != 200 {
        assert!(started.elapsed() < Duration::from_secs(10), "still refused");
        thread::sleep(Duration::from_millis(50));
    }
    println!("served {:?} after the connections were free", started.elapsed());
}

#[test]
fn a_pool_whose_only_connection_waits_costs_503_and_nothing_else() {
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let setup = setup.with("HALLPASS_DATABASE_POOL", "1");
    let (service, token) = with_mina(&setup);
    let api = service.api();
    let mut other = PgConnection::establish(&setup.database_url()).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").unwrap();
    thread::scope(|scope| {
        let holder = scope.spawn(|| api.log_in(MINA, PASSWORD));
        thread::sleep(Duration::from_millis(300));
        let waiting: Vec<_> = (0..20).map(|_| scope.spawn(|| api.log_in(MINA, PASSWORD))).collect();
        tokens_are_checked_for(Duration::from_secs(4), &api, &token);
        for client in waiting {
            assert_unavailable(&client.join().unwrap(), ANSWER_LIMIT);
        }
        // It can check tokens.
        assert_eq!(api.get("/readyz").status, 200);
        assert_unavailable(&holder.join().unwrap(), LOCK_LIMIT);
    });
    other.batch_execute("ROLLBACK").unwrap();
    wait_until_served(&api);
    assert_eq!(api.verify_token(&token).status, 200);
    assert!(!service.log().contains("panic"), "{}", service.log());
}

#[test]
fn a_locked_table_costs_three_seconds_and_nothing_else() {
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    each_locked_table_costs_three_seconds(&setup.database_url(), setup);
}

#[test]
fn a_locked_table_costs_three_seconds_behind_a_pooler_too() {
    let Some((cluster, _pooler, setup)) = behind_a_pooler(SERVER_PROCESSES) else { return };
    each_locked_table_costs_three_seconds(&cluster.url(), setup);
}

/// Locks tables by way of `url`, which leads to the database of the setup.
fn each_locked_table_costs_three_seconds(url: &str, setup: Setup) {
    let setup = setup.with("HALLPASS_LIMITS", "on");
    let (service, token) = with_mina(&setup);
    let api = service.api();
    let mut other = PgConnection::establish(url).unwrap();
    let mut refresh_token = api.log_in(MINA, PASSWORD).text("refresh_token");
    for table in ["users", "sessions", "limits", "refresh_tokens"] {
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        other.batch_execute(&lock).unwrap();
        thread::scope(|scope| {
            let log_in = scope.spawn(|| api.log_in(MINA, PASSWORD));
            let me = scope.spawn(|| api.send("GET", "/v1/me", &token, &().into()));
            let register = scope.spawn(|| api.try_register("noah@example.com").unwrap());
            let refresh = scope.spawn(|| api.refresh(&refresh_token));
            for answer in [log_in, me, register, refresh].map(|request| request.join().unwrap()) {
                println!("{table}: {} after {:?}", answer.status, answer.took);
                if answer.status == 503 {
                    assert_unavailable(&answer, LOCK_LIMIT);
                }
                assert!(answer.took < LOCK_LIMIT, "{answer:?}");
            }
        });
        other.batch_execute("ROLLBACK").unwrap();
        wait_until_served(&api);
        let next = api.refresh(&refresh_token);
        assert_eq!(next.status, 200, "{next:?}");
        refresh_token = next.text("refresh_token");
    }
}

#[test]
fn a_file_locked_by_another_writer_causes_503_for_writes_only() {
    let setup = Setup::on_sqlite();
    let (service, token) = with_mina(&setup);
    let api = service.api();
    let path = setup.folder().join("data/hallpass.db");
    let mut other = SqliteConnection::establish(path.to_str().unwrap()).unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8).map(|_| scope.spawn(|| api.log_in(MINA, PASSWORD))).collect();
        tokens_are_checked_for(Duration::from_secs(4), &api, &token);
        assert_eq!(api.get("/readyz").status, 200);
        for client in waiting {
            assert_unavailable(&client.join().unwrap(), HELD_LIMIT);
        }
    });
    other.batch_execute("ROLLBACK").unwrap();
    wait_until_served(&api);
    assert!(!service.log().contains("panic"), "{}", service.log());
}

/// Reads until the connection is closed.
fn outcome(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(HELD_LIMIT)).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn beyond_the_queue_every_request_is_refused_at_once() {
    allow_many_connections();
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let setup = setup.with("HALLPASS_DATABASE_POOL", "1");
    let (service, token) = with_mina(&setup);
    let api = service.api();
    let before = service.resident_kib();
    let mut other = PgConnection::establish(&setup.database_url()).unwrap();
    other.batch_execute("BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE").unwrap();
    let body = json!({"username": MINA, "password": PASSWORD}).to_string();
    let request = format!(
        "POST /v1/token-auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let (begin, end) = request.split_at(request.len() - 1);
    // The ends come in one burst, before the first request is given up. A head must come soon.
    let connected = |_| {
        let mut stream = TcpStream::connect(service.address()).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream
    };
    let mut waiting: Vec<TcpStream> = (0..700).map(connected).collect();
    for stream in &mut waiting {
        stream.write_all(end.as_bytes()).unwrap();
    }
    tokens_are_checked_for(Duration::from_secs(1), &api, &token);
    let grown = service.resident_kib().saturating_sub(before);
    other.batch_execute("ROLLBACK").unwrap();
    let answers: Vec<String> = waiting.into_iter().map(outcome).collect();
    let count = |word: &str| answers.iter().filter(|it| it.contains(word)).count();
    let (overloaded, unavailable) = (count("overloaded"), count("unavailable"));
    println!("{overloaded} overloaded, {unavailable} unavailable, {grown} KiB more");
    assert!(overloaded > 0, "all of them waited");
    for told in answers.iter().filter(|it| it.contains("overloaded")) {
        let told = told.to_lowercase();
        assert!(told.starts_with("http/1.1 503 "), "{told}");
        for header in ["content-type: application/problem+json", "retry-after: "] {
            assert!(told.contains(header), "{told}");
        }
    }
    let known = ["overloaded", "unavailable", "access_token"];
    let strange = answers.iter().find(|it| !known.iter().any(|word| it.contains(word)));
    assert_eq!(strange, None);
    assert!(grown < 128 * 1024, "{grown} KiB more");
    wait_until_served(&api);
}
