//! A mail server that accepts connections and never replies.

use std::time::Duration;

use crate::both::on_both;
use crate::mailbox::Mailbox;
use crate::postgres::free_port;
use crate::smtp::{Mode, SmtpServer};

on_both! {
    fn no_request_waits_for_a_silent_mail_server_and_the_mail_is_sent_later(setup) {
        let port = free_port();
        let setup = setup
            .with("HALLPASS_SMTP_URL", &format!("smtp://127.0.0.1:{port}"))
            // A connection to the database that was held during the mail server's time-out would be
            // missing for all requests.
            .with("HALLPASS_DATABASE_POOL", "1");
        let Some(silent) = SmtpServer::start_on(port, Mode::PLAIN.fault("silent")) else { return };
        let service = setup.start();
        let api = service.api();
        // More than are sent at once.
        let addresses: Vec<String> =
            (0..24).map(|number| format!("person-{number}@example.com")).collect();
        let mut tokens = Vec::new();
        for address in &addresses {
            let answer = api.try_register(address).unwrap();
            assert_eq!(answer.status, 202, "{answer:?}");
            assert!(answer.took < Duration::from_secs(2), "it took {:?}", answer.took);
            tokens.push(answer.text("registration_token"));
        }
        assert_eq!(api.get("/readyz").status, 200);
        drop(silent);
        let Some(server) = SmtpServer::start_on(port, Mode::PLAIN) else { return };
        let mailbox = Mailbox::Server(server);
        let all = addresses.iter().map(String::as_str);
        let (codes, took) = mailbox.wait_for(all, Duration::from_secs(60));
        println!("the last of {} mails came {took:?} after the server was mended", addresses.len());
        for (address, token) in addresses.iter().zip(&tokens) {
            api.verify(token, &codes[address][0]);
        }
    }
}
