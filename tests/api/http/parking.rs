//! Idle connections that are parked: clients notice nothing.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::support::raw::Raw;
use crate::support::{Answer, World};

const GET: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

fn post(body: &str) -> String {
    let (kind, length) = ("Content-Type: application/json", body.len());
    format!(
        "POST /v1/token-verify HTTP/1.1\r\nHost: a\r\n{kind}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// The connections of these tests are parked a millisecond or two after a response. Where that
/// takes longer, a test shows less and passes.
fn pause() {
    thread::sleep(Duration::from_millis(30));
}

fn answer(raw: &mut Raw) -> Answer {
    raw.answer().expect("the connection stays open")
}

#[test]
fn a_connection_is_served_after_each_pause() {
    let app = World::sqlite().app();
    let mut raw = Raw::to(&app);
    let refused = post(&json!({ "token": "a" }).to_string());
    let chunked = "POST /v1/token-verify HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
                   Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    for _ in 0..3 {
        for (request, status) in [(GET, 200), (&refused, 401), (chunked, 422)] {
            raw.send(request);
            assert_eq!(answer(&mut raw).status, status, "{request}");
            pause();
        }
    }
}

#[test]
fn a_request_that_is_cut_by_a_pause_is_served() {
    let app = World::sqlite().app();
    let requests = [(GET, 200), (&post("{\r\n\r\n}"), 422)];
    for (first, status_of_first) in requests {
        for (second, status_of_second) in requests {
            for cut in [1, 20, second.find("\r\n\r\n").unwrap() + 2, second.len() - 1] {
                let mut raw = Raw::to(&app);
                raw.send([first, &second[..cut]].concat());
                assert_eq!(answer(&mut raw).status, status_of_first);
                pause();
                raw.send(&second[cut..]);
                let status = answer(&mut raw).status;
                assert_eq!(status, status_of_second, "{first}{second} cut at {cut}");
            }
        }
    }
}

#[test]
fn the_rest_of_a_refused_body_is_no_request() {
    let app = World::sqlite().app();
    for path in ["/v1/nowhere", "/healthz"] {
        let mut raw = Raw::to(&app);
        let length = 3 + GET.len();
        raw.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{{}}\n"
        ));
        assert!(answer(&mut raw).status >= 400);
        pause();
        raw.send(GET);
        assert_eq!(String::from_utf8_lossy(&raw.rest()), "", "{path}");
    }
}

#[test]
fn a_connection_that_the_client_closes_while_it_is_parked_is_closed() {
    let app = World::sqlite().app();
    let mut raw = Raw::to(&app);
    raw.send(GET);
    answer(&mut raw);
    pause();
    raw.0.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(raw.rest(), b"");
}
