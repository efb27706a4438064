//! SIGTERM: what is under way is finished, and the end comes in time.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::PASSWORD;
use crate::both::on_both;
use crate::letters::Mailbox;
use crate::service::Setup;
use crate::smtp::Mode;
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
fn a_mail_server_that_hangs_does_not_hold_up_the_end_and_its_mail_stays() {
    let setup = Setup::on_sqlite().with("HALLPASS_SHUTDOWN_TIMEOUT", "2s");
    let mode = Mode::PLAIN.fault("silent-content");
    let Some((setup, mailbox)) = Mailbox::server(setup, mode) else { return };
    let service = setup.start();
    service.api().register("mina@example.com");
    mailbox.wait_for_text("Subject:");
    service.terminate();
    let (status, took) = service.wait(Duration::from_secs(8));
    assert!(status.success(), "{status}");
    println!("ended {took:?} after SIGTERM with a hanging mail server");
    let listed = setup.run(&["mail", "list"]);
    assert!(listed.stdout.contains("m***@example.com  0 tries"), "{}", listed.stdout);
}
