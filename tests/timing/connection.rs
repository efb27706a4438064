//! One connection that stays open, and the time from the first byte sent to the last one read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// An unpredictable text of that length.
const RANDOM: [&str; 2] = ["request_id", "registration_token"];
/// Headers that differ from answer to answer.
const CHANGING: [&str; 2] = ["date", "x-request-id"];

pub struct Connection(TcpStream);

pub struct Answer {
    pub status: u16,
    /// Status, headers and body, without what is random.
    pub look: String,
    /// The body.
    pub body: Value,
    pub took: Duration,
}

impl Connection {
    pub fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Self(stream)
    }

    /// Sends a request and reads the answer; `delay` is added to the time that is measured.
    pub fn ask(&mut self, request: &[u8], delay: Duration) -> Answer {
        let started = Instant::now();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        self.0.write_all(request).unwrap();
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        let (head, body) = loop {
            let read = self.0.read(&mut buffer).unwrap();
            assert!(read > 0, "the connection was closed");
            bytes.extend_from_slice(&buffer[..read]);
            if let Some(whole) = whole(&bytes) {
                break whole;
            }
        };
        let took = started.elapsed();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        Answer { status, look: look(&head, body.clone()), body, took }
    }
}

/// Returns head and body, once the response is complete.
fn whole(bytes: &[u8]) -> Option<(String, Vec<u8>)> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().unwrap();
    let body = &bytes[end + 4..];
    (body.len() == length).then(|| (head, body.to_vec()))
}

fn look(head: &str, mut body: Value) -> String {
    let mut lines: Vec<String> = head
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) if CHANGING.contains(&name) => format!("{name}: {}", value.len()),
            _ => line.to_owned(),
        })
        .collect();
    for name in RANDOM {
        if let Some(text) = body[name].as_str() {
            body[name] = text.len().into();
        }
    }
    lines.push(body.to_string());
    lines.join("\n")
}
