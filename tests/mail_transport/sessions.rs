//! Sessions with servers that say what is allowed and unusual, or what is wrong.

use std::time::Duration;

use hallpass::mail::envelope::{FailureClass, FailureScope, SendError};
use hallpass::mail::transport::Transport;

use super::{mail, settings};
use crate::scripted_smtp::{Act, Said, ScriptedServer};

/// A time-out that suits a busy machine and that a test can wait for.
pub const SHORT: Duration = Duration::from_millis(700);
pub const LONG: Duration = Duration::from_secs(20);

pub fn transport(server: &ScriptedServer) -> Transport {
    Transport::smtp(&settings(&server.url()).with_timeouts(LONG, LONG)).unwrap()
}

pub async fn send(server: &ScriptedServer) -> Result<(), SendError> {
    transport(server).send(&mail()).await
}

/// Says this at one command; the greeting is an empty one.
fn at(command: &'static str, reply: &'static [u8]) -> impl Fn(&Said<'_>) -> Act {
    move |said| {
        let is_it =
            if command.is_empty() { said.line.is_empty() } else { said.line.starts_with(command) };
        if is_it { Act::Say(reply) } else { Act::Usual }
    }
}

const STEPS: [&str; 6] = ["", "EHLO", "MAIL", "RCPT", "DATA", "."];

#[tokio::test]
async fn three_digits_decide_at_every_step() {
    for step in STEPS {
        let replies: [&[u8]; 5] = match step {
            "DATA" => [b"354", b"350 go on", b"354 \xfc", b"354-\xff\r\n354 go", b"300 \x00"],
            "" => [b"220", b"220 ", b"220 \xfc", b"220-\xff\r\n220 hi", b"220 \x00"],
            _ => [
                b"250",
                b"250 ",
                b"250 2.0.0 Nachricht \xfcbernommen",
                b"250-\xff\xfe\r\n250-\r\n250 ok",
                b"250 \x00",
            ],
        };
        for reply in replies {
            let server = ScriptedServer::start(at(step, reply));
            send(&server).await.unwrap_or_else(|error| panic!("{step} {reply:?}: {error}"));
            assert_eq!(server.accepted().len(), 1, "{step} {reply:?}");
        }
    }
}

#[tokio::test]
async fn refusals_in_any_encoding_are_understood() {
    for reply in [&b"550 5.1.1 unbekannter Empf\xe4nger"[..], b"551", b"550-\xff\r\n550 5.1.1 x"] {
        let server = ScriptedServer::start(at("RCPT", reply));
        assert_eq!(send(&server).await.unwrap_err().class, FailureClass::Permanent, "{reply:?}");
    }
}

#[tokio::test]
async fn a_reply_that_is_none_is_temporary_before_the_end_of_the_message() {
    for step in ["", "EHLO", "MAIL", "RCPT", "DATA"] {
        for reply in [&b"hello"[..], b"2500 x", b"", b"999 x"] {
            let server = ScriptedServer::start(at(step, reply));
            let error = send(&server).await.unwrap_err();
            assert_eq!(error.class, FailureClass::Transient, "{step} {reply:?}: {error}");
        }
    }
}

#[tokio::test]
async fn what_is_unclear_after_the_message_may_have_been_accepted() {
    let garbled = ScriptedServer::start(at(".", b"thanks"));
    let neither = ScriptedServer::start(at(".", b"354 go on"));
    let preliminary = ScriptedServer::start(at(".", b"150 thinking"));
    let lost = ScriptedServer::start(|said| match said.line {
        "." => Act::AcceptAndClose,
        _ => Act::Usual,
    });
    for server in [garbled, neither, preliminary, lost] {
        let error = send(&server).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Unconfirmed, "{error}");
        assert!(error.text.contains("may have been accepted"), "{error}");
    }
    // What is refused, or lost before its end, was not accepted.
    for reply in [&b"451 try later"[..], b"421 closing"] {
        let server = ScriptedServer::start(at(".", reply));
        assert_eq!(send(&server).await.unwrap_err().class, FailureClass::Transient);
    }
}

