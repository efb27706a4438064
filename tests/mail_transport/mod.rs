//! Mail over real SMTP servers, with real TLS, log-in and every fault a server can have.

mod connections;
mod sessions;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::smtp::{Certificate, Mode, SmtpServer, make_certificates};
use hallpass::domain::UtcTime;
use hallpass::mail::envelope::{FailureClass, Mail, SendError};
use hallpass::mail::smtp::settings::SmtpSettings;
use hallpass::mail::transport::Transport;

const USER: &str = "auth@example.com";
const PASSWORD: &str = "p@ss:w/rd #1%";
/// More than a fresh server takes for a command on a busy machine, and little enough to wait for.
const ONE_COMMAND: Duration = Duration::from_secs(2);
const WHOLE_MAIL: Duration = Duration::from_secs(10);
/// Base64 of NUL user NUL password, as AUTH PLAIN sends it.
const PASSWORD_ON_THE_WIRE: &str = "AGF1dGhAZXhhbXBsZS5jb20AcEBzczp3L3JkICMxJQ==";

fn mail() -> Mail {
    Mail {
        message_id: "0190b1c2-attempt".to_owned(),
        from: "홀패스 <auth@example.com>".parse().unwrap(),
        to: "Bob.Tagged+x@example.org".to_owned(),
        subject: "홀패스 이메일 주소 인증 안내".to_owned(),
        text: "안녕하세요.\n\n123456\n\n.\nhttps://example.com/v?a=1&token=abc\n".to_owned(),
        html: "<p>안녕하세요. <b>123456</b></p>\n".to_owned(),
        date: UtcTime::from_seconds(1_767_225_600),
    }
}

fn settings(url: &str) -> SmtpSettings {
    SmtpSettings::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"))
}

/// Settings whose time-outs suit a busy machine, unlike those of [`hasty`].
async fn send(url: &str) -> Result<(), SendError> {
    Transport::smtp(&settings(url)).unwrap().send(&mail()).await
}

/// Settings with time-outs that a test can wait for.
async fn hasty(url: &str) -> (Result<(), SendError>, Duration) {
    let settings = settings(url).with_timeouts(ONE_COMMAND, WHOLE_MAIL);
    let start = Instant::now();
    let outcome = Transport::smtp(&settings).unwrap().send(&mail()).await;
    (outcome, start.elapsed())
}

fn transient(outcome: Result<(), SendError>) -> String {
    said(outcome, FailureClass::Transient)
}

fn permanent(outcome: Result<(), SendError>) -> String {
    said(outcome, FailureClass::Permanent)
}

fn configuration(outcome: Result<(), SendError>) -> String {
    said(outcome, FailureClass::Configuration)
}

fn unconfirmed(outcome: Result<(), SendError>) -> String {
    said(outcome, FailureClass::Unconfirmed)
}

#[track_caller]
fn said(outcome: Result<(), SendError>, class: FailureClass) -> String {
    let error = outcome.expect_err("an error");
    assert_eq!(error.class, class, "{error:?}");
    keeps_secrets(&error.text);
    error.text
}

fn keeps_secrets(text: &str) {
    let lower = text.to_lowercase();
    for secret in ["bob", "example.org", "auth@", "p@ss", "123456"] {
        assert!(!lower.contains(secret), "{text}");
    }
}

macro_rules! server {
    ($mode:expr) => {
        match SmtpServer::start($mode) {
            Some(server) => server,
            None => return,
        }
    };
}

async fn delivers(mode: Mode) {
    let server = server!(mode);
    send(&server.url()).await.unwrap();
    let mails = server.mails();
    assert_eq!(mails.len(), 1);
    let received = &mails[0];
    assert_eq!(received.from, "auth@example.com");
    assert_eq!(received.to, ["Bob.Tagged+x@example.org"]);
    assert_eq!(received.headers["subject"], mail().subject);
    assert_eq!(received.headers["from"], "홀패스 <auth@example.com>");
    assert_eq!(received.headers["to"], "Bob.Tagged+x@example.org");
    assert_eq!(received.headers["message-id"], "<0190b1c2-attempt@example.com>");
    assert_eq!(received.headers["date"], "Thu, 01 Jan 2026 00:00:00 +0000");
    assert_eq!(received.headers["auto-submitted"], "auto-generated");
    assert!(received.headers["content-type"].starts_with("multipart/alternative"));
    assert_eq!(received.text.replace("\r\n", "\n").trim_end(), mail().text.trim_end());
    assert_eq!(received.html.replace("\r\n", "\n").trim_end(), mail().html.trim_end());
    assert!(received.source.is_ascii(), "{}", received.source);
}

