//! SIGTERM: what is under way is finished, and the end comes in time.

use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::letters::Mailbox;
use crate::service::Setup;
use crate::smtp::Mode;

#[test]
fn requests_in_progress_are_answered_before_the_end() {
    // More hashes than threads, each slow, so that some are under way when the signal comes.
    let setup = Setup::on_sqlite().with("HALLPASS_BCRYPT_COST", "11");
    let service = setup.start();
    let (api, address) = (service.api(), service.address());
    thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|number| {
                let api = &api;
                scope.spawn(move || api.try_register(&format!("person-{number}@example.com")))
            })
            .collect();
        thread::sleep(Duration::from_millis(250));
        let unanswered = clients.iter().filter(|client| !client.is_finished()).count();
        assert!(unanswered > 0, "the signal came too late");
        service.terminate();
        let (status, took) = service.wait(Duration::from_secs(12));
        assert!(status.success(), "{status}");
        println!("{unanswered} in progress, ended {took:?} after SIGTERM");
        for client in clients {
            let answer = client.join().unwrap().expect("an answer");
            assert_eq!(answer.status, 202, "{answer:?}");
        }
    });
    assert!(TcpStream::connect(address).is_err(), "somebody still listens");
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
