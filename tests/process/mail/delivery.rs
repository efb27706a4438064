//! From a registration to a verified address, through real mail servers with real faults.

use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::both::on_both;
use crate::database::Database;
use crate::mailbox::Mailbox;
use crate::postgres::free_port;
use crate::scripted_smtp::{Act, ScriptedServer};
use crate::service::{Service, Setup};
use crate::smtp::{Mode, SmtpServer};
use crate::sql;
use crate::waiting::wait_until;

const USER: &str = "auth@example.com";
const PASSWORD: &str = "p@ss:w/rd #1%";
/// The first retry comes after about five seconds, the second ten later.
const RETRIES: Duration = Duration::from_secs(20);

fn a_user_registers_and_verifies_the_address(mode: Mode) {
    let Some((setup, mailbox)) = Mailbox::server(Setup::on_sqlite(), mode) else { return };
    let service = setup.start();
    let registration_token = service.api().register("mina@example.com");
    let started = Instant::now();
    let code = mailbox.code_for("mina@example.com");
    println!("mail after {:?}", started.elapsed());
    let token = service.api().verify(&registration_token, &code);
    let claims = service.api().verify_token(&token).body;
    assert_eq!(claims["email_verified"], true, "{claims}");
    let log = service.log();
    for hidden in ["mina", "p@ss", "p%40ss", &code] {
        assert!(!log.contains(hidden), "{hidden} in:\n{log}");
    }
}

#[test]
fn registration_by_mail_over_implicit_tls_with_a_log_in() {
    a_user_registers_and_verifies_the_address(Mode::IMPLICIT.login(USER, PASSWORD));
}

#[test]
fn registration_by_mail_over_starttls_with_a_log_in() {
    a_user_registers_and_verifies_the_address(Mode::STARTTLS.login(USER, PASSWORD));
}

#[test]
fn registration_by_mail_over_a_plain_local_server() {
    a_user_registers_and_verifies_the_address(Mode::PLAIN);
}

/// Takes the lease of the first claim away again, as a crash of Postgres does before the claim is on
/// disk, which the instance outlives.
const LOSE_A_CLAIM: [&str; 2] = [
    "CREATE TABLE lost (claim INTEGER); \
     CREATE TRIGGER lose AFTER UPDATE ON outbox \
     WHEN OLD.lease_token IS NULL AND NEW.lease_token IS NOT NULL \
     AND NOT EXISTS (SELECT 1 FROM lost) BEGIN \
     INSERT INTO lost VALUES (1); \
     UPDATE outbox SET lease_token = NULL, lease_until = NULL WHERE id = NEW.id; END",
    "CREATE SEQUENCE claims; \
     CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
     IF OLD.lease_token IS NULL AND NEW.lease_token IS NOT NULL AND nextval('claims') = 1 THEN \
     NEW.lease_token = NULL; NEW.lease_until = NULL; END IF; RETURN NEW; END $$; \
     CREATE TRIGGER lose BEFORE UPDATE ON outbox FOR EACH ROW EXECUTE FUNCTION lose()",
];

on_both! {
    fn a_mail_whose_claim_is_lost_is_sent_once(setup) {
        let server = ScriptedServer::start(|_| Act::Usual);
        let setup = setup.with("HALLPASS_SMTP_URL", &server.url());
        let service = setup.start();
        let [sqlite, postgres] = LOSE_A_CLAIM;
        sql::change(&setup, if setup.has("DATABASE_URL") { postgres } else { sqlite });
        service.api().register("mina@example.com");
        wait_until("the mail", || sql::count(&setup, "outbox WHERE status = 'sent'") == 1);
        assert_eq!(server.accepted(), ["mina@example.com"]);
        service.wait_for_log("expired before its conclusion", 1);
    }
}

on_both! {
    /// An account can be deleted while a mail to it is sent. Its job is erased then.
    fn a_mail_that_is_erased_while_it_is_sent_is_no_expired_lease(setup) {
        let (arrive, arrived) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let may_go_on = Mutex::new(may_go_on);
        let server = ScriptedServer::start(move |said| {
            if said.line == "." {
                arrive.send(()).unwrap();
                may_go_on.lock().unwrap().recv_timeout(RETRIES).unwrap();
            }
            Act::Usual
        });
        let setup = setup.with("HALLPASS_SMTP_URL", &server.url());
        let service = setup.start();
        service.api().register("mina@example.com");
        arrived.recv_timeout(RETRIES).unwrap();
        sql::change(&setup, "DELETE FROM outbox");
        go_on.send(()).unwrap();
        service.wait_for_log("a job was erased before its conclusion", 1);
        assert!(!service.log().contains("expired before its conclusion"), "{}", service.log());
    }
}

