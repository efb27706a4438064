//! Requests that no proper client sends: a clear answer, soon, and nothing else is harmed.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::raw::{Raw, post};
use crate::support::{PASSWORD, TestApp, World, contract_of};

const JSON: &str = "Content-Type: application/json\r\n";
const PATHS: [&str; 6] = [
    "/v1/register",
    "/v1/verify-email",
    "/v1/verify-email/resend",
    "/v1/token-auth",
    "/v1/token-refresh",
    "/v1/token-verify",
];

fn app() -> TestApp {
    World::sqlite().app()
}

fn registration() -> String {
    json!({"email": "mina@example.com", "password": PASSWORD}).to_string()
}

#[test]
fn a_body_that_is_no_object_is_malformed() {
    let app = app();
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(7_000), "]".repeat(7_000));
    let bodies: [&[u8]; 14] = [
        b"",
        b" ",
        b"[]",
        b"null",
        b"\"text\"",
        b"{",
        b"{}{}",
        b"{\"email\":\"a@b.cc\",\"email\":\"a@b.cc\",\"password\":\"plum tree at dusk\"}",
        b"{\"email\":\"\xff\xfe\"}",
        b"\xef\xbb\xbf{}",
        b"{\"email\":\"\\ud800\"}",
        b"email=a%40b.cc&password=plum",
        deep.as_bytes(),
        b"{\"email\":NaN}",
    ];
    for path in PATHS {
        for body in bodies {
            post(&app, path, JSON, body).refused(400, "malformed_request");
        }
    }
}

#[test]
fn a_body_deeper_than_ten_thousand_levels_is_refused_before_it_is_read() {
    let app = app();
    let deep = "[".repeat(10_000);
    post(&app, "/v1/register", JSON, deep.as_bytes()).refused(400, "malformed_request");
    let deeper = format!("{{\"a\":{}", "{\"a\":".repeat(10_000));
    post(&app, "/v1/register", JSON, deeper.as_bytes()).refused(413, "payload_too_large");
}

#[test]
fn a_body_is_json_in_utf_8_or_not_taken() {
    let app = app();
    for kind in [
        "",
        "Content-Type: \r\n",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/jsonp\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        for path in PATHS {
            // The endpoint of OAuth libraries reads their form too.
            if path != "/v1/token-refresh" || !kind.contains("urlencoded") {
                post(&app, path, kind, b"{}").refused(415, "unsupported_media_type");
            }
        }
    }
    let body = registration();
    for kind in [
        "Content-Type: application/json; charset=utf-8\r\n",
        "Content-Type: application/json;charset=\"UTF-8\"\r\n",
        "content-type: Application/JSON\r\n",
    ] {
        post(&app, "/v1/register", kind, body.as_bytes()).is(202);
    }
}

#[test]
fn a_query_of_nothing_but_faults_is_answered_in_few_words() {
    let world = World::sqlite();
    let app = world.app();
    let access = app.person(&world, "mina@example.com").access;
    let distinct: Vec<String> = (0..6_000).map(|number| format!("{number:x}")).collect();
    for query in ["a&".repeat(32_000), distinct.join("&"), distinct.join("&").repeat(2)] {
        let answer = app.get_as(&access, &format!("/v1/me/events?{query}"));
        assert!(answer.body.len() < 4_096, "an answer of {} bytes", answer.body.len());
        assert_eq!(answer.faults().len(), 20);
    }
}

#[test]
fn a_large_body_is_refused_before_it_is_sent() {
    let app = app();
    for path in PATHS {
        let started = Instant::now();
        let mut raw = Raw::to(&app);
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n{JSON}\r\n"
        ));
        contract_of("POST", path, raw.answer().unwrap()).refused(413, "payload_too_large");
        assert!(started.elapsed() < Duration::from_secs(2));
    }
    let mut body = registration();
    body.push_str(&" ".repeat(16 * 1024 - body.len()));
    post(&app, "/v1/register", JSON, body.as_bytes()).is(202);
    body.push(' ');
    post(&app, "/v1/register", JSON, body.as_bytes()).refused(413, "payload_too_large");
}

