//! Connections that cost and bring nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::service::Setup;

/// This process holds the other end of each.
fn allow_many_connections() {
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