/// A setup for a mail server on a port without a listener.
fn with_mail_server_to_come() -> (Setup, u16) {
    let port = free_port();
    let url = format!("smtp://127.0.0.1:{port}");
    (Setup::on_sqlite().with("HALLPASS_SMTP_URL", &url), port)
}

#[test]
fn mail_goes_out_by_itself_when_the_server_comes_up_later() {
    let (setup, port) = with_mail_server_to_come();
    let service = setup.start();
    let addresses = ["one@example.com", "two@example.com", "three@example.com"];
    let tokens = addresses.map(|address| {
        let started = Instant::now();
        let token = service.api().register(address);
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "registering waits for the first retry"
        );
        token
    });
    service.wait_for_log("mail not sent", 3);
    let failed = Instant::now();
    let Some(server) = SmtpServer::start_on(port, Mode::PLAIN) else { return };
    let mailbox = Mailbox::Server(server);
    let (codes, _) = mailbox.wait_for(addresses, RETRIES);
    println!("the last mail came {:?} after the first attempts failed", failed.elapsed());
    for (address, token) in addresses.iter().zip(&tokens) {
        service.api().verify(token, &codes[*address][0]);
    }
}

#[test]
fn trying_again_takes_nothing_more_of_the_budget_of_an_address() {
    let (setup, _) = with_mail_server_to_come();
    let setup = setup.with("HALLPASS_LIMITS", "on");
    let service = setup.start();
    service.api().register("mina@example.com");
    let resend = serde_json::json!({"email": "mina@example.com"});
    assert_eq!(service.api().post("/v1/verify-email/resend", &resend).status, 202);
    // Two orders, each tried twice at least.
    service.wait_for_log("mail not sent", 4);
    let uses = "SELECT CAST(uses AS TEXT) AS line FROM limits WHERE name LIKE 'mailbox_firsts:%' \
                OR name LIKE 'mailbox_seconds:%'";
    assert_eq!(Database::at(&setup.database_url()).lines(uses), ["1", "1"]);
}

/// Waits until `text` is part of `mail list`, and returns the output.
fn wait_for_list(setup: &Setup, text: &str) -> String {
    let mut listed = String::new();
    wait_until(text, || {
        let finished = setup.run(&["mail", "list"]);
        assert!(finished.success, "{}", finished.stderr);
        listed = finished.stdout;
        listed.contains(text)
    });
    listed
}

#[test]
fn a_busy_recipient_is_tried_again_and_gets_one_mail() {
    let Some((setup, mailbox)) =
        Mailbox::server(Setup::on_sqlite(), Mode::PLAIN.fault("busy-once"))
    else {
        return;
    };
    let service = setup.start();
    service.api().register("mina@example.com");
    let failed = Instant::now();
    let listed = wait_for_list(&setup, "1 tries  next try ");
    assert!(listed.contains("450 4.2.1"), "{listed}");
    let (_, _) = mailbox.wait_for(["mina@example.com"], RETRIES);
    println!("the mail came {:?} after the 450", failed.elapsed());
    wait_for_list(&setup, "no mail waits");
    thread::sleep(Duration::from_millis(1500));
    assert_eq!(mailbox.codes()["mina@example.com"].len(), 1);
}

#[test]
fn a_refused_mail_is_kept_for_the_operator_who_can_send_it_again() {
    let (setup, port) = with_mail_server_to_come();
    let Some(refusing) = SmtpServer::start_on(port, Mode::PLAIN.fault("reject-recipient")) else {
        return;
    };
    let service = setup.start();
    let registration_token = service.api().register("mina@example.com");
    let listed = wait_for_list(&setup, "to m***@example.com  1 tries  failed");
    assert!(listed.contains("550 5.1.1"), "{listed}");
    assert!(!listed.contains("mina"), "{listed}");
    let id = listed.split_whitespace().next().unwrap().to_owned();

    drop(refusing);
    let Some(server) = SmtpServer::start_on(port, Mode::PLAIN) else { return };
    let retried = setup.run(&["mail", "retry", &id]);
    assert_eq!(retried.stdout, "1 to be sent again\n", "{}", retried.stderr);
    let code = Mailbox::Server(server).code_for("mina@example.com");
    service.api().verify(&registration_token, &code);
    assert_eq!(setup.run(&["mail", "retry"]).stdout, "no mail failed\n");
    let nothing = setup.run(&["mail", "retry", &id]);
    assert!(!nothing.success);
    assert!(nothing.stderr.contains(&id), "{}", nothing.stderr);
}