#[tokio::test]
async fn mail_goes_in_plain_text_to_a_local_server() {
    delivers(Mode::PLAIN).await;
}

#[tokio::test]
async fn mail_goes_over_starttls() {
    delivers(Mode::STARTTLS).await;
}

#[tokio::test]
async fn mail_goes_over_starttls_with_a_log_in() {
    delivers(Mode::STARTTLS.login(USER, PASSWORD)).await;
}

#[tokio::test]
async fn mail_goes_over_implicit_tls_with_a_log_in() {
    delivers(Mode::IMPLICIT.login(USER, PASSWORD)).await;
}

#[tokio::test]
async fn mail_goes_over_implicit_tls_without_a_log_in() {
    delivers(Mode::IMPLICIT).await;
}

#[tokio::test]
async fn the_password_is_sent_after_starttls_only() {
    let server = server!(Mode::STARTTLS.login(USER, PASSWORD));
    send(&server.url()).await.unwrap();
    assert!(server.sent().contains(PASSWORD_ON_THE_WIRE), "{}", server.sent());
    let clear = server.sent_in_clear();
    let commands: Vec<&str> = clear.lines().collect();
    assert_eq!(commands.len(), 2, "{clear}");
    assert!(commands[0].starts_with("EHLO ") && commands[1] == "STARTTLS", "{clear}");
}

