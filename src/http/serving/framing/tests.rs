//! Requests in one read and in pieces, and heads without a certain end.

use super::Framing;

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const REQUESTS: [&str; 11] = [
    GET,
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000000000000000002\r\n\r\n{}",
    "GET / HTTP/1.1\nHost: a\n\n",
    "HEAD http://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\ncontent-length:6 \r\n\r\n{\r\n\r\n}",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nA;b=c\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\nT: a\r\n\r\n",
    "POST / HTTP/1.1\r\nX-Content-Length: 9\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    "\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

/// The pieces that the framing makes of these reads.
fn pieces(reads: &[&str]) -> (Vec<String>, Framing) {
    let (mut framing, mut pieces) = (Framing::default(), vec![String::new()]);
    for read in reads {
        let mut rest = *read;
        while !rest.is_empty() {
            let count = framing.advance(rest.as_bytes());
            assert!(count > 0, "{rest:?}");
            pieces.last_mut().unwrap().push_str(&rest[..count]);
            rest = &rest[count..];
            if framing.is_between_requests() {
                pieces.push(String::new());
            }
        }
    }
    (pieces, framing)
}

#[test]
fn requests_are_told_apart_however_they_are_cut() {
    for first in REQUESTS {
        for second in REQUESTS {
            let both = [first, second].concat();
            for cut in 0..=both.len() {
                let (mut found, framing) = pieces(&[&both[..cut], &both[cut..]]);
                assert!(framing.is_between_requests(), "{both:?} at {cut}");
                // Line ends before a request may be a piece of their own.
                found.retain(|piece| !piece.trim().is_empty());
                let found: Vec<_> = found.iter().map(|piece| piece.trim_start()).collect();
                assert_eq!(found, [first.trim_start(), second.trim_start()], "at {cut}");
            }
        }
    }
}

#[test]
fn long_lines_of_a_head_do_not_hide_its_end() {
    let long = |length: usize| "a:".repeat(length / 2);
    for length in [8_150, 8_192, 8_194, 9_000, 16_384, 100_000] {
        let long = long(length);
        for first in [
            format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {long}\r\n\r\n"),
            format!("GET / HTTP/1.1\nCookie: {long}\nHost: a\n\n"),
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!("POST / HTTP/1.1\r\nCookie: {long}\r\nContent-Length: 2\r\n\r\n{{}}"),
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nCookie: {long}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"
            ),
        ] {
            let both = [&first, GET].concat();
            let cuts = (0..100).chain(8_100..8_300).chain(length..length + 150);
            for cut in cuts.chain([both.len() / 2]).filter(|cut| *cut <= both.len()) {
                let (mut found, framing) = pieces(&[&both[..cut], &both[cut..]]);
                assert!(framing.is_between_requests(), "{length} at {cut}");
                found.retain(|piece| !piece.is_empty());
                assert_eq!(found, [first.as_str(), GET], "{length} at {cut}");
            }
        }
    }
}

#[test]
fn a_part_of_a_request_is_not_the_end_of_one() {
    for request in REQUESTS {
        let start = request.len() - request.trim_start().len();
        for cut in start + 1..request.len() {
            let mut framing = Framing::default();
            assert_eq!(framing.advance(&request.as_bytes()[..cut]), cut);
            assert!(!framing.is_between_requests(), "{request:?} at {cut}");
        }
    }
}

#[test]
fn what_has_no_certain_end_is_passed_on_whole() {
    for head in [
        "CONNECT a:80 HTTP/1.1\r\nHost: a",
        "GET / HTTP/1.1\r\nConnection: keep-alive, Upgrade",
        "GET / HTTP/1.1\r\nUpgrade: websocket",
        "POST / HTTP/1.1\r\nContent-Length: +2",
        "POST / HTTP/1.1\r\nContent-Length: 2, 2",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3",
        "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\n{}",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: a\n",
        &format!("CONNECT {}:80 HTTP/1.1", "a".repeat(10_000)),
        &format!("GET / HTTP/1.1\r\nConnection: {}Upgrade", "a, ".repeat(4_000)),
        &format!("POST / HTTP/1.1\r\nContent-Length: {}2", "0".repeat(10_000)),
        &format!("POST / HTTP/1.1\r\nTransfer-Encoding: {}", "gzip, ".repeat(2_000)),
        &format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;{}", "a".repeat(10_000)),
    ] {
        let bytes = [head, "\r\n\r\n", GET].concat();
        let mut framing = Framing::default();
        assert_eq!(framing.advance(bytes.as_bytes()), bytes.len(), "{head:?}");
        assert!(!framing.is_between_requests(), "{head:?}");
    }
}