/// The lines of the log about mail that was not sent for the configuration.
fn told(service: &Service) -> usize {
    service.log().lines().filter(|line| line.contains("until the configuration is fixed")).count()
}

#[test]
fn a_fault_in_the_configuration_is_logged_once_and_shown_by_doctor() {
    let (setup, port) = with_mail_server_to_come();
    let setup = setup.with("HALLPASS_BCRYPT_COST", "10");
    let Some(refusing) = SmtpServer::start_on(port, Mode::PLAIN.fault("relay-denied")) else {
        return;
    };
    let service = setup.start();
    let addresses = ["one@example.com", "two@example.com", "three@example.com"];
    for address in addresses {
        service.api().register(address);
    }
    let listed = wait_for_list(&setup, "configuration: ");
    assert!(listed.contains("530 5.7.0"), "{listed}");
    // A second attempt at the domain fails too.
    wait_until("another attempt", || refusing.sent().matches("RCPT TO").count() > 1);
    assert_eq!(told(&service), 1, "{}", service.log());
    let report = setup.run(&["doctor"]).stdout;
    let queue = report.lines().find(|line| line.contains("mail queue")).unwrap();
    assert!(queue.starts_with("FAIL mail queue: 3 wait"), "{queue}");
    assert!(queue.contains("530 5.7.0") && queue.contains("HALLPASS_SMTP_URL"), "{queue}");

    drop(refusing);
    let Some(server) = SmtpServer::start_on(port, Mode::PLAIN) else { return };
    Mailbox::Server(server).wait_for(addresses, Duration::from_secs(60));
    assert_eq!(told(&service), 1);
    assert!(setup.run(&["doctor"]).stdout.contains("ok   mail queue: 0 wait, 0 failed"));
}

#[test]
fn mail_can_be_looked_for_and_all_that_waits_sent_at_once() {
    let (setup, port) = with_mail_server_to_come();
    let service = setup.start();
    for address in ["mina@example.com", "noa@example.com", "noa@example.org"] {
        service.api().register(address);
    }
    service.wait_for_log("mail not sent", 3);
    let listed = setup.run(&["mail", "list", "--limit", "2"]).stdout;
    assert_eq!(listed.lines().count(), 3, "{listed}");
    assert!(listed.ends_with("and 1 more: --limit 3 lists all\n"), "{listed}");
    let noa = setup.run(&["mail", "list", "--to", "NOA@example.com"]).stdout;
    assert!(noa.lines().count() == 1 && noa.contains("n***@example.com"), "{noa}");
    let nothing = setup.run(&["mail", "list", "--sent"]).stdout;
    assert!(nothing.starts_with("no mail was sent"), "{nothing}");
    let unknown = setup.run(&["mail", "list", "--to", "who@example.com"]).stdout;
    assert!(unknown.starts_with("no mail to this address"), "{unknown}");

    let Some(server) = SmtpServer::start_on(port, Mode::PLAIN) else { return };
    let retried = setup.run(&["mail", "retry", "--waiting"]);
    assert!(retried.stdout.ends_with(" to be sent again\n"), "{}", retried.stdout);
    server.wait_for(3, RETRIES);
    wait_for_list(&setup, "no mail waits");
    assert_eq!(setup.run(&["mail", "retry", "--waiting"]).stdout, "no mail waits\n");
    let later =
        "UPDATE outbox SET status = 'queued', kind = 'of_a_newer_version', next_attempt_at = 1";
    Database::at(&setup.database_url()).execute(&format!("{later} WHERE recipient LIKE 'mina%'"));
    let due = setup.run(&["mail", "retry", "--waiting"]).stdout;
    assert_eq!(due, "no mail waits for a later time; 1 due already\n");
    let undo = "UPDATE outbox SET status = 'sent', kind = 'registration' WHERE status = 'queued'";
    Database::at(&setup.database_url()).execute(undo);
    let sent = setup.run(&["mail", "list", "--sent"]).stdout;
    assert!(sent.lines().count() == 3 && sent.contains("  sent 20"), "{sent}");
    let to_noa = setup.run(&["mail", "list", "--sent", "--to", "noa@example.com"]).stdout;
    assert_eq!(to_noa.lines().count(), 1, "{to_noa}");
    assert!(!setup.run(&["mail", "retry", "--waiting", "an-id"]).success);
}
