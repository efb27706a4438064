//! Tokens of the Django face end with the sessions of their person, though they are in no table.

use serde_json::{Value, json};

use crate::support::account::RESET;
use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";
const NEW: &str = "pear tree at dawn";

fn post(app: &TestApp, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    app.send_undocumented("POST", path, &headers, body.to_string())
}

fn log_in(app: &TestApp, name: &str, password: &str) -> String {
    post(app, "/api-token-auth/", &json!({"username": name, "password": password}))
        .is(200)
        .text("token")
}

fn restricted(app: &TestApp, token: &str) -> Answer {
    let authorization = format!("JWT {token}");
    app.send_undocumented("GET", "/restricted/", &[("authorization", &authorization)], "")
}

fn is_taken(app: &TestApp, token: &str) {
    restricted(app, token).is(200);
    for path in ["/api-token-verify/", "/api-token-refresh/"] {
        post(app, path, &json!({"token": token})).is(200);
    }
}

fn has_expired(app: &TestApp, token: &str) {
    let text = "Signature has expired.";
    assert_eq!(restricted(app, token).is(401).json(), json!({"detail": text}));
    for path in ["/api-token-verify/", "/api-token-refresh/"] {
        let refused = post(app, path, &json!({"token": token})).is(400);
        assert_eq!(refused.json(), json!({"non_field_errors": [text]}));
    }
}

/// A new token, and what it was after `end`; a log-in right after it gives one that counts.
fn ends_tokens(world: &World, app: &TestApp, password: &str, end: impl FnOnce(&World, &TestApp)) {
    world.advance(SECOND * 2);
    let before = log_in(app, MINA, PASSWORD);
    is_taken(app, &before);
    world.advance(SECOND);
    end(world, app);
    has_expired(app, &before);
    let after = log_in(app, MINA, password);
    is_taken(app, &after);
    let refreshed = post(app, "/api-token-refresh/", &json!({"token": after})).is(200);
    is_taken(app, &refreshed.text("token"));
    has_expired(app, &before);
}

fn bearer(app: &TestApp, method: &str, path: &str, holder: &Tokens, body: &Value) -> Answer {
    app.as_holder(method, path, &holder.access, body)
}

on_both! {
    fn a_reset_ends_them(world) {
        let app = world.app();
        app.person(&world, MINA);
        ends_tokens(&world, &app, NEW, |world, app| {
            app.ask_reset(MINA).is(202);
            app.reset_by_link(&world.link_about(MINA, RESET, 1), NEW).is(204);
        });
    }

    fn a_new_password_ends_them(world) {
        let app = world.app();
        let session = app.person(&world, MINA);
        ends_tokens(&world, &app, NEW, |_, app| {
            app.change_password(&session.access, Some(PASSWORD), NEW).is(204);
        });
    }

    fn ending_all_other_sessions_ends_them(world) {
        let app = world.app();
        let session = app.person(&world, MINA);
        ends_tokens(&world, &app, PASSWORD, |_, app| {
            app.delete_as(&session.access, "/v1/me/sessions").is(204);
        });
    }

    fn staff_end_them(world) {
        let app = world.app();
        let staff = app.staff(&world, "staff@example.com");
        let id = app.person(&world, MINA).user_id();
        ends_tokens(&world, &app, PASSWORD, |_, app| {
            bearer(app, "DELETE", &format!("/v1/users/{id}/sessions"), &staff, &Value::Null).is(204);
        });
    }

    fn an_account_that_is_switched_off_and_on_again_needs_a_new_log_in(world) {
        let app = world.app();
        let staff = app.staff(&world, "staff@example.com");
        let id = app.person(&world, MINA).user_id();
        ends_tokens(&world, &app, PASSWORD, |_, app| {
            for is_active in [false, true] {
                let path = format!("/v1/users/{id}");
                bearer(app, "PATCH", &path, &staff, &json!({"is_active": is_active})).is(200);
            }
        });
    }

    fn an_end_in_the_second_of_the_log_in_reaches_its_token(world) {
        let app = world.app();
        let session = app.person(&world, MINA);
        for _ in 0..2 {
            let token = log_in(&app, MINA, PASSWORD);
            is_taken(&app, &token);
            app.delete_as(&session.access, "/v1/me/sessions").is(204);
            has_expired(&app, &token);
        }
        is_taken(&app, &log_in(&app, MINA, PASSWORD));
    }

    fn a_log_out_of_one_session_and_another_profile_leave_them(world) {
        let app = world.app();
        let session = app.person(&world, MINA);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        world.advance(SECOND * 2);
        let token = log_in(&app, MINA, PASSWORD);
        world.advance(SECOND * 2);
        app.revoke(&session.refresh).is(204);
        app.as_holder("PATCH", "/v1/me", &other.access, &json!({"locale": "ko"})).is(200);
        let path = format!("/users/{}/", other.user_id());
        let headers = [("content-type", "application/json"), ("authorization", &format!("JWT {token}"))];
        let same = json!({"username": MINA, "email": MINA}).to_string();
        app.send_undocumented("PUT", &path, &headers, same).is(200);
        is_taken(&app, &token);
    }

    fn a_name_that_somebody_else_takes_opens_nothing_with_the_tokens_of_before(world) {
        let app = world.app();
        let named = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        let mina = app.verify_code(&app.register_with(&named), &world.proof(MINA, 1).code).tokens();
        world.advance(SECOND * 2);
        let token = log_in(&app, "mina", PASSWORD);
        world.advance(SECOND * 2);
        app.as_holder("PATCH", "/v1/me", &mina.access, &json!({"username": "wilhelmina"})).is(200);
        let refused = post(&app, "/api-token-verify/", &json!({"token": token})).is(400);
        assert_eq!(refused.json(), json!({"non_field_errors": ["User doesn't exist."]}));
        // A new account of that name, and one that is renamed to it.
        let eve = json!({"email": "eve@example.com", "password": PASSWORD, "username": "mina"});
        let eve = app.verify_code(&app.register_with(&eve), &world.proof("eve@example.com", 1).code).tokens();
        has_expired(&app, &token);
        app.as_holder("PATCH", "/v1/me", &eve.access, &json!({"username": "eve"})).is(200);
        let third = app.person(&world, "third@example.com");
        world.advance(SECOND * 2);
        app.as_holder("PATCH", "/v1/me", &third.access, &json!({"username": "mina"})).is(200);
        has_expired(&app, &token);
        is_taken(&app, &log_in(&app, "mina", PASSWORD));
    }
}
