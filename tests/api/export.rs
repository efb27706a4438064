//! Everything stored about a person, for that person.

use serde_json::{Value, json};

use crate::support::account::{CONFIRM, NEW_DEVICE, RESET};
use crate::support::{PASSWORD, SECOND, on_both};

const MINA: &str = "mina@example.com";

fn texts<'a>(list: &'a Value, field: &str) -> Vec<&'a str> {
    list.as_array()
        .expect("a list")
        .iter()
        .map(|it| it[field].as_str().unwrap_or_default())
        .collect()
}

on_both! {
    fn the_export_holds_what_was_stored_and_no_secret(world) {
        let app = world.app();
        let registration_token = app.register_with(&json!({
            "email": MINA, "password": PASSWORD, "username": "plumlover", "locale": "en-GB",
        }));
        let registration = world.proof(MINA, 1);
        let tokens = app.verify_code(&registration_token, &registration.code).is(200).tokens();
        app.as_holder("PATCH", "/v1/me", &tokens.access, &json!({"metadata": {"pet": "hedgehog"}}))
            .is(200);
        world.advance(SECOND);
        let second =
            app.log_in_on("Mozilla/5.0 (Windows NT 10.0) Firefox/143.0", MINA).is(200).tokens();
        world.mail_about(MINA, NEW_DEVICE, 1);
        app.revoke(&second.refresh).is(204);
        app.ask_reset("MINA@example.com").is(202);
        let reset = world.proof_about("MINA@example.com", RESET, 1);
        let waiting =
            app.change_email(&tokens.access, "new@example.com").is(202).text("registration_token");
        let change = world.proof_about("new@example.com", CONFIRM, 1);
        world.settle_mail();

        let answer = app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200);
        let disposition = answer.header("content-disposition").expect("a name of the file");
        assert!(disposition.starts_with("attachment"), "{disposition}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let export = answer.json();
        assert_eq!(export["profile"], app.me(&tokens.access).json());
        assert_eq!(export["account"]["username"], "plumlover");
        assert_eq!(export["account"]["is_active"], true);
        assert_eq!(texts(&export["sessions"], "id"), [tokens.session.as_str(), &second.session]);
        assert_eq!(texts(&export["sessions"], "device"), ["", "Firefox on Windows"]);
        assert_eq!(texts(&export["sessions"], "network"), ["127.0.0.0/24"; 2]);
        assert_eq!(export["sessions"][0]["amr"], json!(["otp"]));
        assert_eq!(export["sessions"][1]["amr"], json!(["pwd"]));
        assert!(export["sessions"][0]["ended_at"].is_null());
        assert_eq!(export["sessions"][1]["ended_at"], "2027-01-15T08:00:01.000000Z");
        assert_eq!(texts(&export["registrations"], "email"), [MINA, "new@example.com"]);
        assert_eq!(texts(&export["registrations"], "username"), ["plumlover", ""]);
        let mut purposes = texts(&export["one_time_tokens"], "purpose");
        purposes.sort_unstable();
        assert_eq!(purposes, ["disavow", "disavow", "reset_password"]);
        let mut kinds = texts(&export["mails"], "kind");
        kinds.sort_unstable();
        assert_eq!(
            kinds,
            [
                "email_change_requested",
                "new_device",
                "password_reset",
                "registration",
                "registration",
            ]
        );
        assert!(texts(&export["mails"], "status").iter().all(|status| *status == "sent"));

        let text = answer.shown();
        let not_me = world.link_about(MINA, NEW_DEVICE, 1);
        for secret in [
            "$bcrypt",
            "hpr_",
            "hpg_",
            "hash",
            PASSWORD,
            &tokens.refresh,
            &second.refresh,
            &waiting,
            &registration_token,
            &registration.link_token,
            &reset.link_token,
            &change.link_token,
            &not_me,
        ] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        for code in [&registration.code, &reset.code, &change.code] {
            assert!(!text.contains(&format!("\"{code}\"")), "{text}");
        }
    }

    fn it_holds_the_known_devices_and_why_sessions_ended(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        world.advance(SECOND);
        let log_in = app.log_in(MINA, PASSWORD).is(200);
        world.advance(SECOND);
        let again = json!({
            "username": MINA, "password": PASSWORD, "device_token": log_in.text("device_token"),
        });
        let last = app.post("/v1/token-auth", &again).is(200).tokens();
        app.revoke(&last.refresh).is(204);
        let export =
            app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null).is(200).json();
        let [begin, later, last] = [0, 1, 2].map(|it| format!("2027-01-15T08:00:0{it}.000000Z"));
        assert_eq!(
            export["known_devices"],
            // That of the registration, and that of the log-ins.
            json!([
                {"created_at": begin, "last_seen_at": begin},
                {"created_at": later, "last_seen_at": last},
            ])
        );
        assert_eq!(texts(&export["sessions"], "end_reason"), ["", "", "logged_out"]);
    }

    fn it_holds_nothing_of_others(world) {
        let app = world.app();
        let mina = app.person(&world, MINA);
        let grace = app.person(&world, "grace@other.example");
        app.as_holder("PATCH", "/v1/me", &grace.access, &json!({"username": "gracehopper"}))
            .is(200);
        app.log_in_on("special-client/1.0", "gracehopper").is(200);
        app.change_email(&grace.access, "grace@new.example").is(202);
        // Somebody else's wish for Mina's address is theirs, though its mail went to Mina.
        app.change_email(&grace.access, MINA).is(202);
        world.settle_mail();
        let text =
            app.as_holder("GET", "/v1/me/export", &mina.access, &Value::Null).is(200).shown();
        for other in ["grace", "special-client", &grace.session] {
            assert!(!text.contains(other), "{other} in {text}");
        }
    }

    fn only_the_holder_of_a_token_gets_it(world) {
        let app = world.app();
        let tokens = app.person(&world, MINA);
        app.get("/v1/me/export").refused(401, "authentication_required");
        app.as_holder("GET", "/v1/me/export", &tokens.refresh, &Value::Null)
            .refused(401, "token_invalid");
        app.revoke(&tokens.refresh).is(204);
        app.as_holder("GET", "/v1/me/export", &tokens.access, &Value::Null)
            .refused(401, "token_revoked");
    }
}
