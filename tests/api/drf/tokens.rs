//! Tokens of the Django REST adapter end with the sessions of their person, though they are in no
//! table.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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
        // The account is looked at with each request, whatever became of its tokens.
        let token = log_in(&app, MINA, PASSWORD);
        world.execute(&format!("UPDATE users SET is_active = FALSE WHERE id = {id}"));
        let text = "User account is disabled.";
        assert_eq!(restricted(&app, &token).is(401).json(), json!({"detail": text}));
        for path in ["/api-token-verify/", "/api-token-refresh/"] {
            let refused = post(&app, path, &json!({"token": token})).is(400);
            assert_eq!(refused.json(), json!({"non_field_errors": [text]}));
        }
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

    fn tokens_of_a_former_user_name_do_not_open_the_account_that_takes_it(world) {
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
        // Two accounts of one name that began at the same moment, one after the other.
        let new = |email: &str| {
            let named = json!({"email": email, "password": PASSWORD, "username": "nova"});
            let token = app.register_with(&named);
            app.verify_code(&token, &world.proof(email, 1).code).is(200).tokens()
        };
        let first = new("first@example.com");
        let token = log_in(&app, "nova", PASSWORD);
        is_taken(&app, &token);
        bearer(&app, "DELETE", "/v1/me", &first, &json!({"password": PASSWORD})).is(204);
        new("second@example.com");
        has_expired(&app, &token);
    }

    // However often and fast the generation was moved on before, a revocation reaches each token.
    fn a_reset_reaches_a_token_after_any_number_of_revocations_in_its_second(world) {
        let app = world.app();
        app.person(&world, MINA);
        for (round, count) in [1, 7, 30].into_iter().enumerate() {
            world.advance(SECOND * 3600);
            let access = app.log_in(MINA, PASSWORD).is(200).tokens().access;
            app.me(&access).is(200);
            app.ask_reset(MINA).is(202);
            let link = world.link_about(MINA, RESET, round + 1);
            for _ in 0..count {
                app.delete_as(&access, "/v1/me/sessions").is(204);
            }
            let token = log_in(&app, MINA, PASSWORD);
            is_taken(&app, &token);
            app.reset_by_link(&link, PASSWORD).is(204);
            has_expired(&app, &token);
            world.advance(SECOND * 5);
            has_expired(&app, &token);
        }
    }

    // Nothing but a generation tells the tokens of one second apart, and it needs no common clock.
    fn revocations_reach_tokens_between_instances_whose_clocks_differ(world) {
        let here = world.app();
        let ahead = world.app_ahead(SECOND * 2);
        here.person(&world, MINA);
        for _ in 0..5 {
            for (issuing, revoking) in [(&here, &ahead), (&ahead, &here)] {
                let token = log_in(issuing, MINA, PASSWORD);
                is_taken(issuing, &token);
                is_taken(revoking, &token);
                let session = revoking.log_in(MINA, PASSWORD).is(200).tokens();
                revoking.delete_as(&session.access, "/v1/me/sessions").is(204);
                has_expired(issuing, &token);
                has_expired(revoking, &token);
                let after = log_in(issuing, MINA, PASSWORD);
                is_taken(revoking, &after);
            }
        }
    }

    fn a_token_opens_no_account_that_takes_its_user_name_within_the_second(world) {
        let app = world.app();
        let mut mina = app.person(&world, MINA);
        let mut eve = app.person(&world, "eve@example.com");
        app.staff(&world, "staff@example.com");
        let rename = |holder: &mut Tokens, name: &str| {
            app.as_holder("PATCH", "/v1/me", &holder.access, &json!({"username": name})).is(200);
            *holder = app.refresh(&holder.refresh).is(200).tokens();
        };
        // A rename, and a swap back.
        rename(&mut mina, "support");
        for _ in 0..7 {
            app.delete_as(&mina.access, "/v1/me/sessions").is(204);
        }
        let token = log_in(&app, "support", PASSWORD);
        is_taken(&app, &token);
        rename(&mut mina, "mina");
        rename(&mut eve, "support");
        has_expired(&app, &token);
        let path = format!("/users/{}/", eve.user_id());
        let change = |token: &str| {
            let headers = [("content-type", "application/json"), ("authorization", &format!("JWT {token}"))];
            app.send_undocumented("PATCH", &path, &headers, r#"{"email": "thief@example.com"}"#)
        };
        change(&token).is(403);
        rename(&mut eve, "eve");
        // A new registration.
        let named = json!({"email": "new@example.com", "password": PASSWORD, "username": "support"});
        let new = app.verify_code(&app.register_with(&named), &world.proof("new@example.com", 1).code);
        let mut new = new.is(200).tokens();
        has_expired(&app, &token);
        rename(&mut new, "other");
        // An account that staff make with more rights.
        let headers = [("content-type", "application/json"), ("authorization", &format!("JWT {}", log_in(&app, "staff@example.com", PASSWORD)))];
        let made = r#"{"username": "support", "email": "s@example.com", "is_staff": true}"#;
        app.send_undocumented("POST", "/users/", &headers, made).is(201);
        has_expired(&app, &token);
        // The first account again: renaming revoked its own token too.
        world.execute("DELETE FROM users WHERE username = 'support'");
        rename(&mut mina, "support");
        has_expired(&app, &token);
        is_taken(&app, &log_in(&app, "support", PASSWORD));
    }

    // With the shared key the replaced stack goes on issuing tokens, without a generation.
    fn tokens_of_the_replaced_stack_end_with_the_second_of_a_revocation(world) {
        let secret = "the SECRET_KEY of the site, which both know";
        let app = world.app_with(&[("HALLPASS_JWT_SECRET", secret)]);
        let session = app.person(&world, MINA);
        let id = session.user_id();
        let foreign = |user_id: &Value, seconds: i64| {
            let claims = json!({"user_id": user_id, "username": MINA, "exp": world.now() + 200, "email": MINA, "orig_iat": world.now() + seconds});
            signed(secret, &claims)
        };
        world.advance(SECOND * 20);
        is_taken(&app, &foreign(&id.into(), -5));
        has_expired(&app, &foreign(&(id + 1).into(), -5));
        has_expired(&app, &foreign(&id.to_string().into(), -5));
        app.delete_as(&session.access, "/v1/me/sessions").is(204);
        for (seconds, counts) in [(-1, false), (0, false), (1, true), (5, true), (6, false), (3600, false)] {
            let token = foreign(&id.into(), seconds);
            if counts { is_taken(&app, &token) } else { has_expired(&app, &token) }
        }
        // The lifetime may be longer there, and a name alone may be another's by now.
        let mut claims = json!({"user_id": id, "username": MINA, "exp": world.now() + 86_400});
        has_expired(&app, &signed(secret, &claims));
        world.advance(SECOND);
        claims["orig_iat"] = world.now().into();
        is_taken(&app, &signed(secret, &claims));
        claims.as_object_mut().unwrap().remove("user_id");
        has_expired(&app, &signed(secret, &claims));
        // What it is exchanged for is ours.
        let refreshed = post(&app, "/api-token-refresh/", &json!({"token": foreign(&id.into(), 1)})).is(200).text("token");
        is_taken(&app, &refreshed);
        app.delete_as(&session.access, "/v1/me/sessions").is(204);
        has_expired(&app, &refreshed);
    }
}

/// A token of the replaced stack.
fn signed(secret: &str, claims: &Value) -> String {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let message =
        format!("{}.{}", encode(r#"{"typ":"JWT","alg":"HS256"}"#), encode(&claims.to_string()));
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes())))
}
