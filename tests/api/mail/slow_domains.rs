//! Recipient domains that hang, on all connections to the mail server: mail to other domains is
//! sent soon, and no mail is lost or sent twice.

use std::time::Duration;

use serde_json::json;

use crate::scripted_smtp::{Act, Said, ScriptedServer};
use crate::support::{TestApp, World, on_both, wait_for};

const MINUTE: Duration = Duration::from_secs(60);

/// Hangs at this command for recipients at `hangs…example`.
fn hangs_at(command: &'static str) -> impl Fn(&Said<'_>) -> Act + Send + Sync {
    move |said| {
        let is_it = said.line.starts_with(command) && said.recipient.contains("@hangs");
        if is_it { Act::Hang } else { Act::Usual }
    }
}

fn app(world: &World, server: &ScriptedServer, connections: usize) -> TestApp {
    world.app_over_smtp(&server.url(), &[("HALLPASS_SMTP_CONNECTIONS", &connections.to_string())])
}

/// Registers several users at each of these domains, and some at another one.
fn register(app: &TestApp, domains: usize) {
    for domain in 0..domains {
        for number in 0..3 {
            app.register(&format!("p{number}@hangs{domain}.example"));
        }
    }
    for number in 0..5 {
        app.register(&format!("p{number}@fine.example"));
    }
}

fn accepted(server: &ScriptedServer, domain: &str) -> usize {
    server.accepted().iter().filter(|to| to.contains(domain)).count()
}

/// Waits for mail to the other domain, for far less than the time-out of a command (90 seconds).
fn wait_for_fine(server: &ScriptedServer) {
    wait_for("mail to the other domain", || (accepted(server, "@fine") == 5).then_some(()));
}

/// Waits until no mail is being sent. The clock must not move before: leases would expire.
fn wait_for_rest(world: &World) {
    let leased = "outbox WHERE lease_until IS NOT NULL";
    wait_for("rest", || (world.count(leased) == 0).then_some(()));
}

/// Waits until the server has accepted so many mails, beyond the pauses of slow domains.
fn wait_for_all(world: &World, server: &ScriptedServer, count: usize) {
    wait_for("all mail", || {
        wait_for_rest(world);
        if server.accepted().len() < count {
            world.advance(MINUTE);
            return None;
        }
        Some(())
    });
}

/// Lets the server answer to another instance, and waits until each mail has arrived exactly once.
fn each_arrives_once(world: &World, server: &ScriptedServer, app_before: TestApp, count: usize) {
    drop(app_before);
    server.change(|_| Act::Usual);
    let _app = app(world, server, 2);
    wait_for_all(world, server, count);
    assert_eq!(world.count("outbox WHERE status = 'queued'"), 0);
    let mut accepted = server.accepted();
    accepted.sort();
    accepted.dedup();
    assert_eq!((accepted.len(), server.accepted().len()), (count, count));
}

/// Mail to `domains` that hang at `command` comes before mail to another one.
fn others_are_sent(world: &World, connections: usize, domains: usize, command: &'static str) {
    let server = ScriptedServer::start(hangs_at(command));
    let app = app(world, &server, connections);
    register(&app, domains);
    wait_for_fine(&server);
    assert!(server.most_open() <= connections + 1, "one is closing: {}", server.most_open());
    assert_eq!(accepted(&server, "@hangs"), 0);
    each_arrives_once(world, &server, app, 3 * domains + 5);
}

