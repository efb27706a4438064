//! The connections that mails share: their number, their order, and their ends.

use std::time::{Duration, Instant};

use hallpass::mail::ConnectionUse;
use hallpass::mail::envelope::{FailureClass, FailureScope, Mail, SendError};
use hallpass::mail::transport::Transport;

use super::sessions::{LONG, SHORT, send, transport};
use super::{mail, settings};
use crate::scripted_smtp::{Act, Said, ScriptedServer};

fn to(number: usize) -> Mail {
    Mail { message_id: format!("id-{number}"), to: format!("p{number}@example.org"), ..mail() }
}

/// Sends so many mails at once; each must be accepted.
async fn send_many(transport: &Transport, count: usize) {
    let sends = (0..count).map(|number| {
        let transport = transport.clone();
        tokio::spawn(async move { transport.send(&to(number)).await })
    });
    for outcome in futures_util::future::join_all(sends).await {
        outcome.unwrap().unwrap();
    }
}

#[tokio::test]
async fn mails_share_the_connections_of_the_setting() {
    let server = ScriptedServer::start(|_| Act::Usual);
    let settings = settings(&server.url()).with_connections(3);
    send_many(&Transport::smtp(&settings).unwrap(), 40).await;
    assert_eq!(server.accepted().len(), 40);
    assert!(server.most_open() <= 3 && server.connections() <= 3, "{}", server.connections());
}

#[tokio::test]
async fn a_server_that_admits_fewer_connections_gets_fewer() {
    for refusal in [&b"421 4.7.0 too many connections"[..], b"450 too many", b"554 too many"] {
        let server = ScriptedServer::start(move |said| match said.line {
            "" if said.open > 3 && refusal.starts_with(b"4") => Act::Bye(refusal),
            "" if said.open > 3 => Act::Close,
            "." => Act::Late(Duration::from_millis(20), b"250"),
            _ => Act::Usual,
        });
        let settings = settings(&server.url()).with_connections(8);
        let start = Instant::now();
        send_many(&Transport::smtp(&settings).unwrap(), 60).await;
        assert_eq!(server.accepted().len(), 60);
        assert!(server.connections() < 20, "{}", server.connections());
        assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    }
}

fn hangs_at_slow_example(said: &Said<'_>) -> Act {
    let is_it = said.line.starts_with("RCPT") && said.recipient.ends_with("@slow.example");
    if is_it { Act::Hang } else { Act::Usual }
}

fn begin(
    transport: &Transport,
    recipient: &str,
    count: usize,
) -> Vec<tokio::task::JoinHandle<Result<(), SendError>>> {
    let send = |number: usize| {
        let mail = Mail { message_id: format!("id-{number}"), to: recipient.to_owned(), ..mail() };
        let transport = transport.clone();
        tokio::spawn(async move { transport.send(&mail).await })
    };
    (0..count).map(send).collect()
}

async fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_domain_that_hangs_leaves_an_admitted_connection_to_the_others() {
    for admitted in [2, 3] {
        let server = ScriptedServer::start(hangs_at_slow_example);
        server.admit(admitted);
        let transport = transport(&server);
        let slow = begin(&transport, "a@slow.example", 3);
        wait_until("the bound is learnt", || server.refused() == 1).await;
        for fine in begin(&transport, "a@fine.example", 5) {
            fine.await.unwrap().unwrap();
        }
        let asked = server.said().iter().filter(|line| line.contains("@slow")).count();
        assert_eq!(asked, admitted - 1);
        assert!(slow.iter().all(|send| !send.is_finished()));
        slow.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn a_domain_that_hangs_on_the_only_connection_goes_back_after_its_time_out() {
    let server = ScriptedServer::start(hangs_at_slow_example);
    server.admit(1);
    let settings = settings(&server.url()).with_timeouts(2 * SHORT, LONG);
    let transport = Transport::smtp(&settings).unwrap();
    let slow = begin(&transport, "a@slow.example", 3);
    wait_until("a mail hangs", || server.said().iter().any(|line| line.contains("@slow"))).await;
    for fine in begin(&transport, "a@fine.example", 5) {
        fine.await.unwrap().unwrap();
    }
    for send in slow {
        let error = send.await.unwrap().unwrap_err();
        assert_eq!((error.class, error.scope), (FailureClass::Transient, FailureScope::Domain));
    }
    let asked = server.said().iter().filter(|line| line.contains("@slow")).count();
    assert_eq!(asked, 1, "those that waited were not tried");
}

#[tokio::test]
async fn a_mail_that_hangs_before_its_message_goes_back_when_others_wait() {
    for (step, connections) in [("RCPT", 1), ("DATA", 1), ("RCPT", 2), ("DATA", 4)] {
        let server = ScriptedServer::start(move |said| {
            let is_it = said.line.starts_with(step) && said.recipient.ends_with("slow.example");
            if is_it { Act::Hang } else { Act::Usual }
        });
        let settings = settings(&server.url()).with_timeouts(LONG, LONG).with_preempt_after(SHORT);
        let transport = Transport::smtp(&settings.with_connections(connections)).unwrap();
        let slow: Vec<_> = (0..=connections)
            .flat_map(|number| begin(&transport, &format!("a@{number}.slow.example"), 1))
            .collect();
        let hangs = || server.said().iter().filter(|line| line.starts_with(step)).count();
        wait_until("mails that hang", || hangs() >= connections).await;
        for fine in begin(&transport, "a@fine.example", 5) {
            fine.await.unwrap().unwrap();
        }
        let is_back = slow.iter().filter(|send| send.is_finished()).count();
        assert!(is_back >= 1, "{step}, {connections}");
        for send in slow {
            if send.is_finished() {
                let error = send.await.unwrap().unwrap_err();
                assert_eq!(
                    (error.class, error.scope),
                    (FailureClass::Preempted, FailureScope::Domain)
                );
            } else {
                send.abort();
            }
        }
        assert_eq!(server.accepted(), vec!["a@fine.example"; 5]);
    }
}

#[tokio::test]
async fn a_mail_that_hangs_goes_back_where_further_connections_get_no_greeting() {
    let server = ScriptedServer::start(|said| match said.line {
        "" if said.open > 1 => Act::Hang,
        _ => hangs_at_slow_example(said),
    });
    let settings = settings(&server.url()).with_timeouts(LONG, LONG).with_preempt_after(SHORT);
    let transport = Transport::smtp(&settings.with_connections(3)).unwrap();
    let slow = begin(&transport, "a@slow.example", 1);
    wait_until("a mail hangs", || server.said().iter().any(|line| line.contains("@slow"))).await;
    let fine = begin(&transport, "a@fine.example", 2);
    for send in slow {
        assert_eq!(send.await.unwrap().unwrap_err().scope, FailureScope::Domain);
    }
    fine.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_mail_whose_message_was_sent_is_waited_for_whatever_waits() {
    let server = ScriptedServer::start(|said| match said.line {
        "." if said.recipient.ends_with("slow.example") => Act::Late(4 * SHORT, b"250"),
        _ => Act::Usual,
    });
    let settings = settings(&server.url()).with_timeouts(LONG, LONG).with_preempt_after(SHORT / 7);
    let transport = Transport::smtp(&settings.with_connections(1)).unwrap();
    let slow = begin(&transport, "a@slow.example", 1);
    wait_until("the message", || server.said().contains(&".".to_owned())).await;
    for send in slow.into_iter().chain(begin(&transport, "a@fine.example", 5)) {
        send.await.unwrap().unwrap();
    }
    assert_eq!(server.accepted().len(), 6);
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn connections_that_the_server_admits_again_are_used_again() {
    let server = ScriptedServer::start(|said| match said.line {
        "." => Act::Late(Duration::from_millis(20), b"250"),
        _ => Act::Usual,
    });
    server.admit(1);
    let settings = settings(&server.url()).with_connection_retry(SHORT);
    let transport = Transport::smtp(&settings).unwrap();
    let send_until = async |is_so: fn(ConnectionUse) -> bool| {
        let started = Instant::now();
        while !is_so(transport.connection_use().unwrap()) {
            assert!(started.elapsed() < LONG, "{:?}", transport.connection_use());
            send_many(&transport, 10).await;
        }
    };
    send_until(|it| it.refused > 0 && it.admitted == 1).await;
    server.admit(4);
    send_until(|it| it.open == 4 && it.admitted == 4).await;
}

#[tokio::test]
async fn connections_beyond_those_admitted_may_hang_instead_of_being_refused() {
    // A server with as many processes as connections leaves the next one without a greeting.
    let server = ScriptedServer::start(|said| match said.line {
        "" if said.open > 1 => Act::Hang,
        _ => Act::Usual,
    });
    let start = Instant::now();
    send_many(&transport(&server), 20).await;
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
    assert_eq!(server.accepted().len(), 20);
}

#[tokio::test]
async fn a_session_that_the_server_ended_between_two_mails_is_replaced() {
    let ends: [fn() -> Act; 4] = [
        || Act::Close,
        || Act::Bye(b"421 4.4.2 idle for too long"),
        || Act::Bye(b"452 4.5.3 too many mails in this session"),
        || Act::Bye(b"503 5.5.1 enough"),
    ];
    for end in ends {
        let server = ScriptedServer::start(move |said| {
            let is_second = said.line.starts_with("MAIL") && !said.recipient.is_empty();
            if is_second { end() } else { Act::Usual }
        });
        let transport = transport(&server);
        for number in 0..3 {
            transport.send(&to(number)).await.unwrap();
        }
        assert_eq!((server.accepted().len(), server.connections()), (3, 3));
    }
}

#[tokio::test]
async fn a_refused_mail_leaves_the_connection_to_the_next() {
    let server = ScriptedServer::start(|said| match said.line {
        "RCPT TO:<p1@example.org>" => Act::Say(b"550 5.1.1 unknown"),
        _ => Act::Usual,
    });
    let transport = transport(&server);
    transport.send(&to(0)).await.unwrap();
    transport.send(&to(1)).await.unwrap_err();
    transport.send(&to(2)).await.unwrap();
    assert_eq!(server.connections(), 1);
    assert!(server.said().contains(&"RSET".to_owned()));
    assert_eq!(server.accepted(), ["p0@example.org", "p2@example.org"]);
}

#[tokio::test]
async fn a_connection_is_replaced_after_a_hundred_mails() {
    let server = ScriptedServer::start(|_| Act::Usual);
    let transport = transport(&server);
    for number in 0..101 {
        transport.send(&to(number)).await.unwrap();
    }
    assert_eq!(server.connections(), 2);
    wait_until("the end of the first", || server.said().contains(&"QUIT".to_owned())).await;
}

#[tokio::test]
async fn a_slow_greeting_is_waited_for_and_a_slow_recipient_is_distinguished_from_it() {
    let late = ScriptedServer::start(|said| match said.line {
        "" => Act::Late(SHORT, b"220 at last"),
        _ => Act::Usual,
    });
    send(&late).await.unwrap();
    for (step, scope) in [
        ("", FailureScope::Unknown),
        ("MAIL", FailureScope::Unknown),
        ("RCPT", FailureScope::Domain),
    ] {
        let server = ScriptedServer::start(move |said| {
            let is_it =
                if step.is_empty() { said.line.is_empty() } else { said.line.starts_with(step) };
            if is_it { Act::Hang } else { Act::Usual }
        });
        let hasty = settings(&server.url()).with_timeouts(SHORT, LONG);
        let error = Transport::smtp(&hasty).unwrap().send(&mail()).await.unwrap_err();
        assert_eq!((error.class, error.scope), (FailureClass::Transient, scope), "{step}: {error}");
    }
}

#[tokio::test]
async fn an_accepted_mail_does_not_wait_for_the_end_of_its_session() {
    let server = ScriptedServer::start(|said| match said.line {
        "QUIT" => Act::Hang,
        _ => Act::Usual,
    });
    let transport = transport(&server);
    let ends = async {
        while !server.said().iter().any(|line| line == "QUIT") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::pin!(ends);
    // A session ends after a hundred mails. An attempt that is cancelled then would be repeated.
    for number in 1..=100 {
        let mail = mail();
        tokio::select! {
            biased;
            sent = transport.send(&mail) => sent.unwrap(),
            () = &mut ends => panic!("the session ended before mail {number} was recorded"),
        }
    }
    tokio::time::timeout(LONG, ends).await.unwrap();
    assert_eq!(server.accepted().len(), 100);
}
