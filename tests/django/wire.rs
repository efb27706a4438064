//! HTTP/1.1 written by hand: a client library would mend what some of these requests break.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::corpus::Sent;

/// A response.
pub struct Reply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends a request, its placeholders filled, and reads the answer to the end.
pub fn send(port: u16, sent: &Sent, fill: impl Fn(&str) -> String) -> Reply {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // The service may answer and close before it has read all of a long body.
    let written = connection.write_all(&wire_form(port, sent, fill));
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    assert!(!answer.is_empty(), "{}: {written:?} {read:?}", sent.target);
    if let Err(error) = read {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    parse(&answer)
}

fn wire_form(port: u16, sent: &Sent, fill: impl Fn(&str) -> String) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", sent.method, fill(&sent.target)).into_bytes();
    let mut field = |name: &str, value: &[u8]| {
        bytes.extend_from_slice(format!("{name}: ").as_bytes());
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    };
    if sent.host().is_none() {
        field("Host", format!("127.0.0.1:{port}").as_bytes());
    }
    for (name, value) in &sent.headers {
        let value = fill(value);
        match name.strip_suffix("-Latin-1") {
            Some(name) => {
                let latin: Vec<u8> = value.chars().map(|c| u8::try_from(c).unwrap()).collect();
                field(name, &latin);
            }
            None => field(name, value.as_bytes()),
        }
    }
    field("Connection", b"close");
    let body = body(sent, &fill);
    match (&body, sent.chunked) {
        (Some(_), true) => field("Transfer-Encoding", b"chunked"),
        (Some(body), false) => field("Content-Length", body.len().to_string().as_bytes()),
        (None, _) => {}
    }
    bytes.extend_from_slice(b"\r\n");
    let body = body.unwrap_or_default();
    if sent.chunked {
        bytes.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    } else {
        bytes.extend_from_slice(&body);
    }
    bytes
}

fn body(sent: &Sent, fill: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    if let Some(text) = &sent.body {
        return Some(fill(text).into_bytes());
    }
    if let Some(encoded) = &sent.body_base64 {
        return Some(STANDARD.decode(encoded).unwrap());
    }
    let plan = sent.body_repeat.as_ref()?;
    Some(
        [&plan.prefix, &plan.unit.repeat(plan.times), &plan.suffix]
            .map(String::as_str)
            .concat()
            .into_bytes(),
    )
}

fn parse(answer: &[u8]) -> Reply {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines
        .map(|line| line.split_once(": ").unwrap_or((line.trim_end_matches(':'), "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    Reply { status, headers, body: String::from_utf8(answer[end + 4..].to_vec()).unwrap() }
}