#[tokio::test]
async fn nothing_is_sent_when_starttls_is_stripped() {
    let server = server!(Mode::STARTTLS.login(USER, PASSWORD).fault("hide-starttls"));
    let text = configuration(send(&server.url()).await);
    assert!(text.contains("STARTTLS"), "{text}");
    let sent = server.sent();
    for word in ["AUTH", "MAIL", "RCPT", "DATA", PASSWORD_ON_THE_WIRE] {
        assert!(!sent.contains(word), "{sent}");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused() {
    for mode in [Mode::IMPLICIT, Mode::STARTTLS] {
        let server = server!(mode.login(USER, PASSWORD));
        let other = tempfile::tempdir().unwrap();
        assert!(make_certificates(other.path()));
        let own_ca = server.ca().display().to_string();
        let other_ca = other.path().join("ca.pem").display().to_string();
        let with_other_ca = server.url().replace(&own_ca, &other_ca);
        let without_ca = server.url().replace(&format!("ca={own_ca}"), "");
        for url in [with_other_ca, without_ca.trim_end_matches(['?', '&']).to_owned()] {
            let text = configuration(send(&url).await);
            assert!(text.contains("No certificate authority that is trusted"), "{text}");
        }
        assert!(!server.sent().contains("AUTH") && server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_accepted_unless_it_is_an_authority() {
    for mode in [Mode::IMPLICIT, Mode::STARTTLS] {
        let server = server!(mode.certificate(Certificate::SelfSigned));
        send(&server.url()).await.unwrap();
        let server = server!(mode.certificate(Certificate::Authority));
        let text = configuration(send(&server.url()).await);
        assert!(text.contains("give the server a certificate with CA:FALSE"), "{text}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let server = server!(Mode::IMPLICIT);
    let text = configuration(send(&server.url().replace("localhost", "127.0.0.1")).await);
    assert!(text.contains("certificate"), "{text}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_wrong_password_leaves_the_mail_for_later() {
    let server = server!(Mode::IMPLICIT.login(USER, PASSWORD));
    let text = configuration(send(&server.url().replace("%231%25", "wrong")).await);
    assert!(text.contains("535") && text.contains("log-in"), "{text}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn every_refusal_before_the_recipient_leaves_the_mail_for_later() {
    for (mode, code) in [
        (Mode::STARTTLS.login(USER, PASSWORD).fault("reject-login"), "535"),
        (Mode::PLAIN.fault("reject-client"), "554 5.3.2"),
        (Mode::IMPLICIT.fault("reject-client"), "554 5.3.2"),
        (Mode::PLAIN.fault("reject-sender"), "550 5.7.1"),
        (Mode::PLAIN.fault("relay-denied"), "530 5.7.0"),
    ] {
        let server = server!(mode);
        let text = configuration(send(&server.url()).await);
        assert!(text.contains(code), "{text}");
    }
}

#[tokio::test]
async fn a_refused_recipient_or_message_is_final() {
    for (fault, answer) in [("reject-recipient", "550 5.1.1"), ("reject-content", "554 5.6.0")] {
        let server = server!(Mode::PLAIN.fault(fault));
        let text = permanent(send(&server.url()).await);
        assert!(text.contains(answer), "{text}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_busy_server_takes_the_mail_at_the_second_attempt() {
    let server = server!(Mode::PLAIN.fault("busy-once"));
    let transport = Transport::smtp(&settings(&server.url())).unwrap();
    let text = transient(transport.send(&mail()).await);
    assert!(text.contains("450 4.2.1"), "{text}");
    assert!(server.mails().is_empty());
    transport.send(&mail()).await.unwrap();
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn many_mails_go_at_once_through_one_transport() {
    let server = server!(Mode::STARTTLS.login(USER, PASSWORD));
    let transport = Transport::smtp(&settings(&server.url())).unwrap();
    let sends = (0..10).map(|number| {
        let mail = Mail { message_id: format!("id-{number}"), ..mail() };
        let transport = transport.clone();
        tokio::spawn(async move { transport.send(&mail).await })
    });
    for outcome in futures_util::future::join_all(sends).await {
        outcome.unwrap().unwrap();
    }
    assert_eq!(server.mails().len(), 10);
}

#[tokio::test]
async fn a_server_that_is_down_is_noticed_at_once() {
    // Bound and closed again: this port has no listener.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for url in [
        format!("smtp://127.0.0.1:{port}"),
        format!("smtp://localhost:{port}?tls=required"),
        format!("smtps://u:p@localhost:{port}"),
    ] {
        let start = Instant::now();
        transient(send(&url).await);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_a_temporary_fault() {
    transient(send("smtp://no-such-host.invalid").await);
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_left_after_the_time_for_one_command() {
    for (mode, url_scheme) in [
        (Mode::PLAIN.fault("silent"), "smtp"),
        (Mode::PLAIN.fault("silent"), "smtps"),
        (Mode::PLAIN.fault("silent-recipient"), "smtp"),
    ] {
        let server = server!(mode);
        let (outcome, took) =
            hasty(&server.url().replace("smtp:", &format!("{url_scheme}:"))).await;
        transient(outcome);
        assert!(took >= ONE_COMMAND && took < WHOLE_MAIL, "{took:?}");
    }
}

/// A port whose queue is full: what is sent to it is dropped, as behind a firewall. It stays so
/// while the second part is held.
fn full_port() -> (u16, (TcpListener, Vec<TcpStream>)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
        queue.push(stream);
        assert!(queue.len() < 10_000, "the queue has no end");
    }
    (address.port(), (listener, queue))
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_left_before_the_time_for_the_whole_mail() {
    let (port, _queue) = full_port();
    for url in [format!("smtp://127.0.0.1:{port}"), format!("smtps://127.0.0.1:{port}")] {
        let (outcome, took) = hasty(&url).await;
        transient(outcome);
        assert!(took >= ONE_COMMAND / 2 && took < WHOLE_MAIL, "{took:?}");
    }
}

#[tokio::test]
async fn a_server_may_think_about_a_message_longer_than_about_a_command() {
    let server = server!(Mode::PLAIN.fault("slow-content"));
    let (outcome, took) = hasty(&server.url()).await;
    outcome.unwrap();
    assert!(took >= ONE_COMMAND, "{took:?}");
    assert_eq!(server.mails().len(), 1);
}

#[tokio::test]
async fn the_answer_to_a_message_is_not_waited_for_without_end() {
    let server = server!(Mode::PLAIN.fault("silent-content"));
    let settings = settings(&server.url()).with_timeouts(ONE_COMMAND, ONE_COMMAND);
    let start = Instant::now();
    unconfirmed(Transport::smtp(&settings).unwrap().send(&mail()).await);
    assert!(start.elapsed() >= ONE_COMMAND && start.elapsed() < WHOLE_MAIL);
}

#[tokio::test]
async fn a_check_says_whether_mail_could_be_sent_and_sends_none() {
    let server = server!(Mode::STARTTLS.login(USER, PASSWORD));
    Transport::smtp(&settings(&server.url())).unwrap().check().await.unwrap();
    assert!(server.sent().contains("NOOP"), "{}", server.sent());
    let wrong = settings(&server.url().replace("%231%25", "wrong"));
    configuration(Transport::smtp(&wrong).unwrap().check().await);
    assert!(server.mails().is_empty() && !server.sent().contains("MAIL"));
}

#[test]
fn a_certificate_authority_that_cannot_be_used_is_named_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mail-ca.pem");
    let fault = || {
        let settings = settings(&format!("smtps://u:p@localhost?ca={}", file.display()));
        Transport::smtp(&settings).err().expect("an unusable authority")
    };
    assert!(fault().contains("mail-ca.pem"));
    for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&file, text).unwrap();
        assert!(fault().contains("mail-ca.pem"), "{}", fault());
    }
}

/// A server with a few fixed replies that ends with `end`. Returns all that the client sent.
fn scripted(
    lines: &'static [&'static str],
    end: impl FnOnce(&mut TcpStream) + Send + 'static,
) -> (u16, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 4096];
        for line in lines {
            stream.write_all(line.as_bytes()).unwrap();
            let count = stream.read(&mut buffer).unwrap_or(0);
            received.extend_from_slice(&buffer[..count]);
        }
        end(&mut stream);
        String::from_utf8_lossy(&received).into_owned()
    });
    (port, server)
}

#[tokio::test]
async fn answers_slipped_in_behind_starttls_are_not_believed() {
    // CVE-2011-0411 and its kin: plain text in the packet of the 220 must not count as the answer
    // of the server on the other end of TLS.
    let server = server!(Mode::STARTTLS.fault("reject-recipient"));
    // Without them, the man in the middle sees cipher text only, and the refusal gets through.
    permanent(send_through(&server, b"").await);
    let answers = b"250 hello\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n";
    let text = configuration(send_through(&server, answers).await);
    assert!(text.contains("STARTTLS"), "{text}");
}

/// Sends through a man in the middle who adds this to the packet that accepts STARTTLS.
async fn send_through(server: &SmtpServer, addition: &'static [u8]) -> Result<(), SendError> {
    let real = server.port();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        pass_on(client, TcpStream::connect(("127.0.0.1", real)).unwrap(), addition);
    });
    send(&server.url().replace(&format!(":{real}"), &format!(":{port}"))).await
}

fn pass_on(mut client: TcpStream, mut upstream: TcpStream, addition: &[u8]) {
    let (mut from_client, mut to_server) =
        (client.try_clone().unwrap(), upstream.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
    let mut buffer = [0; 16_384];
    while let Ok(count @ 1..) = upstream.read(&mut buffer) {
        let mut packet = buffer[..count].to_vec();
        if packet.starts_with(b"220 Ready to start TLS") {
            packet.extend_from_slice(addition);
        }
        if client.write_all(&packet).is_err() {
            break;
        }
    }
}

#[tokio::test]
async fn a_connection_that_breaks_off_is_a_temporary_fault() {
    for lines in [
        &["220 hi\r\n"] as &'static [&'static str],
        &["220 hi\r\n", "250 hi\r\n"],
        &["220 hi\r\n", "250 hi\r\n", "250 ok\r\n"],
        &["220 hi\r\n", "250 hi\r\n", "250 ok\r\n", "250 ok\r\n"],
        &["SSH-2.0-OpenSSH_9.9\r\n"],
    ] {
        let (port, server) = scripted(lines, |_| {});
        transient(send(&format!("smtp://127.0.0.1:{port}")).await);
        server.join().unwrap();
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let (port, server) =
        scripted(
            &[],
            |stream| {
                while stream.write_all(b"220-more and more and more\r\n").is_ok() {}
            },
        );
    let (outcome, _) = hasty(&format!("smtp://127.0.0.1:{port}")).await;
    transient(outcome);
    server.join().unwrap();
}
