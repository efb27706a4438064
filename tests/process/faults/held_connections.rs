//! Connections that stay open after their response, or without reading it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::HAS_DOCS;
use crate::service::Setup;

/// Longer than the service waits between two answers, on a busy machine.
const CLOSED_BY: Duration = Duration::from_secs(50);
const NOT_READING: usize = 60;
/// Number of connections for each path.
const PIPELINING: usize = 15;

fn connect(address: std::net::SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(CLOSED_BY)).unwrap();
    stream
}

/// Reads to the end of the connection and returns how much came. It fails if there is no end.
fn read_to_the_end(mut stream: TcpStream) -> usize {
    let (mut buffer, mut count) = (vec![0; 64 * 1024], 0);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return count,
            Ok(more) => count += more,
            Err(error) if error.raw_os_error() == Some(104) => return count,
            Err(error) => panic!("still open after {CLOSED_BY:?}: {error}"),
        }
    }
}

#[test]
fn a_later_request_that_stays_incomplete_times_out() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let whole = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let chunked = "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    thread::scope(|scope| {
        for (what, bytes, later) in [
            ("half a second head", whole.to_owned(), "GET /healthz HTTP/1.1\r\nHost:"),
            ("a body that nobody wants", format!("POST /v1/register {chunked}\r\n"), "2\r\n{}\r\n"),
            ("a body where none belongs", format!("GET /healthz {chunked}\r\n"), "2\r\n{}\r\n"),
        ] {
            let address = service.address();
            scope.spawn(move || {
                let mut stream = connect(address);
                stream.write_all(bytes.as_bytes()).unwrap();
                let started = Instant::now();
                thread::sleep(Duration::from_millis(500));
                stream.write_all(later.as_bytes()).unwrap();
                let count = read_to_the_end(stream);
                println!("{what}: {count} bytes, closed after {:?}", started.elapsed());
                assert!(count > 0, "{what}: no answer");
                assert!(started.elapsed() < CLOSED_BY, "{what}");
            });
        }
    });
}

#[test]
fn responses_that_no_client_reads_cost_little_memory_and_time_out() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let document = "/openapi.json";
    let large = if HAS_DOCS { "/docs/swagger-ui-bundle.js" } else { document };
    // Both are made once, when they are asked for.
    for path in [large, document] {
        assert_eq!(service.api().get(path).status, 200);
    }
    let before = service.resident_kib();
    let streams: Vec<TcpStream> = (0..NOT_READING)
        .map(|number| {
            let mut stream = connect(service.address());
            let path = if number % 2 == 0 { large } else { document };
            let asked = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
            // More than the sockets take.
            stream.write_all(asked.repeat(64).as_bytes()).unwrap();
            stream
        })
        .collect();
    thread::sleep(Duration::from_secs(3));
    let more = service.resident_kib().saturating_sub(before);
    println!("{NOT_READING} connections that do not read: {more} KiB");
    assert!(more < 10 * 1024, "{more} KiB");
    assert_eq!(service.api().get("/healthz").status, 200);
    thread::sleep(CLOSED_BY);
    for stream in streams {
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        read_to_the_end(stream);
    }
}

#[test]
fn requests_that_come_in_thousands_and_wait_for_no_answer_cost_little() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    assert_eq!(service.api().get("/openapi.json").status, 200);
    let before = service.resident_kib();
    let mut streams = Vec::new();
    for path in ["/openapi.json", "/healthz", "/v1/config", "/nowhere"] {
        for _ in 0..PIPELINING {
            let mut stream = connect(service.address());
            stream.set_nonblocking(true).unwrap();
            // As much as the sockets take.
            let requests = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(5_000);
            let _ = stream.write(requests.as_bytes());
            streams.push(stream);
        }
    }
    thread::sleep(Duration::from_secs(4));
    let more = service.resident_kib().saturating_sub(before);
    println!("{} connections with thousands of requests: {more} KiB", streams.len());
    assert!(more < 20 * 1024, "{more} KiB");
    assert_eq!(service.api().get("/healthz").status, 200);
}
