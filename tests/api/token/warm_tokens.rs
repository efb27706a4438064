//! Tokens that were verified before: what has changed since then counts at the next check, as it
//! does for tokens that are seen for the first time. Every check here is made of one instance that
//! knows the token and of one that does not.

use serde_json::json;

use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both, wait_for};

const MINA: &str = "mina@example.com";
const HANA: &str = "hana@example.com";
const OFF: (&str, &str) = ("HALLPASS_KEY_ROTATION", "off");
const SHARED: &[(&str, &str)] = &[
    ("HALLPASS_JWT_ALGORITHM", "HS256"),
    ("HALLPASS_JWT_SECRET", "a secret that is shared with other services"),
];
/// Both kinds of keys, and a user for each.
const ES256_AND_HS256: [(&str, &[(&str, &str)]); 2] = [(MINA, &[]), (HANA, SHARED)];

/// The answers of both places that answer from memory.
fn answers(app: &TestApp, token: &str) -> [Answer; 2] {
    let bearer = format!("Bearer {token}");
    [
        app.post("/v1/token-verify", &json!({"token": token})),
        app.send("GET", "/v1/forward-auth", &[("authorization", &bearer)], ""),
    ]
}

#[track_caller]
fn accepted(app: &TestApp, token: &str) {
    for answer in answers(app, token) {
        answer.is(200);
    }
}

#[track_caller]
fn refused(app: &TestApp, token: &str, status: u16, code: &str) {
    for answer in answers(app, token) {
        answer.refused(status, code);
    }
}

/// An instance that has seen the token twice, and the token.
fn warm(world: &World, email: &str, settings: &[(&str, &str)]) -> (TestApp, Tokens) {
    let app = world.app_with(settings);
    let tokens = app.person(world, email);
    accepted(&app, &tokens.access);
    accepted(&app, &tokens.access);
    (app, tokens)
}

/// Both instances refuse it, and go on refusing.
#[track_caller]
fn refused_by_both(warm: &TestApp, cold: &TestApp, token: &str, status: u16, code: &str) {
    for app in [warm, cold, warm] {
        wait_for("an instance that has looked", || {
            let [verify, _] = answers(app, token);
            (verify.status == status && verify.code() == code).then_some(())
        });
        refused(app, token, status, code);
    }
}

fn flows(world: &World) -> hallpass::flows::Flows {
    let clock = std::sync::Arc::new(world.clock.clone());
    hallpass::app::build_flows(&world.config(&[OFF]), clock).unwrap()
}

on_both! {
    fn a_known_token_is_answered_as_a_new_one(world) {
        for (email, settings) in ES256_AND_HS256 {
            let (app, tokens) = warm(&world, email, settings);
            let cold = world.app_with(settings);
            let ([verify, forward], [warm_verify, warm_forward]) =
                (answers(&cold, &tokens.access), answers(&app, &tokens.access));
            assert_eq!(verify.body, warm_verify.body);
            for name in ["x-auth-user-id", "x-auth-username", "x-auth-email"] {
                assert_eq!(forward.header(name), warm_forward.header(name), "{name}");
            }
            // The answer is the token and its claims, in their order.
            let mut expected = json!({"active": true, "token": tokens.access});
            expected.as_object_mut().unwrap().extend(tokens.claims().as_object().unwrap().clone());
            assert_eq!(verify.body, expected.to_string().into_bytes());
            assert_eq!(verify.header("content-type"), Some("application/json"));
        }
    }

    fn a_session_that_ends_ends_a_known_token(world) {
        for (email, settings) in ES256_AND_HS256 {
            let (app, tokens) = warm(&world, email, settings);
            app.revoke(&tokens.refresh).is(204);
            refused(&app, &tokens.access, 401, "token_revoked");
            refused_by_both(&app, &world.app_with(settings), &tokens.access, 401, "token_revoked");
            let tokens = app.log_in(email, PASSWORD).is(200).tokens();
            accepted(&app, &tokens.access);
            // By another instance.
            let other = world.app_with(settings);
            other.ask_as(&tokens.access, "DELETE", "/v1/me", &json!({"password": PASSWORD})).is(204);
            refused_by_both(&app, &other, &tokens.access, 401, "token_revoked");
        }
    }

    fn other_rights_end_a_known_token(world) {
        let (app, tokens) = warm(&world, MINA, &[]);
        let root = app.superuser(&world, "root@example.com");
        let path = format!("/v1/users/{}", tokens.user_id());
        app.ask_as(&root.access, "PATCH", &path, &json!({"is_staff": true})).is(200);
        refused(&app, &tokens.access, 401, "token_revoked");
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(app.token_verify(&next.access).is(200).json()["is_staff"], true);
        refused(&app, &tokens.access, 401, "token_revoked");
    }

    fn a_known_token_expires_to_the_second(world) {
        for (email, settings) in ES256_AND_HS256 {
            let (app, tokens) = warm(&world, email, settings);
            world.advance(SECOND * 304);
            wait_for("a look at the database", || {
                (app.token_verify(&tokens.access).status == 200).then_some(())
            });
            accepted(&app, &tokens.access);
            world.advance(SECOND);
            refused(&app, &tokens.access, 401, "token_expired");
            refused_by_both(&app, &world.app_with(settings), &tokens.access, 401, "token_expired");
        }
    }

    fn a_key_that_is_withdrawn_withdraws_a_known_token(world) {
        let (app, tokens) = warm(&world, MINA, &[OFF]);
        flows(&world).replace_keys().unwrap();
        refused_by_both(&app, &world.app_with(&[OFF]), &tokens.access, 401, "token_invalid");
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        accepted(&app, &next.access);
    }

    fn where_it_is_not_known_what_was_revoked_a_known_token_is_not_guessed(world) {
        let (app, tokens) = warm(&world, MINA, &[]);
        world.alter("ALTER TABLE sessions RENAME TO lost");
        // A look that is under way may still succeed.
        std::thread::sleep(std::time::Duration::from_millis(100));
        world.advance(SECOND * 29);
        accepted(&app, &tokens.access);
        world.advance(SECOND * 2);
        refused(&app, &tokens.access, 503, "unavailable");
        world.alter("ALTER TABLE lost RENAME TO sessions");
        wait_for("a look at the database", || {
            (app.token_verify(&tokens.access).status == 200).then_some(())
        });
        accepted(&app, &tokens.access);
    }
}
