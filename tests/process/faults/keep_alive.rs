//! Idle connections are kept for as long as `HALLPASS_KEEP_ALIVE` says.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::service::{Service, Setup};

fn idle_connection(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    ask(&mut stream);
    stream
}

fn ask(stream: &mut TcpStream) {
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(br#"{"status":"ok"}"#) {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
}

#[test]
fn an_idle_connection_is_closed_after_the_chosen_time() {
    let setup = Setup::on_sqlite().with("HALLPASS_KEEP_ALIVE", "1s");
    let service = setup.start();
    // The connection is idle from its response on, which this thread may see late.
    let asked = Instant::now();
    let mut stream = idle_connection(&service);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(asked.elapsed() > Duration::from_millis(900), "{:?}", asked.elapsed());
}

#[test]
fn each_request_starts_the_time_anew() {
    let setup = Setup::on_sqlite().with("HALLPASS_KEEP_ALIVE", "3s");
    let service = setup.start();
    let mut stream = idle_connection(&service);
    let mut asked = Instant::now();
    for _ in 0..3 {
        // Parked after half a second.
        thread::sleep(Duration::from_millis(1500));
        asked = Instant::now();
        ask(&mut stream);
    }
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert!(asked.elapsed() > Duration::from_millis(2900), "{:?}", asked.elapsed());
}

#[test]
fn by_default_it_outlives_the_time_that_nginx_keeps_it() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let mut stream = idle_connection(&service);
    // Longer than the default of the HTTP library, and than a request may take.
    thread::sleep(Duration::from_secs(37));
    ask(&mut stream);
}