on_both! {
    fn two_domains_that_hang_at_the_recipient_do_not_hold_the_only_connection(world) {
        others_are_sent(&world, 1, 2, "RCPT");
    }

    fn five_domains_that_hang_at_data_do_not_hold_the_only_connection(world) {
        others_are_sent(&world, 1, 5, "DATA");
    }

    fn five_domains_that_hang_at_the_recipient_do_not_hold_two_connections(world) {
        others_are_sent(&world, 2, 5, "RCPT");
    }

    fn two_domains_that_hang_at_data_do_not_hold_four_connections(world) {
        others_are_sent(&world, 4, 2, "DATA");
    }

    fn five_domains_that_hang_at_the_recipient_do_not_hold_four_connections(world) {
        others_are_sent(&world, 4, 5, "RCPT");
    }

    fn domains_that_hang_do_not_hold_the_only_connection_that_the_server_admits(world) {
        let server = ScriptedServer::start(hangs_at("RCPT"));
        server.admit(1);
        let app = app(&world, &server, 4);
        register(&app, 3);
        wait_for_fine(&server);
    }

    fn a_domain_that_is_known_to_hang_gives_way_again(world) {
        let server = ScriptedServer::start(hangs_at("RCPT"));
        let app = app(&world, &server, 1);
        let asked = || server.said().iter().filter(|line| line.contains("@hangs")).count();
        register(&app, 1);
        wait_for_fine(&server);
        for round in 1..4 {
            wait_for_rest(&world);
            let before = asked();
            // The longest pause.
            world.advance(5 * MINUTE);
            wait_for("another attempt", || (asked() > before).then_some(()));
            app.register(&format!("q{round}@fine.example"));
            let count = 5 + round;
            wait_for("fine mail", || (accepted(&server, "@fine") == count).then_some(()));
        }
        wait_for_rest(&world);
        let deferred = "outbox WHERE status = 'queued' AND attempts > 0 AND last_error LIKE '%waited'";
        assert!(world.count(deferred) > 0);
        each_arrives_once(&world, &server, app, 3 + 5 + 3);
    }

    fn two_domains_that_hang_after_the_message_leave_connections_to_others(world) {
        let server = ScriptedServer::start(hangs_at("."));
        let app = app(&world, &server, 4);
        register(&app, 2);
        wait_for_fine(&server);
        let ended = server.said().iter().filter(|line| *line == ".").count();
        assert_eq!(ended, 5 + 2, "one mail of each waits for its reply, and is not sent again");
        assert_eq!(world.count("outbox WHERE attempts > 0 AND status = 'queued'"), 0);
    }

    fn a_server_that_is_slow_for_every_recipient_gets_all_mail_sent(world) {
        let server = ScriptedServer::start(|said| match said.line {
            line if line.starts_with("RCPT") => Act::Late(Duration::from_millis(2_500), b"250"),
            _ => Act::Usual,
        });
        let app = app(&world, &server, 1);
        for number in 0..4 {
            app.register(&format!("mina@d{number}.example"));
        }
        wait_for_all(&world, &server, 4);
    }

    fn a_domain_that_needs_more_time_gets_it_beside_mail_to_others(world) {
        let server = ScriptedServer::start(|said| match said.line {
            line if line.starts_with("RCPT") && line.contains("@slow") => {
                Act::Late(Duration::from_secs(3), b"250")
            }
            _ => Act::Usual,
        });
        let app = app(&world, &server, 1);
        let asked = || server.said().iter().filter(|line| line.contains("@slow")).count();
        app.register("mina@slow.example");
        // The first attempt is cut off after two seconds; the second one has four.
        for attempt in 1..=2 {
            wait_for("an attempt", || (asked() == attempt).then_some(()));
            app.register(&format!("p{attempt}@fine.example"));
            wait_for("fine mail", || (accepted(&server, "@fine") == attempt).then_some(()));
            wait_for_rest(&world);
            // The longest pause.
            world.advance(5 * MINUTE);
        }
        assert_eq!((accepted(&server, "@slow"), asked()), (1, 2));
    }

    fn a_new_reset_is_sent_soon_while_thousands_of_mails_wait_for_domains_that_hang(world) {
        let before = world.app();
        before.person(&world, "mina@fine.example");
        drop(before);
        let server = ScriptedServer::start(hangs_at("RCPT"));
        let app = app(&world, &server, 1);
        for domain in 0..5 {
            app.register(&format!("p@hangs{domain}.example"));
        }
        world.execute(
            "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT 'm' || i || id, kind, \
             recipient, locale, subject_id, 'queued', 0, created_at + 1, created_at \
             FROM outbox, n WHERE status = 'queued'",
        );
        for round in 1..4 {
            world.advance(MINUTE);
            app.post("/v1/password-reset", &json!({"email": "mina@fine.example"})).is(202);
            // Within a minute: behind all that wait, it would be hours.
            wait_for("the reset", || (accepted(&server, "@fine") == round).then_some(()));
        }
        assert!(world.count("outbox WHERE status = 'queued'") >= 5_000);
    }
}
