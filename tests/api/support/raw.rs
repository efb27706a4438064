//! Requests as raw bytes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{Answer, TestApp, contract};

/// A raw connection.
pub struct Raw(pub TcpStream);

impl Raw {
    pub fn to(app: &TestApp) -> Self {
        let stream = TcpStream::connect(app.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// Sends bytes. Returns whether they were accepted.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).is_ok()
    }

    /// Reads to the end of the connection, also by a reset. A connection that stays open is a
    /// failure.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.0.read_to_end(&mut bytes) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection is held");
        }
        bytes
    }

    /// Reads one response with a `Content-Length`.
    pub fn answer(&mut self) -> Option<Answer> {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            match self.0.read(&mut byte) {
                Ok(1) => bytes.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(bytes).unwrap();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = HeaderMap::new();
        for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let length =
            headers.get("content-length").map_or(0, |it| it.to_str().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).ok()?;
        Some(Answer { status, headers, body })
    }
}

/// Posts these bytes to `path` and checks the response against the document.
pub fn post(app: &TestApp, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut raw = Raw::to(app);
    let length = body.len();
    raw.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{headers}\r\n"
    ));
    raw.send(body);
    let answer = raw.answer().expect("an answer");
    contract::check("POST", path, &answer);
    answer
}
