//! Memory of a service that does nothing, or nothing any more.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::service::{Service, Setup};
use crate::waiting::wait_until;

/// Templates, schemas and the like are made when they are first needed. When all were made at the
/// start, it was 12 MiB.
const MOST_KIB: u64 = 9 * 1024;

#[test]
fn an_idle_service_has_made_nothing_that_it_does_not_need_yet() {
    let service = Setup::on_sqlite().start();
    assert_eq!(service.api().get("/healthz").status, 200);
    let own = service.anonymous_kib();
    println!("{own} KiB");
    assert!(own < MOST_KIB, "{own} KiB");
}

/// Opens a connection and lets it have one response.
fn connection_of(service: &Service) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    stream
}

/// The allocator returns memory while the service does something, such as responding to a health
/// check. That of the C library kept 5 of the 8 MiB of 700 connections.
#[test]
fn memory_of_closed_connections_returns_to_the_system() {
    let service = Setup::on_sqlite().start();
    let open = |count| -> Vec<TcpStream> { (0..count).map(|_| connection_of(&service)).collect() };
    // All threads have served a request.
    drop(open(20));
    let before = service.anonymous_kib();
    drop(open(2_000));
    wait_until("the return of memory", || {
        // Each thread returns memory of its own.
        drop(open(20));
        service.anonymous_kib() < before + 8 * 1024
    });
}
