//! SIGTERM: requests in progress are finished, and the process ends in time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::both::on_both;
use crate::client::PASSWORD;
use crate::mailbox::Mailbox;
use crate::scripted_smtp::{Act, ScriptedServer};
use crate::service::{Service, Setup};
use crate::waiting::wait_until;

/// A registration whose body is sent but for its end; the service waits for that.
struct Unfinished {
    stream: TcpStream,
    end: String,
}

impl Unfinished {
    fn begin(address: SocketAddr, email: &str) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let body = json!({"email": email, "password": PASSWORD}).to_string();
        let (begin, end) = body.split_at(body.len() / 2);
        let head = format!(
            "POST /v1/register HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, *b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(begin.as_bytes()).unwrap();
        Self { stream, end: end.to_owned() }
    }

    /// Sends the rest, and returns the registration token of the answer.
    fn finish(mut self) -> String {
        self.stream.write_all(self.end.as_bytes()).unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        body["registration_token"].as_str().unwrap().to_owned()
    }
}

on_both! {
    fn requests_in_progress_are_answered_before_the_end(setup) {
        let service = setup.start();
        let address = service.address();
        let emails: Vec<String> =
            (0..12).map(|number| format!("person-{number}@example.com")).collect();
        let unfinished: Vec<Unfinished> =
            emails.iter().map(|email| Unfinished::begin(address, email)).collect();
        service.terminate();
        wait_until("the end of listening", || TcpStream::connect(address).is_err());
        let tokens: Vec<String> = unfinished.into_iter().map(Unfinished::finish).collect();
        let (status, took) = service.wait(Duration::from_secs(12));
        assert!(status.success(), "{status}");
        println!("ended {took:?} after the last of {} answers", tokens.len());

        let again = setup.start();
        let mailbox = Mailbox::folder(&setup);
        for (email, token) in emails.iter().zip(&tokens) {
            again.api().verify(token, &mailbox.code_for(email));
        }
    }
}

#[test]
fn idle_connections_do_not_hold_up_the_end() {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_TIMEOUT", "3s");
    let service = setup.start();
    let idle: Vec<_> =
        (0..20).map(|_| TcpStream::connect(service.address()).expect("connect")).collect();
    assert_eq!(service.api().get("/healthz").status, 200);
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(8));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM with {} idle connections", idle.len());
}

#[test]
fn connections_that_have_been_idle_for_a_moment_do_not_either() {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_TIMEOUT", "20s");
    let service = setup.start();
    let mut idle: Vec<_> = (0..20).map(|_| connect(service.address())).collect();
    for stream in &mut idle {
        ask(stream, "/healthz");
    }
    // Longer than the half second after which they are parked.
    thread::sleep(Duration::from_secs(1));
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(8));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM with {} parked connections", idle.len());
}

on_both! {
    fn a_mail_that_may_have_been_accepted_is_not_sent_again_by_the_next_start(setup) {
        let server = ScriptedServer::start(|said| match said.line {
            "." => Act::Hang,
            _ => Act::Usual,
        });
        let setup = hanging(setup, &server);
        let service = setup.start();
        service.api().register("mina@example.com");
        wait_until("the message", || server.said().iter().any(|line| line == "."));
        ends_in_time(service);
        let listed = setup.run(&["mail", "list"]).stdout;
        assert!(listed.contains("m***@example.com  1 tries  next try "), "{listed}");
        assert!(listed.contains("may have been accepted"), "{listed}");

        server.change(|_| Act::Usual);
        let again = setup.start();
        again.api().register("noa@example.com");
        wait_until("the other mail", || !server.accepted().is_empty());
        assert_eq!(server.accepted(), ["noa@example.com"]);
    }

    fn a_mail_that_cannot_have_been_accepted_is_sent_at_once_by_the_next_start(setup) {
        let server = ScriptedServer::start(|said| match said.line {
            "DATA" => Act::Hang,
            _ => Act::Usual,
        });
        let setup = hanging(setup, &server);
        let service = setup.start();
        service.api().register("mina@example.com");
        wait_until("the mail", || server.said().iter().any(|line| line == "DATA"));
        ends_in_time(service);
        let listed = setup.run(&["mail", "list"]).stdout;
        assert!(listed.contains("m***@example.com  0 tries"), "{listed}");

        server.change(|_| Act::Usual);
        let started = Instant::now();
        let again = setup.start();
        wait_until("the mail", || !server.accepted().is_empty());
        // Its lease would have lasted for 20 seconds.
        assert!(started.elapsed() < Duration::from_secs(12), "it took {:?}", started.elapsed());
        again.stop();
    }
}