#[test]
fn the_refusal_of_a_body_arrives_though_the_rest_of_it_comes_after() {
    let app = app();
    let body = vec![b' '; 4_000_000];
    for round in 0..10 {
        let mut raw = Raw::to(&app);
        raw.send(format!(
            "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{JSON}\r\n",
            body.len()
        ));
        // More than sockets hold: part of it is on its way when the service has answered.
        let mut feeder = Raw(raw.0.try_clone().unwrap());
        let fed = std::thread::scope(|scope| {
            scope.spawn(|| feeder.send(&body));
            std::thread::sleep(Duration::from_millis(100));
            raw.answer()
        });
        fed.unwrap_or_else(|| panic!("no answer in round {round}"))
            .refused(413, "payload_too_large");
    }
}

#[test]
fn a_body_that_hides_its_size_is_cut_off() {
    let app = app();
    let mut raw = Raw::to(&app);
    raw.send(format!(
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n"
    ));
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    for _ in 0..20 {
        raw.send(&chunk);
    }
    contract_of("POST", "/v1/register", raw.answer().unwrap()).refused(413, "payload_too_large");
}

#[test]
fn a_chunked_body_is_read() {
    let app = app();
    let mut raw = Raw::to(&app);
    raw.send(format!(
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n"
    ));
    for part in registration().as_bytes().chunks(7) {
        raw.send(format!("{:x}\r\n", part.len()));
        raw.send(part);
        raw.send("\r\n");
    }
    raw.send("0\r\n\r\n");
    contract_of("POST", "/v1/register", raw.answer().unwrap()).is(202);
}

#[test]
fn a_body_that_trickles_is_given_up_after_ten_seconds() {
    let app = app();
    std::thread::scope(|scope| {
        for (length, drop) in
            [("Content-Length: 1000", " "), ("Transfer-Encoding: chunked", "1\r\n \r\n")]
        {
            let mut raw = Raw::to(&app);
            let started = Instant::now();
            raw.send(format!("POST /v1/register HTTP/1.1\r\nHost: a\r\n{length}\r\n{JSON}\r\n"));
            let mut feeder = Raw(raw.0.try_clone().unwrap());
            scope.spawn(move || {
                while started.elapsed() < Duration::from_secs(9) && feeder.send(drop) {
                    std::thread::sleep(Duration::from_millis(300));
                }
            });
            scope.spawn(move || {
                let answer = contract_of("POST", "/v1/register", raw.answer().unwrap());
                answer.refused(408, "request_timeout");
                let waited = started.elapsed();
                assert!(waited > Duration::from_secs(9), "{length}: {waited:?}");
                // The machine may be busy; nothing else ends it before thirty seconds.
                assert!(waited < Duration::from_secs(25), "{length}: {waited:?}");
            });
        }
        // Meanwhile others are served.
        app.get("/healthz").is(200);
    });
}

#[test]
fn a_client_that_announces_more_than_it_sends_and_leaves_does_no_harm() {
    let app = app();
    for _ in 0..50 {
        let mut raw = Raw::to(&app);
        raw.send(format!(
            "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n{JSON}\r\n{{"
        ));
    }
    app.get("/readyz").is(200);
}

#[test]
fn what_comes_after_a_refused_body_is_not_taken_for_a_request() {
    let app = app();
    let mut raw = Raw::to(&app);
    let smuggled = "GET /v1/config HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = 1_000_000;
    raw.send(format!(
        "POST /v1/register HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{JSON}\r\n"
    ));
    raw.send(smuggled.repeat(10));
    contract_of("POST", "/v1/register", raw.answer().unwrap()).refused(413, "payload_too_large");
    assert!(raw.rest().is_empty(), "the body was read as a request");
}

#[test]
fn bytes_that_are_no_http_do_no_harm() {
    let app = app();
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-A: b\r\n".repeat(5_000));
    let garbage: [&[u8]; 6] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for bytes in garbage {
        let started = Instant::now();
        let mut raw = Raw::to(&app);
        raw.send(bytes);
        // What it was told may be lost with a connection that is cut off while it sends.
        let answer = String::from_utf8(raw.rest()).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(started.elapsed() < Duration::from_secs(9), "{bytes:.20?}");
    }
    app.get("/healthz").is(200);
}

#[test]
fn two_requests_in_one_packet_get_two_answers() {
    let app = app();
    let mut raw = Raw::to(&app);
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    for _ in 0..2 {
        assert_eq!(raw.answer().unwrap().status, 200);
    }
}