/// Logs in at a server that offers this and wants this.
async fn log_in(
    offer: &'static [u8],
    script: impl Fn(&Said<'_>) -> Option<&'static [u8]> + Send + Sync + 'static,
) -> (Result<(), SendError>, Vec<String>) {
    let server = ScriptedServer::start(move |said| {
        if said.line.starts_with("EHLO") {
            return Act::Say(offer);
        }
        script(said).map_or(Act::Usual, Act::Say)
    });
    let url = server.url().replace("smtp://", "smtp://user:secret@");
    let outcome = Transport::smtp(&settings(&url)).unwrap().send(&mail()).await;
    let said = server.said().into_iter().skip(1).take_while(|line| !line.starts_with("MAIL"));
    (outcome, said.collect())
}

const USER_ON_THE_WIRE: &str = "dXNlcg==";
const PASSWORD_ON_THE_WIRE: &str = "c2VjcmV0";
const PLAIN: &str = "AUTH PLAIN AHVzZXIAc2VjcmV0";

#[tokio::test]
async fn prompts_of_auth_login_are_answered_by_their_position() {
    for (offer, first, second) in [
        (&b"250-x\r\n250 AUTH LOGIN"[..], &b"334 VXNlcm5hbWU6"[..], &b"334 UGFzc3dvcmQ6"[..]),
        (b"250-x\r\n250 auth login", b"334 VXNlciBOYW1lAA==", b"334 \xff"),
        (b"250-x\r\n250 AUTH=LOGIN", b"334", b"334 not base64"),
        (b"250-x\r\n250 Auth Login CRAM-MD5", b"334 UGFzc3dvcmQ6", b"334 VXNlcm5hbWU6"),
    ] {
        let (outcome, said) = log_in(offer, move |said| match said.line {
            "AUTH LOGIN" => Some(first),
            USER_ON_THE_WIRE => Some(second),
            PASSWORD_ON_THE_WIRE => Some(b"235"),
            _ => None,
        })
        .await;
        outcome.unwrap();
        assert_eq!(said, ["AUTH LOGIN", USER_ON_THE_WIRE, PASSWORD_ON_THE_WIRE]);
    }
}

#[tokio::test]
async fn auth_plain_goes_first_and_login_where_plain_is_not_there_after_all() {
    let (outcome, said) = log_in(b"250-x\r\n250 AUTH login plain", |_| None).await;
    outcome.unwrap();
    assert_eq!(said, [PLAIN]);
    let (outcome, said) = log_in(b"250-x\r\n250 AUTH PLAIN LOGIN", |said| match said.line {
        PLAIN => Some(b"504 5.5.4 no such mechanism"),
        "AUTH LOGIN" | USER_ON_THE_WIRE => Some(b"334"),
        _ => None,
    })
    .await;
    outcome.unwrap();
    assert_eq!(said, [PLAIN, "AUTH LOGIN", USER_ON_THE_WIRE, PASSWORD_ON_THE_WIRE]);
}

#[tokio::test]
async fn a_log_in_that_the_server_cannot_do_or_does_not_accept_is_the_configuration() {
    for (offer, reply) in [
        (&b"250-x\r\n250 AUTH CRAM-MD5"[..], &b"235"[..]),
        (b"250 AUTH PLAIN", b"235"),
        (b"250-x\r\n250 AUTH PLAIN", b"535 5.7.8 wrong"),
        (b"250-x\r\n250 AUTH LOGIN", b"535"),
    ] {
        let (outcome, said) =
            log_in(offer, move |said| said.line.starts_with("AUTH").then_some(reply)).await;
        let error = outcome.unwrap_err();
        assert_eq!((error.class, error.scope), (FailureClass::Configuration, FailureScope::Server));
        assert!(!said.iter().any(|line| line == "DATA"));
    }
}

#[tokio::test]
async fn a_server_without_ehlo_gets_helo() {
    for reply in [&b"502 5.5.2 what?"[..], b"500", b"504 5.5.4 no such parameter", b"550 no"] {
        let server = ScriptedServer::start(at("EHLO", reply));
        send(&server).await.unwrap();
        assert!(server.said().contains(&"HELO localhost".to_owned()), "{:?}", server.said());
    }
}

#[tokio::test]
async fn helo_does_not_hide_that_the_name_is_refused() {
    for reply in [&b"504 5.5.2 need fully-qualified hostname"[..], b"550 5.7.1 who are you?"] {
        let both = ScriptedServer::start(move |said| match said.line.get(..4) {
            Some("EHLO" | "HELO") => Act::Say(reply),
            _ => Act::Usual,
        });
        let error = send(&both).await.unwrap_err();
        assert!(error.text.contains("HALLPASS_SMTP_EHLO_NAME"), "{error}");
        // Without EHLO there is no log-in.
        let server = ScriptedServer::start(at("EHLO", reply));
        let url = server.url().replace("smtp://", "smtp://user:secret@");
        let error = Transport::smtp(&settings(&url)).unwrap().send(&mail()).await.unwrap_err();
        assert!(error.text.contains("HALLPASS_SMTP_EHLO_NAME"), "{error}");
    }
}

#[tokio::test]
async fn the_name_in_ehlo_is_the_one_of_the_settings() {
    let server = ScriptedServer::start(|_| Act::Usual);
    let settings = settings(&server.url()).with_ehlo_name("auth.example.com".to_owned());
    Transport::smtp(&settings).unwrap().send(&mail()).await.unwrap();
    assert_eq!(server.said()[0], "EHLO auth.example.com");
}

#[tokio::test]
async fn refusals_of_the_service_are_its_configuration() {
    for (step, reply) in [
        ("", &b"554 no service"[..]),
        ("EHLO", b"554 5.7.1 who are you?"),
        ("MAIL", b"553 5.7.1 not your address"),
        ("RCPT", b"504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"),
        ("RCPT", b"554 5.7.1 <bob@example.org>: Relay access denied"),
        ("RCPT", b"530 5.7.0 Must issue a STARTTLS command first"),
    ] {
        let server = ScriptedServer::start(at(step, reply));
        let error = send(&server).await.unwrap_err();
        assert_eq!(error.class, FailureClass::Configuration, "{error}");
        assert!(!error.text.contains("bob"), "{error}");
    }
}
