//! Two instances on one Postgres.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::mailbox::Mailbox;
use crate::service::Setup;
use crate::smtp::Mode;

const REGISTRATIONS: usize = 100;
const LOG_OUTS: usize = 20;
/// The promised second, and what a busy machine takes besides.
const BUSY: Duration = Duration::from_millis(2_500);

#[test]
fn two_instances_send_each_mail_once() {
    let Some(setup) = Setup::on_postgres() else { return };
    let Some((setup, mailbox)) = Mailbox::server(setup, Mode::PLAIN) else { return };
    // Started together, on an empty database: both want to make tables and keys.
    let (one, other) = thread::scope(|scope| {
        let one = scope.spawn(|| setup.start());
        let other = scope.spawn(|| setup.start());
        (one.join().unwrap(), other.join().unwrap())
    });
    let addresses: Vec<String> =
        (0..REGISTRATIONS).map(|number| format!("person-{number}@example.com")).collect();
    let tokens: Vec<String> = thread::scope(|scope| {
        let halves: Vec<_> = addresses
            .chunks(REGISTRATIONS / 4)
            .zip([one.api(), other.api(), one.api(), other.api()])
            .map(|(part, api)| {
                scope.spawn(move || {
                    part.iter().map(|address| api.register(address)).collect::<Vec<_>>()
                })
            })
            .collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    });
    let (_, took) = mailbox.wait_for(addresses.iter().map(String::as_str), Duration::from_secs(20));
    let sent = [&one, &other].map(|service| service.log().matches("mail sent").count());
    println!("the last mail came {took:?} after the last registration; sent by each: {sent:?}");
    // Long enough for a lost lease or a second look at the queue to show.
    thread::sleep(Duration::from_secs(2));
    let codes = mailbox.codes();
    assert_eq!(codes.len(), REGISTRATIONS);
    for (address, codes) in &codes {
        assert_eq!(codes.len(), 1, "{address} got {} mails", codes.len());
    }
    // What one instance registered, the other verifies, and the first believes the token.
    let token = other.api().verify(&tokens[0], &codes[&addresses[0]][0]);
    assert_eq!(one.api().verify_token(&token).status, 200);
}

#[test]
fn a_log_out_is_seen_by_the_other_instance_within_a_second() {
    let Some(setup) = Setup::with_tables_on_postgres() else { return };
    let admin = ["create-superuser", "--username", "admin", "--password", "plum tree at dusk"];
    assert!(setup.run(&admin).success);
    let services = [setup.start(), setup.start()];
    let [one, other] = [services[0].api(), services[1].api()];
    let mut waits: Vec<Duration> = (0..LOG_OUTS)
        .map(|_| {
            let tokens = one.log_in("admin", "plum tree at dusk");
            let access = tokens.text("access_token");
            assert_eq!(other.verify_token(&access).status, 200);
            let body = json!({"refresh_token": tokens.text("refresh_token")});
            assert_eq!(one.post("/v1/token-revoke", &body).status, 204);
            let ended = Instant::now();
            while other.verify_token(&access).status == 200 {
                assert!(ended.elapsed() < BUSY, "{:?}", ended.elapsed());
                thread::sleep(Duration::from_millis(10));
            }
            ended.elapsed()
        })
        .collect();
    waits.sort();
    println!("a log-out was seen elsewhere after {waits:?}");
    assert!(waits[LOG_OUTS / 2] < Duration::from_secs(1), "{waits:?}");
}
