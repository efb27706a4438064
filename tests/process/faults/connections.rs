//! Connections that cost and bring nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::service::{Service, Setup};

/// This process holds the other end of each.
pub fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn a_thousand_idle_connections_stop_nobody() {
    allow_many_connections();
    let setup = Setup::on_sqlite();
    let service = setup.start_with_few_files();
    let idle: Vec<TcpStream> =
        (0..1000).map(|_| TcpStream::connect(service.address()).expect("connect")).collect();
    let api = service.api();
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        slowest = slowest.max(api.get("/healthz").took);
        let answer = api.try_register(&format!("person-{number}@example.com")).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        slowest = slowest.max(answer.took);
    }
    println!("slowest answer beside {} idle connections: {slowest:?}", idle.len());
    assert!(slowest < Duration::from_secs(2), "it took {slowest:?}");
}

#[test]
fn a_head_that_comes_drop_by_drop_is_cut_off() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let started = Instant::now();
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        assert!(started.elapsed() < Duration::from_secs(15), "it is still listened to");
        let gone = stream.write_all(b"x").is_err();
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => answer.extend_from_slice(&buffer[..count]),
            Ok(0) => break,
            Err(error) if gone || error.raw_os_error() == Some(104) => break,
            Err(_) => {}
        }
    }
    let answer = String::from_utf8_lossy(&answer).into_owned();
    println!("cut off after {:?}: {:?}", started.elapsed(), answer.lines().next());
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(service.api().get("/healthz").status, 200);
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
    let started = Instant::now();
    let mut answer = String::new();
    // Closed or reset: both will do.
    let outcome = stream.read_to_string(&mut answer);
    assert!(started.elapsed() < Duration::from_secs(14), "{outcome:?}");
    println!("closed after {:?}: {:?}", started.elapsed(), answer.lines().next());
}

#[test]
fn a_body_that_comes_drop_by_drop_is_cut_off_with_a_clear_answer() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
        .write_all(
            b"POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
              Content-Length: 200\r\n\r\n{",
        )
        .unwrap();
    let mut slow = stream.try_clone().unwrap();
    thread::spawn(move || {
        while slow.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_millis(500));
        }
    });
    let started = Instant::now();
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).unwrap();
    let answer = String::from_utf8_lossy(&buffer[..count]).into_owned();
    println!("answered after {:?}: {:?}", started.elapsed(), answer.lines().next());
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(15));
}

/// A connection that has sent this.
fn sent(service: &Service, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The rest of a refused body is not taken.
    let _ = stream.write_all(bytes.as_ref());
    stream
}

fn head_of_post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// The slowest of some ordinary requests.
fn served_beside(service: &Service, name: &str) -> Duration {
    let api = service.api();
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let answer = api.try_register(&format!("{name}-{number}@example.com")).unwrap();
        assert_eq!(answer.status, 202, "{answer:?}");
        slowest = slowest.max(answer.took).max(api.get("/readyz").took);
    }
    slowest
}

#[test]
fn thousands_of_slow_clients_cost_little_memory_and_stop_nobody() {
    allow_many_connections();
    let setup = Setup::on_sqlite();
    let service = setup.start_with_few_files();
    served_beside(&service, "warm");
    let before = service.resident_kib();
    let idle: Vec<TcpStream> = (0..2000).map(|_| sent(&service, "")).collect();
    let heads: Vec<TcpStream> =
        (0..200).map(|_| sent(&service, "GET /healthz HTTP/1.1\r\nHost: a\r\nX: ")).collect();
    let body = head_of_post("/v1/register", 16_000) + &" ".repeat(15_000);
    let bodies: Vec<TcpStream> = (0..200).map(|_| sent(&service, &body)).collect();
    let slowest = served_beside(&service, "beside");
    let grown = service.resident_kib().saturating_sub(before);
    println!(
        "{} idle, {} half heads, {} half bodies: {grown} KiB more, slowest answer {slowest:?}",
        idle.len(),
        heads.len(),
        bodies.len()
    );
    assert!(slowest < Duration::from_secs(2), "it took {slowest:?}");
    assert!(grown < 96 * 1024, "{grown} KiB more");
    // Each is told, or cut off; none is held.
    for (streams, status) in [(heads, "HTTP/1.1 408 "), (bodies, "HTTP/1.1 408 ")] {
        for mut stream in streams {
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            assert!(answer.is_empty() || answer.starts_with(status), "{answer}");
        }
    }
    assert_eq!(service.api().get("/healthz").status, 200);
}

#[test]
fn megabytes_that_never_end_cost_bounded_memory() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    served_beside(&service, "warm");
    let before = service.resident_kib();
    // The Django face takes up to a megabyte.
    let body = head_of_post("/api-token-auth/", 1024 * 1024) + &" ".repeat(1024 * 1024 - 1);
    let mut streams: Vec<TcpStream> = (0..150).map(|_| sent(&service, &body)).collect();
    let grown = service.resident_kib().saturating_sub(before);
    let slowest = served_beside(&service, "beside");
    println!("{} bodies of 1 MiB: {grown} KiB more, slowest {slowest:?}", streams.len());
    assert!(grown < 160 * 1024, "{grown} KiB more");
    let mut answer = [0; 12];
    let mut refused = 0;
    for stream in &mut streams {
        // A connection may be reset with its answer unread.
        if stream.read_exact(&mut answer).is_ok() {
            assert!([b"HTTP/1.1 503", b"HTTP/1.1 408"].contains(&&answer), "{answer:?}");
            refused += usize::from(&answer == b"HTTP/1.1 503");
        }
    }
    assert!(refused > 0, "all of them were taken");
    drop(streams);
    let whole = head_of_post("/api-token-auth/", 100_000) + &" ".repeat(100_000);
    let started = Instant::now();
    loop {
        let _ = sent(&service, &whole).read(&mut answer);
        if &answer == b"HTTP/1.1 400" {
            break;
        }
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "{:?}",
            String::from_utf8_lossy(&answer)
        );
    }
}

#[test]
fn when_all_places_are_taken_the_next_client_waits_until_an_idle_one_is_cut_off() {
    let setup =
        Setup::on_sqlite().with("HALLPASS_MAX_CONNECTIONS", "16").with("HALLPASS_WORKERS", "1");
    let service = setup.start();
    let idle: Vec<TcpStream> = (0..16).map(|_| sent(&service, "")).collect();
    thread::sleep(Duration::from_millis(200));
    let answer = service.api().get("/healthz");
    assert_eq!(answer.status, 200);
    println!("served after {:?} beside {} idle connections", answer.took, idle.len());
    assert!(answer.took > Duration::from_secs(1), "there was room");
    assert!(answer.took < Duration::from_secs(10), "it took {:?}", answer.took);
}
