//! Mail through Postfix: what it refuses, defers and limits, and how it ends connections.

use std::thread;
use std::time::Duration;

use crate::both::on_both;
use crate::mailbox::Mailbox;
use crate::postfix::Postfix;
use crate::service::Setup;
use crate::waiting::wait_until;

/// The first retry comes after about five seconds, the second ten later.
const RETRIES: Duration = Duration::from_secs(40);
const MINA: &str = "mina@example.com";

fn before(server: &Postfix, setup: Setup) -> (Setup, Mailbox) {
    let url = format!("smtp://127.0.0.1:{}", server.port());
    (setup.with("HALLPASS_SMTP_URL", &url), Mailbox::Folder(server.delivered()))
}

fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("person-{number}@example.com")).collect()
}

/// Waits for exactly one mail to each address.
fn assert_one_mail_each(mailbox: &Mailbox, setup: &Setup, addresses: &[String]) {
    let (_, took) = mailbox.wait_for(addresses.iter().map(String::as_str), RETRIES);
    println!("{} mails after {took:?}", addresses.len());
    wait_for_list(setup, "no mail waits");
    let codes = mailbox.codes();
    let twice: Vec<_> = codes.iter().filter(|(_, codes)| codes.len() != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

fn wait_for_list(setup: &Setup, text: &str) {
    wait_until(text, || setup.run(&["mail", "list"]).stdout.contains(text));
}

#[test]
fn registration_by_mail_over_starttls() {
    let Some(server) = Postfix::start(&[("smtpd_tls_security_level", "encrypt")]) else { return };
    let url =
        format!("smtp://localhost:{}?tls=required&ca={}", server.port(), server.ca().display());
    let service = Setup::on_sqlite().with("HALLPASS_SMTP_URL", &url).start();
    let mailbox = Mailbox::Folder(server.delivered());
    let token = mailbox.new_account(&service.api(), MINA);
    assert_eq!(service.api().verify_token(&token).body["email_verified"], true);
}

on_both! {
    fn a_server_that_limits_connections_gets_every_mail_once(setup) {
        let Some(server) = Postfix::start(&[("smtpd_client_connection_count_limit", "2")]) else { return };
        let (setup, mailbox) = before(&server, setup);
        let service = setup.start();
        let addresses = addresses(60);
        // At once, so that more than two mails are sent at a time.
        thread::scope(|scope| {
            for some in addresses.chunks(6) {
                let api = service.api();
                scope.spawn(move || some.iter().for_each(|address| drop(api.register(address))));
            }
        });
        assert_one_mail_each(&mailbox, &setup, &addresses);
        assert!(server.log().contains("oncurrency limit exceeded"), "the limit was not reached");
    }

    fn a_restart_of_the_server_loses_and_repeats_no_mail(setup) {
        let Some(mut server) = Postfix::start(&[]) else { return };
        let (setup, mailbox) = before(&server, setup);
        let service = setup.start();
        let addresses = addresses(60);
        for (number, address) in addresses.iter().enumerate() {
            service.api().register(address);
            if number == 30 {
                server.stop();
                server.start_again();
            }
        }
        assert_one_mail_each(&mailbox, &setup, &addresses);
    }
}

#[test]
fn a_server_that_limits_the_rate_gets_every_mail_once() {
    let Some(server) = Postfix::start(&[("smtpd_client_message_rate_limit", "10")]) else { return };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let service = setup.start();
    let addresses = addresses(30);
    for address in &addresses {
        service.api().register(address);
    }
    assert_one_mail_each(&mailbox, &setup, &addresses);
}

#[test]
fn a_connection_that_the_server_has_closed_costs_no_retry() {
    let Some(server) = Postfix::start(&[("smtpd_timeout", "1s")]) else { return };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let service = setup.start();
    service.api().register("first@example.com");
    mailbox.code_for("first@example.com");
    wait_until("Postfix closes the connection", || server.log().contains("timeout after"));
    service.api().register("second@example.com");
    mailbox.code_for("second@example.com");
    assert!(!service.log().contains("mail not sent"), "{}", service.log());
}

#[test]
fn an_unknown_recipient_is_given_up_and_others_are_not() {
    let known = ("virtual_mailbox_maps", "inline:{mina@example.com=all/}");
    let Some(server) = Postfix::start(&[known]) else { return };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let service = setup.start();
    service.api().register("unknown@example.com");
    wait_for_list(&setup, "1 tries  failed");
    assert!(setup.run(&["mail", "list"]).stdout.contains("550 5.1.1"));
    service.api().register(MINA);
    mailbox.code_for(MINA);
}

#[test]
fn a_greylisted_mail_is_sent_again() {
    let later = "check_recipient_access inline:{ {mina@example.com = 450 4.2.0 Greylisted} }";
    let Some(mut server) = Postfix::start(&[("smtpd_recipient_restrictions", later)]) else {
        return;
    };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let service = setup.start();
    service.api().register(MINA);
    wait_for_list(&setup, "450 4.2.0");
    server.set("smtpd_recipient_restrictions", "");
    server.reload();
    assert_one_mail_each(&mailbox, &setup, &[MINA.to_owned()]);
}

/// A refusal that concerns the configuration keeps the mail, which is sent once that is mended.
fn a_refusal_is_mended(wrong: &[(&str, &str)], reply: &str, mend: impl FnOnce(&mut Postfix)) {
    let Some(mut server) = Postfix::start(wrong) else { return };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let service = setup.start();
    service.api().register(MINA);
    wait_for_list(&setup, reply);
    let listed = setup.run(&["mail", "list"]).stdout;
    assert!(!listed.contains("  failed"), "{listed}");
    mend(&mut server);
    server.reload();
    assert_one_mail_each(&mailbox, &setup, &[MINA.to_owned()]);
}

#[test]
fn a_mail_that_the_server_does_not_relay_waits_for_its_configuration() {
    let wrong = [("virtual_mailbox_domains", "example.org")];
    a_refusal_is_mended(&wrong, "554 5.7.1", |server| {
        server.set("virtual_mailbox_domains", "example.com");
    });
}

#[test]
fn a_mail_from_a_refused_sender_waits_for_the_configuration() {
    let wrong = [("smtpd_sender_restrictions", "inline:{localhost=REJECT},reject")];
    a_refusal_is_mended(&wrong, "554 5.7.1", |server| server.set("smtpd_sender_restrictions", ""));
}

#[test]
fn a_refused_name_in_ehlo_waits_for_the_setting() {
    let strict = [
        ("smtpd_helo_required", "yes"),
        ("smtpd_helo_restrictions", "reject_non_fqdn_helo_hostname"),
    ];
    let Some(server) = Postfix::start(&strict) else { return };
    let (setup, mailbox) = before(&server, Setup::on_sqlite());
    let setup = setup.with("HALLPASS_SMTP_EHLO_NAME", "localhost");
    let service = setup.start();
    service.api().register(MINA);
    wait_for_list(&setup, "504 5.5.2");
    let doctor = setup.run(&["doctor"]);
    assert!(!doctor.success && doctor.stdout.contains("504 5.5.2"), "{}", doctor.stdout);
    service.stop();
    let setup = setup.with("HALLPASS_SMTP_EHLO_NAME", "auth.example.com");
    let _service = setup.start();
    assert_one_mail_each(&mailbox, &setup, &[MINA.to_owned()]);
}
