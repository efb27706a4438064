//! The bound of access tokens: no change of an account exceeds it, and a log-in or a refresh whose
//! token would exceed it changes nothing.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::support::account::CONFIRM;
use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";
const ROOT: &str = "root@example.com";

/// The longest user name: 150 letters of three bytes.
fn longest_name() -> String {
    "\u{ac00}".repeat(150)
}

/// The longest e-mail address, of 254 bytes.
fn longest_address() -> String {
    let domain = format!("{0}.{0}.{1}.example", "b".repeat(63), "c".repeat(52));
    format!("{}@{domain}", "a".repeat(64))
}

fn role(number: usize) -> String {
    format!("{number:02}{}", "x".repeat(58))
}

fn roles(count: usize) -> Vec<String> {
    (0..count).map(role).collect()
}

fn give_roles(app: &TestApp, by: &Tokens, to: &Tokens, roles: &[String]) -> Answer {
    let path = format!("/v1/users/{}", to.user_id());
    app.ask_as(&by.access, "PATCH", &path, &json!({"roles": roles}))
}

/// Stores roles that this version does not permit, as an earlier one did.
fn store_roles(world: &World, user: &Tokens, roles: &[String]) {
    let (id, roles) = (user.user_id(), roles.join(" "));
    world.execute(&format!("UPDATE users SET roles = '{roles}' WHERE id = {id}"));
}

fn rename(app: &TestApp, tokens: &Tokens, name: &str) -> Answer {
    app.ask_as(&tokens.access, "PATCH", "/v1/me", &json!({"username": name}))
}

/// Changes the account at the Django REST adapter.
fn change_at_adapter(app: &TestApp, user: &Tokens, body: &Value) -> Answer {
    let basic = format!("Basic {}", BASE64_STANDARD.encode(format!("{MINA}:{PASSWORD}")));
    let headers = [("authorization", basic.as_str()), ("content-type", "application/json")];
    let path = format!("/users/{}/", user.user_id());
    app.send_undocumented("PATCH", &path, &headers, body.to_string())
}

fn is_too_large(answer: Answer, field: &str) {
    assert_eq!(answer.faults(), [(field.to_owned(), "token_too_large".to_owned())]);
}

on_both! {
    fn the_longest_name_and_address_fit_beside_all_roles_that_staff_may_set(world) {
        let app = world.app_with(&[("HALLPASS_JWT_ALGORITHM", "RS256")]);
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let mut most = roles(9);
        loop {
            let more = roles(most.len() + 1);
            let answer = give_roles(&app, &root, &mina, &more);
            if answer.status != 200 {
                is_too_large(answer, "roles");
                break;
            }
            most = more;
        }
        // The last one, as long as it may be.
        most.push(String::new());
        while most.last().unwrap().len() < 60 {
            most.last_mut().unwrap().push('z');
            if give_roles(&app, &root, &mina, &most).status != 200 {
                most.last_mut().unwrap().pop();
                break;
            }
        }
        let mina = app.log_in(MINA, PASSWORD).is(200).tokens();
        rename(&app, &mina, &longest_name()).is(200);
        let mina = app.refresh(&mina.refresh).is(200).tokens();
        let address = longest_address();
        let waiting = app.change_email(&mina.access, &address).is(202).text("registration_token");
        let code = world.proof_about(&address, CONFIRM, 1).code;
        app.verify_code(&waiting, &code).is(200);
        app.log_in(&address, PASSWORD).is(200);
        let next = app.refresh(&mina.refresh).is(200).tokens();
        let claims = next.claims();
        assert_eq!((&claims["email"], &claims["username"]), (&json!(address), &json!(longest_name())));
        assert!((3900..=4096).contains(&next.access.len()), "{}", next.access.len());
        app.me(&next.access).is(200);
    }

    fn roles_that_an_earlier_version_permitted_leave_less_room_for_names(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        store_roles(&world, &mina, &roles(16));
        let mina = app.refresh(&mina.refresh).is(200).tokens();
        is_too_large(rename(&app, &mina, &longest_name()), "username");
        is_too_large(app.change_email(&mina.access, &longest_address()), "new_email");
        for field in ["username", "email"] {
            let value = if field == "email" { longest_address() } else { longest_name() };
            let answer = change_at_adapter(&app, &mina, &json!({field: value}));
            let text = "Access tokens of the account would be longer than 4096 bytes.";
            assert_eq!(answer.is(400).json(), json!({field: [text]}));
        }
        assert_eq!(app.me(&mina.access).json()["email"], MINA);
        // What fits is permitted, and staff may shorten the roles step by step.
        rename(&app, &mina, "mina").is(200);
        is_too_large(give_roles(&app, &root, &mina, &roles(17)), "roles");
        give_roles(&app, &root, &mina, &roles(15)).is(200);
        let next = app.refresh(&mina.refresh).is(200).tokens();
        assert_eq!(next.claims()["roles"].as_array().unwrap().len(), 15);
    }

    fn a_refused_log_in_or_refresh_changes_nothing(world) {
        let app = world.app();
        let (root, mina) = (app.superuser(&world, ROOT), app.person(&world, MINA));
        let verification = app.change_email(&mina.access, "mina@new.example").is(202);
        let code = world.proof_about("mina@new.example", CONFIRM, 1).code;
        store_roles(&world, &mina, &roles(30));
        world.settle_mail();
        let state = || {
            ["sessions", "refresh_tokens WHERE used_at IS NULL", "events", "outbox", "known_devices"]
                .map(|table| world.count(table))
        };
        let before = state();
        for _ in 0..3 {
            app.log_in(MINA, PASSWORD).refused(409, "token_too_large");
            app.refresh(&mina.refresh).refused(409, "token_too_large");
        }
        app.verify_code(&verification.text("registration_token"), &code)
            .refused(409, "token_too_large");
        assert_eq!(state(), before);
        assert_eq!(app.me(&mina.access).is(200).json()["email"], MINA);
        give_roles(&app, &root, &mina, &roles(2)).is(200);
        app.refresh(&mina.refresh).is(200);
        app.verify_code(&verification.text("registration_token"), &code).is(200);
        // A repetition, which would continue the session.
        store_roles(&world, &mina, &roles(30));
        world.advance(SECOND * 60);
        let used = || world.count("sessions WHERE last_seen_at > created_at");
        let before = used();
        app.verify_code(&verification.text("registration_token"), &code)
            .refused(409, "token_too_large");
        assert_eq!(used(), before);
    }
}
