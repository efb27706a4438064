//! Malformed requests: bytes that are no HTTP, unusual HTTP, unusual paths, broken chunks, huge
//! JSON. docs/adr/0013-http-errors-and-resource-bounds.md says which part of the server responds to
//! which.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::raw::{Raw, post};
use crate::support::{Answer, TestApp, World, contract_of};

const JSON: &str = "Content-Type: application/json\r\n";

fn app() -> TestApp {
    World::sqlite().app()
}

/// Sends this and returns all that comes until the service closes the connection.
fn closed_after(app: &TestApp, bytes: &[u8]) -> String {
    let mut raw = Raw::to(app);
    raw.send(bytes);
    String::from_utf8(raw.rest()).unwrap()
}

/// A request for `target` with no body.
fn ask(app: &TestApp, method: &str, target: &str, headers: &str) -> Answer {
    let mut raw = Raw::to(app);
    raw.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n"));
    raw.answer().expect("an answer")
}

/// Returns the response to a malformed head: a problem document without any of the received text.
fn assert_refused(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    let fields: HashMap<&str, &str> =
        head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(fields["connection"], "close");
    assert_eq!(fields["content-length"], body.len().to_string());
    assert_eq!(fields["content-type"], "application/problem+json");
    assert_eq!(fields["cache-control"], "no-store");
    assert_eq!(fields["x-content-type-options"], "nosniff");
    assert_eq!(fields["referrer-policy"], "no-referrer");
    assert!(fields["date"].ends_with(" GMT"), "{answer}");
    assert_eq!(fields.len(), 8, "{answer}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["code"], code);
    assert_eq!(problem["type"], format!("urn:hallpass:error:{code}"));
    assert_eq!(problem["request_id"], fields["x-request-id"]);
}

#[test]
fn a_head_that_cannot_be_read_gets_a_problem_and_the_end_of_the_connection() {
    let app = app();
    let posted = |headers: &str| format!("POST /v1/token-verify HTTP/1.1\r\n{headers}\r\n{{}}");
    let host = "Host: a\r\n";
    for request in [
        "\x16\x03\x01\r\n\r\n".to_owned(),
        "GET /healthz\r\n\r\n".to_owned(),
        "GET /healthz HTTP/9.9\r\nHost: a\r\n\r\n".to_owned(),
        // The preface of HTTP/2.
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n".to_owned(),
        "GET /healthz HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n".to_owned(),
        "GET /straße HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000)),
        "POST /v1/token-verify HTTP/1.0\r\nHost: a\r\n\r\n{}".to_owned(),
        posted(&format!("{host}Content-Length: -1\r\n")),
        posted(&format!("{host}Content-Length: +2\r\n")),
        posted(&format!("{host}Content-Length: two\r\n")),
        posted(&format!("{host}Content-Length: 99999999999999999999999999\r\n")),
        posted(&format!("{host}Content-Length: 2\r\nContent-Length: 2\r\n")),
        posted(&format!("{host}Content-Length: 2\r\nContent-Length: 3\r\n")),
        posted(&format!("{host}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n")),
        posted(&format!("{host}Transfer-Encoding: gzip\r\n")),
        posted(&format!("{host}Transfer-Encoding: xchunked\r\n")),
        posted(&format!("{host}Transfer-Encoding: gzip, chunked, chunked\r\n")),
    ] {
        println!("{request:.60?}");
        assert_refused(&closed_after(&app, request.as_bytes()), 400, "malformed_request");
    }
    let many = "X-A: b\r\n".repeat(100);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{many}\r\n");
    assert_refused(&closed_after(&app, head.as_bytes()), 431, "header_fields_too_large");
    // 96 fields and 100 KB are read.
    let many = "X-A: b\r\n".repeat(94);
    assert_eq!(ask(&app, "GET", "/healthz", &many).status, 200);
    let long = format!("X-A: {}\r\n", "b".repeat(100_000));
    assert_eq!(ask(&app, "GET", "/healthz", &long).status, 200);
}

#[test]
fn a_head_without_an_end_is_refused_when_it_fills_its_buffer() {
    let app = app();
    let mut raw = Raw::to(&app);
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\nX-A: ");
    let started = Instant::now();
    // What is sent after the refusal is thrown away for a moment, so that the answer arrives.
    while raw.send("b".repeat(10_000)) {
        assert!(started.elapsed() < Duration::from_secs(4), "it is still taken");
    }
    // It may be lost with the connection all the same.
    let answer = String::from_utf8(raw.rest()).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[test]
fn a_head_that_trickles_gets_a_408_after_five_seconds() {
    let app = app();
    let mut raw = Raw::to(&app);
    let started = Instant::now();
    raw.send("GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    let answer = std::thread::scope(|scope| {
        let mut feeder = Raw(raw.0.try_clone().unwrap());
        scope.spawn(move || {
            while started.elapsed() < Duration::from_secs(4) && feeder.send("x") {
                std::thread::sleep(Duration::from_millis(300));
            }
        });
        String::from_utf8(raw.rest()).unwrap()
    });
    assert_refused(&answer, 408, "request_timeout");
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(3) && waited < Duration::from_secs(9), "{waited:?}");
}

