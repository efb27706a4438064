//! `GET /v1/me/export` of a user with more events than should be held in memory.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use hallpass::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::both::on_both;
use crate::client::PASSWORD;
use crate::service::{Service, Setup};
use crate::sql::change;

/// A service with a user, the user's tokens, and so many events of the user.
fn with_events(setup: &Setup, count: usize) -> (Service, Value) {
    let admin = ["create-superuser", "--username", "admin", "--password", PASSWORD];
    assert!(setup.run(&admin).success);
    let now = SystemClock.now().micros();
    let events = format!(
        "WITH RECURSIVE n(i) AS (SELECT 100000 UNION ALL SELECT i + 1 FROM n WHERE i < {}) \
         INSERT INTO events (id, user_id, kind, session_id, device, network, detail, at) \
         SELECT '01900000-0000-7000-8000-000000' || i, users.id, 'logged_in', \
         '01900000-0000-7000-8000-000000' || i, 'Firefox on Windows', '192.0.2.0/24', 'pwd', {now} \
         FROM n, users",
        100_000 + count - 1
    );
    change(setup, &events);
    let service = setup.start();
    let tokens = service.api().log_in("admin", PASSWORD);
    assert_eq!(tokens.status, 200, "{tokens:?}");
    (service, tokens.body)
}

/// A connection on which the export was asked for and of which only the first bytes were read.
fn begun(service: &Service, tokens: &Value) -> TcpStream {
    let token = tokens["access_token"].as_str().unwrap();
    begun_at(service, "/v1/me/export", &format!("Bearer {token}"))
}

/// The same for any path.
pub fn begun_at(service: &Service, path: &str, authorization: &str) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
         Authorization: {authorization}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut first = [0; 15];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    stream
}

/// Reads the rest of the response.
pub fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection is held");
    }
    String::from_utf8(bytes).unwrap()
}

/// The body of an answer in chunks.
fn body_of(answer: &str) -> String {
    let (_, mut chunks) = answer.split_once("\r\n\r\n").unwrap();
    let mut body = String::new();
    loop {
        let (size, rest) = chunks.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&rest[..size]);
        chunks = &rest[size + 2..];
    }
}

on_both! {
    fn exports_are_whole_and_cost_little_memory(setup) {
        // In memory they would take 32 MB.
        const EVENTS: usize = 30_000;
        // SQLite keeps 2 MB of the file for each connection.
        let setup = setup.with("HALLPASS_DATABASE_POOL", "2");
        let (service, tokens) = with_events(&setup, EVENTS);
        let token = tokens["access_token"].as_str().unwrap();
        let api = service.api();
        assert_eq!(api.send("GET", "/v1/me", token, &Value::Null).status, 200);
        let before = service.peak_resident_kib();
        let exports: Vec<String> = thread::scope(|scope| {
            let export = || rest(begun(&service, &tokens));
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(export)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let grown = service.peak_resident_kib() - before;
        println!("4 exports of {EVENTS} events at once: {grown} KiB more than {before}");
        for export in &exports {
            assert!(export.len() > EVENTS * 200, "{} bytes", export.len());
            assert!(export.ends_with("]}\r\n0\r\n\r\n"));
        }
        let export: Value = serde_json::from_str(&body_of(&exports[0])).unwrap();
        let events = export["events"].as_array().expect("a list");
        let ids: Vec<&str> = events.iter().map(|it| it["id"].as_str().unwrap()).collect();
        assert!(ids.is_sorted_by(|newer, older| newer > older));
        assert_eq!(ids.iter().filter(|it| it.starts_with("01900000")).count(), EVENTS);
        // The allocator keeps some MiB for each of the threads.
        assert!(grown < 16 * 1024, "{grown} KiB more");
    }

    fn clients_that_do_not_read_hold_no_database_connection(setup) {
        let setup = setup.with("HALLPASS_DATABASE_POOL", "2");
        let (service, tokens) = with_events(&setup, 30_000);
        let stalled: Vec<TcpStream> = (0..6).map(|_| begun(&service, &tokens)).collect();
        let token = tokens["access_token"].as_str().unwrap();
        for _ in 0..5 {
            let answer = service.api().send("GET", "/v1/me", token, &Value::Null);
            // Without a connection it would be 503 in the end.
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        drop(stalled);
    }

    fn an_export_that_cannot_go_on_breaks_the_connection(setup) {
        let (service, tokens) = with_events(&setup, 30_000);
        let whole = rest(begun(&service, &tokens));
        assert!(whole.ends_with("]}\r\n0\r\n\r\n"), "{} bytes", whole.len());
        let broken = begun(&service, &tokens);
        let refresh = json!({"refresh_token": tokens["refresh_token"]});
        assert_eq!(service.api().post("/v1/token-revoke", &refresh).status, 204);
        let broken = rest(broken);
        assert!(broken.len() < whole.len(), "{} of {} bytes", broken.len(), whole.len());
        assert!(!broken.contains("]}") && !broken.ends_with("\r\n0\r\n\r\n"));
    }
}
