//! The client: `wrk`, or one of its own that keeps connections open and sends one request at a time on each.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

/// A request.
pub struct Request {
    method: &'static str,
    path: &'static str,
    header: (&'static str, String),
    body: String,
}

impl Request {
    pub fn token_verify(token: &str) -> Self {
        let header = ("content-type", "application/json".to_owned());
        let body = json!({"token": token}).to_string();
        Self { method: "POST", path: "/v1/token-verify", header, body }
    }

    pub fn forward_auth(token: &str) -> Self {
        let header = ("authorization", format!("Bearer {token}"));
        Self { method: "GET", path: "/v1/forward-auth", header, body: String::new() }
    }

    fn bytes(&self, address: SocketAddr) -> Vec<u8> {
        let Self { method, path, header: (name, value), body } = self;
        let length = match body.len() {
            0 => String::new(),
            length => format!("content-length: {length}\r\n"),
        };
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n{name}: {value}\r\n{length}");
        format!("{head}\r\n{body}").into_bytes()
    }
}

/// The program that sends the requests.
#[derive(Clone, Copy)]
pub enum Client {
    Wrk,
    Own,
}

impl Client {
    pub fn choose() -> Self {
        if Command::new("wrk").arg("-v").output().is_ok() { Self::Wrk } else { Self::Own }
    }

    /// Returns the requests that were answered each second.
    pub fn drive(
        self,
        address: SocketAddr,
        request: &Request,
        connections: usize,
        time: Duration,
    ) -> f64 {
        // So that no target answers less because it refuses.
        let answer = answer(address, request);
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        match self {
            Self::Wrk => drive_with_wrk(address, request, connections, time),
            Self::Own => drive_with_own(address, request, connections, time),
        }
    }
}

/// Returns the whole answer to one request.
pub fn answer(address: SocketAddr, request: &Request) -> Vec<u8> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(&request.bytes(address)).unwrap();
    let mut buffer = vec![0; 16 * 1024];
    let length = read_answer(&mut socket, &mut buffer);
    buffer.truncate(length);
    buffer
}

fn drive_with_wrk(
    address: SocketAddr,
    request: &Request,
    connections: usize,
    time: Duration,
) -> f64 {
    let script = tempfile::NamedTempFile::new().unwrap();
    let Request { method, path, header: (name, value), body } = request;
    let lua = format!(
        "wrk.method = '{method}'\nwrk.headers['{name}'] = '{value}'\nwrk.body = '{body}'\n"
    );
    fs::write(script.path(), lua).unwrap();
    let output = Command::new("wrk")
        .args(["-t1", &format!("-c{connections}"), &format!("-d{}s", time.as_secs()), "-s"])
        .arg(script.path())
        .arg(format!("http://{address}{path}"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("Non-2xx"), "{text}");
    let (_, rest) = text.split_once("Requests/sec:").expect("a rate");
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

fn drive_with_own(
    address: SocketAddr,
    request: &Request,
    connections: usize,
    time: Duration,
) -> f64 {
    let request = request.bytes(address);
    let started = Instant::now();
    let send = || {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut buffer = vec![0; 16 * 1024];
        let mut answers = 0_u32;
        while started.elapsed() < time {
            socket.write_all(&request).unwrap();
            read_answer(&mut socket, &mut buffer);
            answers += 1;
        }
        answers
    };
    let answers: u32 = thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(send)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    f64::from(answers) / started.elapsed().as_secs_f64()
}

/// Returns the length of an answer.
fn read_answer(socket: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut read = 0;
    loop {
        let count = socket.read(&mut buffer[read..]).unwrap();
        assert!(count > 0, "closed after {read} bytes");
        read += count;
        let Some(end) = buffer[..read].windows(4).position(|it| it == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let whole = end + 4 + length.map_or(0, |length| length.parse::<usize>().unwrap());
        if read >= whole {
            return read;
        }
    }
}
