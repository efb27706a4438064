//! Delivery to a mail server that is slow, full, or refuses: waits, order, and bounded repetition.

use std::time::Duration;

use serde_json::json;

use crate::scripted_smtp::{Act, Said, ScriptedServer};
use crate::support::account::RESET;
use crate::support::{HOUR, TestApp, World, on_both, wait_for};

const MINUTE: Duration = Duration::from_secs(60);
const OURS: &str = "outbox WHERE status = 'queued' AND last_error LIKE 'configuration: %'";

fn usual(_: &Said<'_>) -> Act {
    Act::Usual
}

/// Does this when a recipient of the domain is named.
fn at_recipient(said: &Said<'_>, domain: &str, act: Act) -> Act {
    let is_it = said.line.starts_with("RCPT") && said.recipient.ends_with(domain);
    if is_it { act } else { Act::Usual }
}

fn register_many(app: &TestApp, domain: &str, count: usize) {
    for number in 0..count {
        app.register(&format!("p{number}@{domain}"));
    }
}

fn accepted(server: &ScriptedServer, domain: &str) -> usize {
    server.accepted().iter().filter(|to| to.ends_with(domain)).count()
}

fn wait_for_accepted(server: &ScriptedServer, domain: &str, count: usize) {
    wait_for("mail at the server", || (accepted(server, domain) >= count).then_some(()));
}

/// Returns how many mails to the domain were offered to the server.
fn asked(server: &ScriptedServer, domain: &str) -> usize {
    let recipients = server.said().into_iter().filter(|line| line.starts_with("RCPT"));
    recipients.filter(|line| line.ends_with(&format!("{domain}>"))).count()
}

/// Waits until no instance is sending.
fn wait_for_rest(world: &World, from: &str, count: i64) {
    let leased = "outbox WHERE lease_until IS NOT NULL";
    wait_for(from, || (world.count(from) == count && world.count(leased) == 0).then_some(()));
}