fn hanging(setup: Setup, server: &ScriptedServer) -> Setup {
    setup.with("HALLPASS_SHUTDOWN_TIMEOUT", "1s").with("HALLPASS_SMTP_URL", &server.url())
}

fn ends_in_time(service: Service) {
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(8));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM with a hanging mail server");
}

/// Sends a request on a connection that is kept, and returns the head of its answer.
fn ask(stream: &mut TcpStream, path: &str) -> String {
    write!(stream, "HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap().to_lowercase()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn drains(end: fn(&Service)) {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_DELAY", "2s");
    let service = setup.start();
    let (address, api) = (service.address(), service.api());
    let (mut kept, mut failing) = (connect(address), connect(address));
    assert!(!ask(&mut kept, "/readyz").contains("connection: close"));
    let started = Instant::now();
    end(&service);
    wait_until("the load balancer to be told", || api.get("/readyz").status == 503);
    // New connections are served, and those that are kept for one more request.
    let answer = api.get("/readyz");
    assert_eq!(answer.body["components"]["service"], "stopping", "{answer:?}");
    assert_eq!(answer.body["components"]["database"], "up", "{answer:?}");
    assert_eq!(api.get("/healthz").status, 200);
    assert_eq!(api.get("/v1/config").status, 200);
    let head = ask(&mut kept, "/v1/config");
    assert!(head.starts_with("http/1.1 200 ") && head.contains("connection: close"), "{head}");
    let head = ask(&mut failing, "/v1/me");
    assert!(head.starts_with("http/1.1 401 ") && head.contains("connection: close"), "{head}");
    let (status, _) = service.wait(Duration::from_secs(12));
    assert!(status.success(), "{status}");
    assert!(started.elapsed() > Duration::from_secs(2), "it took {:?}", started.elapsed());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn requests_on_parked_connections_are_served_while_it_drains() {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_DELAY", "3s");
    let service = setup.start();
    let (address, api) = (service.address(), service.api());
    let mut parked: Vec<_> = (0..40).map(|_| connect(address)).collect();
    for stream in &mut parked {
        ask(stream, "/healthz");
    }
    thread::sleep(Duration::from_secs(1));
    let (wholes, halves) = parked.split_at_mut(20);
    for stream in halves.iter_mut() {
        stream.write_all(b"H").unwrap();
    }
    service.terminate();
    wait_until("the load balancer to be told", || api.get("/readyz").status == 503);
    for (whole, half) in wholes.iter_mut().zip(halves) {
        write!(whole, "H").unwrap();
        for stream in [whole, half] {
            write!(stream, "EAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            let mut head = String::new();
            stream.read_to_string(&mut head).unwrap();
            let head = head.to_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{head}");
            assert!(head.contains("connection: close"), "{head}");
        }
    }
    let (status, _) = service.wait(Duration::from_secs(12));
    assert!(status.success(), "{status}");
}

#[test]
fn sigterm_lets_load_balancers_know_first() {
    drains(Service::terminate);
}

#[test]
fn sighup_does_the_same() {
    drains(Service::hang_up);
}

#[test]
fn an_operator_who_asks_twice_does_not_wait() {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_DELAY", "60s");
    let service = setup.start();
    service.interrupt();
    service.wait_for_log("stopping", 1);
    service.interrupt();
    let (status, _) = service.wait(Duration::from_secs(12));
    assert!(status.success(), "{status}");
}

#[test]
fn development_does_not_wait() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    service.hang_up();
    let (status, took) = service.wait(Duration::from_secs(12));
    assert!(status.success() && took < Duration::from_secs(3), "{status} {took:?}");
}
