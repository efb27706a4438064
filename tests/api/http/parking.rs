//! Idle connections that are parked: clients notice nothing.

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

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
    let unknown = "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n";
    let old = "GET /healthz HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    for _ in 0..3 {
        for (request, status) in
            [(GET, 200), (&refused, 401), (unknown, 404), (old, 200), (chunked, 422)]
        {
            raw.send(request);
            assert_eq!(answer(&mut raw).status, status, "{request}");
            pause();
        }
    }
}

/// actix-http closes a connection whose request has a body that was not read.
#[test]
fn a_connection_whose_response_announced_its_end_is_closed() {
    let app = World::sqlite().app();
    let requests = [
        "POST /v1/nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
        "DELETE /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}",
    ];
    for request in requests {
        let mut raw = Raw::to(&app);
        raw.send(request);
        let answer = answer(&mut raw);
        assert_eq!(answer.header("connection"), Some("close"), "{}", answer.shown());
        assert_eq!(raw.rest(), b"", "{request}");
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
fn requests_that_arrive_together_are_all_served_before_and_after_a_pause() {
    let app = World::sqlite().app();
    let refused = post(&json!({ "token": "a" }).to_string());
    let mut raw = Raw::to(&app);
    for _ in 0..3 {
        raw.send([GET, &refused, GET, &refused[..40]].concat());
        for status in [200, 401, 200] {
            assert_eq!(answer(&mut raw).status, status);
        }
        pause();
        raw.send([&refused[40..], GET].concat());
        for status in [401, 200] {
            assert_eq!(answer(&mut raw).status, status);
        }
        pause();
    }
}

#[test]
fn a_connection_with_long_heads_is_served_after_each_pause() {
    let app = World::sqlite().app();
    let mut raw = Raw::to(&app);
    for length in [9_000, 16_384, 100_000] {
        let long = GET.replace("Host: a", &format!("Host: a\r\nCookie: a={}", "b".repeat(length)));
        for request in [&long, GET, &[&long, GET].concat()] {
            raw.send(request);
            for _ in request.matches("GET ") {
                assert_eq!(answer(&mut raw).status, 200, "{length}");
            }
            pause();
        }
    }
}

#[test]
fn a_client_that_waits_before_it_sends_a_body_is_served_after_a_pause() {
    let app = World::sqlite().app();
    let mut raw = Raw::to(&app);
    let request = post("{}").replace("Host: a", "Host: a\r\nExpect: 100-continue");
    let (head, body) = request.split_at(request.len() - 2);
    for _ in 0..3 {
        raw.send(head);
        assert_eq!(answer(&mut raw).status, 100);
        pause();
        raw.send(body);
        assert_eq!(answer(&mut raw).status, 422);
        pause();
    }
}

#[test]
fn a_pause_of_the_reader_cuts_no_response() {
    let app = World::sqlite().app();
    let get = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    let whole = app.get("/openapi.json").body;
    let mut raw = Raw::to(&app);
    for _ in 0..3 {
        // More than the buffers of the sockets hold.
        raw.send(get.repeat(40));
        pause();
        for number in 0..40 {
            assert!(answer(&mut raw).body == whole, "response {number}");
        }
        pause();
    }
}

#[test]
fn what_is_not_http_is_refused_after_a_pause_as_on_a_new_connection() {
    let app = World::sqlite().app();
    let others: [&[u8]; 4] = [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 8000\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
    ];
    for bytes in others {
        for is_new in [true, false] {
            let mut raw = Raw::to(&app);
            if !is_new {
                raw.send(GET);
                answer(&mut raw);
                pause();
            }
            raw.send(bytes);
            let rest = String::from_utf8(raw.rest()).unwrap();
            let name = bytes.escape_ascii();
            assert!(rest.starts_with("HTTP/1.1 400 "), "{name} {is_new}: {rest}");
            assert!(rest.contains("\"code\":\"malformed_request\""), "{name} {is_new}: {rest}");
            assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{name} {is_new}: {rest}");
        }
    }
}

#[test]
fn half_a_head_after_a_pause_has_the_time_out_of_a_first_one() {
    let app = World::sqlite().app();
    let mut raw = Raw::to(&app);
    raw.send(GET);
    answer(&mut raw);
    pause();
    raw.send(&GET[..20]);
    let started = Instant::now();
    let rest = String::from_utf8(raw.rest()).unwrap();
    assert!(rest.starts_with("HTTP/1.1 408 "), "{rest}");
    // Others have 35 seconds.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn the_last_request_of_a_connection_may_follow_a_pause() {
    let app = World::sqlite().app();
    for last in [
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /healthz HTTP/1.0\r\nHost: a\r\n\r\n",
        // HTTP/2 is not offered: the request is served by HTTP/1.1.
        "GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
         Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    ] {
        let mut raw = Raw::to(&app);
        raw.send(GET);
        answer(&mut raw);
        pause();
        raw.send(last);
        assert_eq!(answer(&mut raw).status, 200);
        assert_eq!(raw.rest(), b"");
    }
    // A client that sends nothing more, but reads.
    let mut raw = Raw::to(&app);
    raw.send(GET);
    answer(&mut raw);
    pause();
    raw.send(GET);
    raw.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(answer(&mut raw).status, 200);
    assert_eq!(raw.rest(), b"");
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
    raw.0.shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.rest(), b"");
}