on_both! {
    fn the_service_greets_by_the_host_of_its_public_url(world) {
        let server = ScriptedServer::start(usual);
        let app = world.app_over_smtp(&server.url(), &[]);
        app.register("mina@example.com");
        wait_for_accepted(&server, "example.com", 1);
        assert_eq!(server.said()[0], "EHLO auth.test");
        let named = [("HALLPASS_SMTP_EHLO_NAME", "mail.example.net")];
        let other = ScriptedServer::start(usual);
        drop(app);
        let app = world.app_over_smtp(&other.url(), &named);
        app.register("noa@example.com");
        wait_for_accepted(&other, "example.com", 1);
        assert_eq!(other.said()[0], "EHLO mail.example.net");
    }

    fn mail_waits_for_the_configuration_and_leaves_when_it_is_fixed(world) {
        for reply in [
            &b"504 5.5.2 <localhost>: Helo command rejected: need fully-qualified hostname"[..],
            b"554 5.7.1 <p0@example.com>: Relay access denied",
            b"550 5.7.1 sending quota exceeded for this account",
        ] {
            let server = ScriptedServer::start(move |said| at_recipient(said, "", Act::Say(reply)));
            let app = world.app_over_smtp(&server.url(), &[]);
            register_many(&app, "example.com", 3);
            for _ in 0..5 {
                wait_for("a refusal", || (world.count(OURS) > 0).then_some(()));
                world.advance(HOUR);
            }
            assert_eq!(world.count("outbox WHERE status = 'queued'"), 3);
            assert!(world.count("outbox WHERE status = 'queued' AND attempts > 1") == 0, "it counts for nothing");
            // An attempt that ends after the clock has moved would wait for it to move again.
            wait_for_rest(&world, "outbox WHERE status = 'queued'", 3);
            server.change(usual);
            world.advance(2 * MINUTE);
            wait_for_accepted(&server, "example.com", 3);
            wait_for_rest(&world, "outbox WHERE status = 'queued'", 0);
        }
    }

    fn mail_waits_for_the_account_at_the_provider(world) {
        for reply in [
            &b"550 5.4.5 Daily user sending limit exceeded"[..],
            b"550 5.1.90 Your message can't be sent because you've reached your daily limit",
            b"554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException",
            b"554 Message rejected: Email address is not verified.",
            b"550 5.7.1 Account suspended",
        ] {
            let server = ScriptedServer::start(move |said| match said.line {
                "." => Act::Say(reply),
                _ => Act::Usual,
            });
            let app = world.app_over_smtp(&server.url(), &[]);
            app.register("mina@example.com");
            for _ in 0..3 {
                wait_for_rest(&world, OURS, 1);
                world.advance(HOUR);
            }
            server.change(usual);
            world.advance(2 * MINUTE);
            wait_for_accepted(&server, "example.com", 1);
            wait_for_rest(&world, "outbox WHERE status = 'queued'", 0);
        }
    }

    fn a_refusal_without_a_known_cause_is_tried_again_later(world) {
        let server = ScriptedServer::start(|said| match said.line {
            "." => Act::Say(b"554 Transaction failed"),
            _ => Act::Usual,
        });
        let app = world.app_over_smtp(&server.url(), &[]);
        app.register("mina@example.com");
        wait_for_rest(&world, "outbox WHERE status = 'queued' AND last_error LIKE '%554%'", 1);
        let soon = (world.now() + 5 * 60) * 1_000_000;
        assert_eq!(world.count(&format!("outbox WHERE next_attempt_at < {soon}")), 0);
        server.change(usual);
        world.advance(HOUR);
        wait_for_accepted(&server, "example.com", 1);
    }

    fn a_reset_is_noted_with_the_address_that_it_went_to(world) {
        let app = world.app();
        app.person(&world, "mina@example.com");
        app.post("/v1/password-reset", &json!({"email": "MINA@Example.COM"})).is(202);
        let of_reset = "outbox WHERE kind = 'password_reset' AND status = 'sent'";
        wait_for_rest(&world, of_reset, 1);
        assert_eq!(world.count(&format!("{of_reset} AND recipient = 'mina@example.com'")), 1);
    }

    fn a_refusal_of_one_domain_does_not_hold_up_another(world) {
        let server = ScriptedServer::start(|said| {
            at_recipient(said, "@refused.example", Act::Say(b"550 relay not permitted"))
        });
        let app = world.app_over_smtp(&server.url(), &[]);
        register_many(&app, "refused.example", 10);
        register_many(&app, "fine.example", 10);
        wait_for_accepted(&server, "@fine.example", 10);
        let asked = server.said().iter().filter(|line| line.contains("@refused")).count();
        assert!(asked < 10, "{asked} mails were tried though the first were refused");
        wait_for_rest(&world, "outbox WHERE status = 'queued'", 10);
    }

    fn a_domain_that_hangs_does_not_delay_another(world) {
        let server = ScriptedServer::start(|said| at_recipient(said, "@slow.example", Act::Hang));
        let app = world.app_over_smtp(&server.url(), &[]);
        register_many(&app, "slow.example", 30);
        register_many(&app, "fine.example", 10);
        // A hanging recipient holds a connection for 90 seconds.
        wait_for_accepted(&server, "@fine.example", 10);
        assert_eq!(accepted(&server, "@slow.example"), 0);
        assert!(server.most_open() <= 4, "{}", server.most_open());
    }

    fn a_domain_that_hangs_leaves_one_of_two_connections_that_the_server_admits(world) {
        one_connection_is_left_by_a_domain_that_hangs(&world, 2);
    }

    fn a_domain_that_hangs_leaves_one_of_three_connections_that_the_server_admits(world) {
        one_connection_is_left_by_a_domain_that_hangs(&world, 3);
    }

    fn a_domain_that_timed_out_is_asked_again_by_one_mail_and_then_by_all(world) {
        let server = ScriptedServer::start(|said| at_recipient(said, "", Act::Hang));
        let app = world.app_over_smtp(&server.url(), &[("HALLPASS_SMTP_TIMEOUT", "1s")]);
        register_many(&app, "example.com", 6);
        wait_for_rest(&world, "outbox WHERE last_error LIKE '%in time'", 1);
        server.change(usual);
        world.advance(MINUTE);
        wait_for_accepted(&server, "example.com", 6);
    }

    fn a_mail_that_may_have_been_accepted_is_sent_again_late_and_not_for_ever(world) {
        let server = ScriptedServer::start(|said| match said.line {
            "." => Act::AcceptAndClose,
            _ => Act::Usual,
        });
        let app = world.app_over_smtp(&server.url(), &[]);
        app.register("mina@example.com");
        for copies in 1..=3 {
            wait_for_rest(&world, &format!("outbox WHERE unconfirmed = {copies}"), 1);
            let soon = (world.now() + 10 * 60) * 1_000_000;
            assert_eq!(world.count(&format!("outbox WHERE next_attempt_at < {soon}")), 0);
            assert_eq!(accepted(&server, "example.com"), copies);
            world.advance(2 * HOUR);
        }
        wait_for_rest(&world, "outbox WHERE status = 'dead'", 1);
        assert_eq!(accepted(&server, "example.com"), 4);
    }

    fn a_server_that_is_full_is_asked_again_and_no_mail_is_given_up(world) {
        let server = ScriptedServer::start(|said| match said.line {
            "" => Act::Bye(b"421 4.7.0 too many connections"),
            _ => Act::Usual,
        });
        let app = world.app_over_smtp(&server.url(), &[]);
        register_many(&app, "example.com", 5);
        for _ in 0..5 {
            wait_for("a refusal", || {
                (world.count("outbox WHERE last_error LIKE '%421%'") > 0).then_some(())
            });
            world.advance(HOUR);
        }
        assert_eq!(world.count("outbox WHERE attempts > 1"), 0, "it counts for nothing");
        server.change(usual);
        world.advance(2 * MINUTE);
        wait_for_accepted(&server, "example.com", 5);
    }

    fn a_server_that_admits_three_connections_gets_sixty_mails_without_a_failure(world) {
        let server = ScriptedServer::start(|said| match said.line {
            "" if said.open > 3 => Act::Bye(b"421 4.7.0 too many connections"),
            "." => Act::Late(Duration::from_millis(50), b"250"),
            _ => Act::Usual,
        });
        let app = world.app_over_smtp(&server.url(), &[("HALLPASS_SMTP_CONNECTIONS", "8")]);
        register_many(&app, "example.com", 60);
        wait_for_accepted(&server, "example.com", 60);
        assert!(server.connections() < 10, "{}", server.connections());
        assert_eq!(world.count("outbox WHERE last_error IS NOT NULL"), 0);
    }

    fn many_mails_go_over_few_connections_that_are_closed_afterwards(world) {
        let server = ScriptedServer::start(usual);
        let app = world.app_over_smtp(&server.url(), &[("HALLPASS_SMTP_CONNECTIONS", "2")]);
        register_many(&app, "example.com", 20);
        register_many(&app, "example.net", 20);
        wait_for_accepted(&server, "", 40);
        assert!(server.most_open() <= 2, "{}", server.most_open());
        drop(app);
        wait_for("the connections to be closed", || (server.open() == 0).then_some(()));
    }

    fn a_new_reset_goes_before_thousands_of_mails_that_waited(world) {
        let app = world.app();
        app.person(&world, "mina@example.com");
        let due = (world.now() + 3_600) * 1_000_000;
        world.execute(&format!(
            "INSERT INTO outbox (id, kind, recipient, locale, subject_id, status, attempts, \
             next_attempt_at, created_at) WITH RECURSIVE n(i) AS \
             (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT 'm' || i, \
             'registration', 'p' || i || '@example.com', 'en', 'r' || i, 'queued', 0, {due}, 1 FROM n"
        ));
        world.advance(HOUR);
        let waiting = "outbox WHERE status = 'queued' AND kind = 'registration'";
        wait_for("the first of them", || (world.count(waiting) < 5_000).then_some(()));
        app.post("/v1/password-reset", &json!({"email": "mina@example.com"})).is(202);
        world.mail_about("mina@example.com", RESET, 1);
        let left = world.count(waiting);
        assert!(left > 2_500, "{left} of 5000 are left");
    }
}

/// A domain that hangs has all connections that the server admits but one.
fn one_connection_is_left_by_a_domain_that_hangs(world: &World, admitted: usize) {
    let server = ScriptedServer::start(usual);
    server.admit(admitted);
    let app = world.app_over_smtp(&server.url(), &[]);
    app.register("first@slow.example");
    wait_for_accepted(&server, "slow.example", 1);
    server.change(|said| at_recipient(said, "slow.example", Act::Hang));
    register_many(&app, "slow.example", 30);
    register_many(&app, "fine.example", 10);
    wait_for_accepted(&server, "fine.example", 10);
    // The time-out of a hanging recipient, 90 seconds, is not over.
    assert_eq!(accepted(&server, "slow.example"), 1);
    let hanging = || asked(&server, "slow.example") - 1;
    wait_for("its share", || (hanging() == admitted - 1).then_some(()));
    wait_for("a refusal", || (server.refused() > 0).then_some(()));
    wait_for("the metric", || {
        let told = app.metric("hallpass_smtp_connections_refused_total");
        (told.to_string() == server.refused().to_string()).then_some(())
    });
    assert_eq!(hanging(), admitted - 1);
}