#[test]
fn a_head_that_cannot_be_read_behind_others_is_refused_after_their_answers() {
    let app = app();
    let good = "GET /v1/config HTTP/1.1\r\nHost: a\r\n\r\n";
    for count in [1, 2, 15] {
        let mut raw = Raw::to(&app);
        raw.send(format!("{}GET /canary HTTP/1.1\r\n\r\n{good}", good.repeat(count)));
        for _ in 0..count {
            assert_eq!(raw.answer().unwrap().status, 200);
        }
        assert_refused(&String::from_utf8(raw.rest()).unwrap(), 400, "malformed_request");
    }
}

#[test]
fn strange_but_legal_requests_are_answered_like_others() {
    let app = app();
    // The host in an absolute form is no one's business here.
    assert_eq!(ask(&app, "GET", "http://evil.example/healthz", "").status, 200);
    ask(&app, "GET", "http://evil.example/none", "").refused(404, "not_found");
    ask(&app, "OPTIONS", "*", "").refused(404, "not_found");
    ask(&app, "CONNECT", "evil.example:443", "").refused(404, "not_found");
    ask(&app, "get", "/healthz", "").refused(405, "method_not_allowed");
    for (target, status) in [("/healthz", 405), ("/none", 404)] {
        let answer = ask(&app, "TRACE", target, "X-Secret: canary\r\n");
        assert_eq!(answer.status, status);
        assert!(!answer.shown().contains("canary"), "{}", answer.shown());
    }
    let upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAAAA\r\n";
    assert_eq!(ask(&app, "GET", "/healthz", upgrade).status, 200);
    let answer = closed_after(&app, b"GET /healthz HTTP/1.0\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.ends_with("{\"status\":\"ok\"}"));
}

#[test]
fn a_client_that_expects_100_continue_receives_it() {
    let app = app();
    let mut raw = Raw::to(&app);
    raw.send(format!(
        "POST /v1/token-verify HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n{JSON}\
         Content-Length: 13\r\n\r\n"
    ));
    assert_eq!(raw.answer().unwrap().status, 100);
    raw.send("{\"token\":\"a\"}");
    contract_of("POST", "/v1/token-verify", raw.answer().unwrap()).refused(401, "token_invalid");
}

/// Java's client asks for HTTP/2 with the first request of each connection.
#[test]
fn the_response_to_a_request_for_another_protocol_announces_the_end_of_the_connection() {
    let world = World::sqlite();
    let app = world.app();
    for request in [
        "GET /healthz HTTP/1.1\r\nHost: a\r\n",
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n",
        "POST /v1/token-refresh HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n",
    ] {
        let mut raw = Raw::to(&app);
        let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAAAA\r\n";
        raw.send(format!(
            "{request}{upgrade}\r\n{}",
            if request.starts_with("POST") { "{}" } else { "" }
        ));
        let answer = raw.answer().unwrap();
        assert_eq!(answer.header("connection"), Some("close"), "{}", answer.shown());
        assert_eq!(raw.rest(), b"");
    }
}

#[test]
fn sixteen_and_more_requests_at_once_get_as_many_answers_in_their_order() {
    let app = app();
    let mut raw = Raw::to(&app);
    let pair = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n";
    raw.send(pair.repeat(100));
    for _ in 0..100 {
        assert_eq!(raw.answer().unwrap().status, 200);
        raw.answer().unwrap().refused(404, "not_found");
    }
}

#[test]
fn a_path_is_what_it_says_and_nothing_else() {
    let app = app();
    for path in [
        "/v1%2Fconfig",
        "/v1%2fconfig",
        "/v1/config%00",
        "/v1/config%0d%0aX-A:%20b",
        "/%",
        "/%z",
        "/%zz",
        "/%ff%fe",
        "//v1/config",
        "/v1//config",
        "/v1/./config",
        "/v1/x/../config",
        "/v1/config;a=b",
        "/v1/config%20",
        "/docs/..%2f..%2fetc%2fpasswd",
        "/docs/%ff",
        "/docs/../v1/config",
    ] {
        let answer = contract_of("GET", path, ask(&app, "GET", path, ""));
        answer.refused(404, "not_found");
    }
    // A letter and its escape are the same (RFC 3986 section 6.2.2).
    assert_eq!(ask(&app, "GET", "/v1/%63onfig", "").status, 200);
    for path in ["/v1/users/%ff", "/v1/users/%00", "/v1/users/1%2f2"] {
        ask(&app, "GET", path, "").refused(401, "authentication_required");
    }
    ask(&app, "GET", "/v1/me", "Authorization: Bearer %ff\r\n").refused(401, "token_invalid");
}

#[test]
fn chunks_that_are_none_are_malformed() {
    let app = app();
    let head = format!(
        "POST /v1/token-verify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{JSON}\r\n"
    );
    let answer_to = |chunks: &str| {
        let mut raw = Raw::to(&app);
        raw.send(format!("{head}{chunks}"));
        contract_of("POST", "/v1/token-verify", raw.answer().expect("an answer"))
    };
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-1\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
    ] {
        answer_to(chunks).refused(400, "malformed_request");
    }
    // A name for the chunk and a trailer are legal, and mean nothing here.
    for chunks in ["2;a=b\r\n{}\r\n0\r\n\r\n", "2\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n"] {
        answer_to(chunks).refused(422, "validation_failed");
    }
}

