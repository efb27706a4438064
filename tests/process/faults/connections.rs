//! Connections that occupy memory and send no request.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::SockRef;

use crate::service::{Service, Setup};

/// Less than the time-out of the head of a request, five seconds: a client that has to wait for
/// idle connections waits until the first of them time out.
const NOT_BLOCKED: Duration = Duration::from_secs(4);
const GET: &str = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

/// This process holds the other end of each.
pub fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

#[test]
fn a_thousand_idle_connections_block_no_client() {
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
    assert!(slowest < NOT_BLOCKED, "it took {slowest:?}");
}

/// A connection in use costs 12 KiB and more, since actix-http has two buffers for it.
#[test]
fn connections_that_have_been_idle_for_a_moment_cost_little_memory() {
    const BATCH: u64 = 1000;
    allow_many_connections();
    let service = Setup::on_sqlite().start();
    let mut idle = Vec::new();
    let costs_little = (0..8).any(|_| {
        let before = service.anonymous_kib();
        for _ in 0..BATCH {
            let mut stream = sent(&service, GET);
            read_answer(&mut stream);
            idle.push(stream);
        }
        let grown = service.anonymous_kib().saturating_sub(before);
        println!("{grown} KiB for {BATCH} more than {}", idle.len());
        grown < 6 * BATCH
    });
    assert!(costs_little, "{} connections", idle.len());
}

/// Sends a request on a connection that is kept, and reads its response.
fn ask(stream: &mut TcpStream) {
    stream.write_all(GET.as_bytes()).expect("the connection is open");
    read_answer(stream);
}

/// Reads the response to [`GET`].
fn read_answer(stream: &mut TcpStream) {
    try_read_answer(stream).expect("a response");
}