#[test]
fn json_that_is_meant_to_hurt_is_answered_soon() {
    let app = app();
    let keys: Vec<String> = (0..1_700).map(|number| format!("\"{number:x}\":1")).collect();
    let escaped = "\\u0041".repeat(2_600);
    let monsters = [
        (format!("{{\"token\":{}}}", "9".repeat(10_000)), 400, "malformed_request"),
        (format!("{{\"token\":0.{}}}", "9".repeat(10_000)), 422, "validation_failed"),
        ("{\"token\":1e999999999}".to_owned(), 400, "malformed_request"),
        (format!("{{\"token\":{}", "[".repeat(16_000)), 400, "malformed_request"),
        (format!("{{\"token\":[{}[]]}}", "[],".repeat(5_000)), 422, "validation_failed"),
        (format!("{{{}}}", keys.join(",")), 422, "validation_failed"),
        (format!("{{\"token\":\"{escaped}\"}}"), 401, "token_invalid"),
        ("{\"\\u0074oken\":\"a\",\"token\":\"b\"}".to_owned(), 400, "malformed_request"),
        ("{\"token\":\"\\u0000\\ud83d\\ude00\"}".to_owned(), 401, "token_invalid"),
        (format!("{}{{}}", "\n".repeat(16_000)), 422, "validation_failed"),
    ];
    for (body, status, code) in monsters {
        let started = Instant::now();
        let answer = post(&app, "/v1/token-verify", JSON, body.as_bytes()).refused(status, code);
        assert!(started.elapsed() < Duration::from_secs(1), "{body:.60}");
        assert!(answer.body.len() < 4_096, "an answer of {} bytes", answer.body.len());
    }
}

/// actix-http writes a response by the method, version and `Connection` of the request that it
/// parsed last.
#[test]
fn a_request_that_is_sent_ahead_changes_no_response_before_it() {
    let app = app();
    let body = "{\"token\":\"a\"}";
    let post = format!("POST /v1/token-verify HTTP/1.1\r\nHost: a\r\n{JSON}");
    let log_in = json!({"username": "mina@example.com", "password": "a"}).to_string();
    let requests = [
        (format!("{post}Content-Length: 13\r\n\r\n{body}"), 401),
        (format!("{post}Transfer-Encoding: chunked\r\n\r\nD\r\n{body}\r\n0\r\n\r\n"), 401),
        ("GET /v1/config HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), 200),
        // It is answered after its password is hashed.
        (
            format!(
                "POST /v1/token-auth HTTP/1.1\r\nHost: a\r\n{JSON}Content-Length: {}\r\n\r\n{log_in}",
                log_in.len()
            ),
            401,
        ),
    ];
    let heads = [
        "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "HEAD /healthz HTTP/1.0\r\n\r\n",
    ];
    for (request, status) in &requests {
        for head in heads {
            let both = [request, head].concat();
            // At once, and with the next request in two pieces.
            for cut in [both.len(), request.len() + 3, request.len() - 1] {
                let mut raw = Raw::to(&app);
                raw.send(&both[..cut]);
                raw.send(&both[cut..]);
                let answer = raw.answer().unwrap();
                assert_eq!(answer.status, *status, "{both:?}");
                assert!(!answer.body.is_empty(), "{both:?}");
                assert_eq!(answer.header("connection"), None, "{both:?}");
                let last = String::from_utf8(raw.rest()).unwrap();
                assert!(last.starts_with("HTTP/1.") && last.contains(" 200 OK\r\n"), "{last:?}");
                assert!(last.ends_with("\r\n\r\n"), "{last:?}");
            }
        }
    }
}

/// Cookies of other applications on the host can be long.
#[test]
fn a_long_head_changes_no_response_before_or_after_it() {
    let app = app();
    let get = "GET /v1/config HTTP/1.1\r\nHost: a\r\n";
    let head = "HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for length in [8_000, 8_192, 9_000, 16_384, 60_000] {
        let long = "b".repeat(length);
        for field in ["Cookie: a=", "X-A: "] {
            let first = format!("{get}{field}{long}\r\n\r\n");
            for cut in [0, 100, 8_192, length, first.len() - 1, first.len(), first.len() + 3] {
                let both = [&first, head].concat();
                let cut = cut.min(both.len());
                let mut raw = Raw::to(&app);
                raw.send(&both[..cut]);
                raw.send(&both[cut..]);
                let answer = raw.answer().unwrap();
                assert_eq!(answer.status, 200, "{field}{length} cut at {cut}");
                assert!(!answer.body.is_empty(), "{field}{length} cut at {cut}");
                let last = String::from_utf8(raw.rest()).unwrap();
                assert!(last.starts_with("HTTP/1.1 200 OK\r\n"), "{last:?}");
                assert!(last.ends_with("\r\n\r\n"), "{last:?}");
            }
        }
    }
}