fn try_read_answer(stream: &mut TcpStream) -> io::Result<()> {
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(br#"{"status":"ok"}"#) {
        stream.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    Ok(())
}

/// Longer than the half second after which idle connections are parked.
const PAUSE: Duration = Duration::from_secs(1);

#[test]
fn a_parked_connection_has_its_place_until_the_client_ends_it() {
    let setup =
        Setup::on_sqlite().with("HALLPASS_MAX_CONNECTIONS", "16").with("HALLPASS_WORKERS", "1");
    let service = setup.start();
    let mut parked: Vec<TcpStream> = (0..16).map(|_| sent(&service, GET)).collect();
    parked.iter_mut().for_each(read_answer);
    thread::sleep(PAUSE);
    let ends: [fn(&TcpStream); 3] = [
        |stream| SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap(),
        |stream| stream.shutdown(Shutdown::Write).unwrap(),
        |_| {},
    ];
    let mut next = sent(&service, GET);
    for (number, end) in ends.into_iter().enumerate() {
        next.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        assert!(next.read(&mut [0]).is_err(), "{number}: there was room");
        next.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut ending = parked.pop().unwrap();
        end(&ending);
        // A reset has no response. Half a close has one, and then the place is free.
        if number == 1 {
            assert_eq!(ending.read(&mut [0]).unwrap(), 0);
        }
        drop(ending);
        read_answer(&mut next);
        parked.insert(0, std::mem::replace(&mut next, sent(&service, GET)));
    }
    parked.iter_mut().for_each(ask);
}

#[test]
fn parked_connections_are_served_when_no_more_files_can_be_opened() {
    const CLIENTS: usize = 96;
    let setup = Setup::on_sqlite();
    let service = setup.start_under("prlimit", &["--nofile=64"]);
    let mut streams: Vec<TcpStream> = (0..CLIENTS).map(|_| sent(&service, GET)).collect();
    // They are accepted in this order.
    let waiting = streams
        .iter_mut()
        .position(|stream| {
            stream.set_read_timeout(Some(PAUSE)).unwrap();
            try_read_answer(stream).is_err()
        })
        .expect("a limit");
    let mut waiting = streams.split_off(waiting);
    println!("{} served, {} wait", streams.len(), waiting.len());
    assert!(streams.len() > 4, "{} are served", streams.len());
    for stream in streams.iter_mut().chain(&mut waiting) {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    streams.iter_mut().for_each(ask);
    drop(streams);
    // Each makes room for another one.
    for mut stream in waiting {
        read_answer(&mut stream);
    }
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let started = Instant::now();
    let answer = until_the_end(&mut sent(&service, ""));
    println!("closed after {:?}: {:?}", started.elapsed(), answer.lines().next());
    assert!(started.elapsed() < Duration::from_secs(14), "{answer}");
}

/// A connection that has sent this.
fn sent(service: &Service, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(service.address()).expect("connect");
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // The rest of a refused body is not taken.
    let _ = stream.write_all(bytes.as_ref());
    stream
}

/// Reads until the service ends the connection, also by a reset. A connection that stays open is a
/// failure.
fn until_the_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the connection is held");
    }
    String::from_utf8(answer).unwrap()
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
fn thousands_of_slow_clients_cost_little_memory_and_block_no_client() {
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
    assert!(slowest < NOT_BLOCKED, "it took {slowest:?}");
    assert!(grown < 96 * 1024, "{grown} KiB more");
    // Each is told, or cut off; none is held.
    let all_were_sent = Instant::now();
    for mut stream in heads.into_iter().chain(bodies) {
        let answer = until_the_end(&mut stream);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    assert!(all_were_sent.elapsed() < Duration::from_secs(20), "{:?}", all_were_sent.elapsed());
    assert_eq!(service.api().get("/healthz").status, 200);
}

#[test]
#[cfg(feature = "drf-jwt")]
fn megabytes_that_never_end_cost_bounded_memory() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    served_beside(&service, "warm");
    let before = service.resident_kib();
    // The Django REST adapter takes up to a megabyte.
    let body = head_of_post("/api-token-auth/", 1024 * 1024) + &" ".repeat(1024 * 1024 - 1);
    let mut streams: Vec<TcpStream> = (0..150).map(|_| sent(&service, &body)).collect();
    let grown = service.resident_kib().saturating_sub(before);
    let slowest = served_beside(&service, "beside");
    println!("{} bodies of 1 MiB: {grown} KiB more, slowest {slowest:?}", streams.len());
    assert!(grown < 160 * 1024, "{grown} KiB more");
    let mut refused = 0;
    for stream in &mut streams {
        let answer = until_the_end(stream);
        // A connection may be reset with its answer unread.
        let is_told = ["HTTP/1.1 503 ", "HTTP/1.1 408 "].iter().any(|it| answer.starts_with(it));
        assert!(answer.is_empty() || is_told, "{answer}");
        refused += usize::from(answer.starts_with("HTTP/1.1 503 "));
    }
    assert!(refused > 0, "all of them were taken");
    assert_room_again(&service);
}

/// Memory of large bodies is free again after the response.
#[cfg(feature = "drf-jwt")]
fn assert_room_again(service: &Service) {
    let whole = head_of_post("/api-token-auth/", 100_000) + &" ".repeat(100_000);
    let started = Instant::now();
    let mut answer = [0; 12];
    while &answer != b"HTTP/1.1 400" {
        assert!(started.elapsed() < Duration::from_secs(5), "{}", answer.escape_ascii());
        let _ = sent(service, &whole).read(&mut answer);
    }
}

#[test]
#[cfg(feature = "drf-jwt")]
fn megabytes_that_end_cost_bounded_memory() {
    // Each connection is read to its end.
    let setup = Setup::on_sqlite().with("HALLPASS_KEEP_ALIVE", "1s");
    let service = setup.start();
    served_beside(&service, "warm");
    let before = service.resident_kib();
    let posted = |kind: &str, body: &[u8]| {
        let head = head_of_post("/api-token-auth/", body.len()).replace("application/json", kind);
        [head.as_bytes(), body].concat()
    };
    let log_in = r#""username":"nobody","password":"wrong"}"#;
    let fields: Vec<String> = (0..90_000).map(|number| format!("\"{number:x}\":1,")).collect();
    let fields = fields.concat();
    let many_fields = posted("application/json", format!("{{{fields}{log_in}").as_bytes());
    let many_parts = posted("multipart/form-data; boundary=x", "--x".repeat(340_000).as_bytes());
    // Each byte is a letter that has three in UTF-8.
    let name = [&b"{\"password\":\"wrong\",\"username\":\""[..], &[0xb1].repeat(1_040_000), b"\"}"]
        .concat();
    let long_name = posted("application/json; charset=shift_jis", &name);
    for (what, body) in [("fields", many_fields), ("parts", many_parts), ("letters", long_name)] {
        let answers: Vec<String> = thread::scope(|scope| {
            let ask = || until_the_end(&mut sent(&service, &body));
            let threads: Vec<_> = (0..80).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let taken = answers.iter().filter(|it| it.starts_with("HTTP/1.1 400 ")).count();
        let grown = service.peak_resident_kib().saturating_sub(before);
        println!("80 bodies of 1 MiB of {what}, {taken} taken: {grown} KiB more");
        assert!(taken > 0, "{answers:?}");
        assert!(grown < 192 * 1024, "{grown} KiB more");
        assert_room_again(&service);
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
