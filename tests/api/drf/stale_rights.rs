//! Changes at the Django REST adapter by users who lose their rights, their tokens or their
//! password while the request is under way: after it was authenticated, before it writes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::api::limits::attempts::limited_with;
use crate::support::{Answer, PASSWORD, TestApp, World, on_both};

const BOSS: &str = "boss@example.com";
const MINA: &str = "mina@example.com";
const NOT_ALLOWED: &str = "You do not have permission to perform this action.";
const WRONG_PASSWORD: &str = "Invalid username/password.";
const EXPIRED: &str = "Signature has expired.";

pub(super) fn basic(user: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{PASSWORD}")))
}

pub(super) fn send(
    app: &TestApp,
    credentials: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> Answer {
    let headers = [("authorization", credentials), ("content-type", "application/json")];
    app.send_undocumented(method, path, &headers, body.to_string())
}

#[track_caller]
fn is_refused(answer: Answer, detail: &str) {
    assert_eq!(answer.is(403).json(), json!({ "detail": detail }));
}

/// The requests of staff that change accounts: `own` and `other` are user ids.
fn requests(own: i64, other: i64) -> [(&'static str, String, Value); 5] {
    let new = json!({"username": "sock", "email": "sock@example.com", "is_staff": true});
    [
        ("POST", "/users/".to_owned(), new),
        ("PATCH", format!("/users/{own}/"), json!({"is_staff": true})),
        ("PATCH", format!("/users/{own}/"), json!({"username": "somebody"})),
        ("PATCH", format!("/users/{other}/"), json!({"is_staff": true})),
        ("DELETE", format!("/users/{other}/"), Value::Null),
    ]
}

/// The rows that the requests could have changed.
fn state(world: &World) -> (i64, i64, i64) {
    let staff = world.count("users WHERE is_staff");
    (world.count("users"), staff, world.count("users WHERE username IN ('sock', 'somebody')"))
}

on_both! {
    fn staff_who_lose_their_rights_meanwhile_change_nothing(world) {
        let app = limited_with(&world, &[]);
        let boss = app.staff(&world, BOSS).user_id();
        let mina = app.person(&world, MINA).user_id();
        for (loss, detail) in [
            ("is_staff = FALSE", NOT_ALLOWED),
            ("is_active = FALSE", WRONG_PASSWORD),
            ("password_hash = '!', tokens_from = tokens_from + 1", WRONG_PASSWORD),
        ] {
            for (method, path, body) in requests(boss, mina) {
                let password = world.text(&format!("SELECT password_hash AS text FROM users WHERE id = {mina}"));
                world.execute(&format!(
                    "UPDATE users SET is_staff = TRUE, is_active = TRUE, password_hash = '{password}' WHERE id = {boss}"
                ));
                world.meanwhile(&format!("UPDATE users SET {loss} WHERE id = {boss}"));
                let before = state(&world);
                is_refused(send(&app, &basic(BOSS), method, &path, &body), detail);
                let lost = i64::from(loss.starts_with("is_staff"));
                assert_eq!(state(&world), (before.0, before.1 - lost, 0), "{loss}: {method} {path}");
            }
        }
    }

    fn the_old_password_changes_no_address_after_a_reset_meanwhile(world) {
        let app = limited_with(&world, &[]);
        let mina = app.person(&world, MINA).user_id();
        let (path, body) = (format!("/users/{mina}/"), json!({"email": "thief@example.com"}));
        world.meanwhile("UPDATE users SET password_hash = '!', tokens_from = tokens_from + 1");
        is_refused(send(&app, &basic(MINA), "PATCH", &path, &body), WRONG_PASSWORD);
        is_refused(send(&app, &basic(MINA), "DELETE", &path, &Value::Null), WRONG_PASSWORD);
        assert_eq!(world.count(&format!("users WHERE email = '{MINA}'")), 1);
    }

    fn a_hash_that_a_log_in_upgrades_meanwhile_hinders_no_change(world) {
        let app = limited_with(&world, &[]);
        let mina = app.person(&world, MINA).user_id();
        world.meanwhile("UPDATE users SET password_hash = '!'");
        let (path, body) = (format!("/users/{mina}/"), json!({"username": "mina"}));
        send(&app, &basic(MINA), "PATCH", &path, &body).is(200);
    }

    fn a_token_that_is_revoked_meanwhile_changes_no_address(world) {
        let app = limited_with(&world, &[]);
        let mina = app.person(&world, MINA).user_id();
        let log_in = json!({"username": MINA, "password": PASSWORD}).to_string();
        let json = [("content-type", "application/json")];
        let token = app.send_undocumented("POST", "/api-token-auth/", &json, log_in).is(200).text("token");
        // The request is counted by the question whether the address is taken.
        world.meanwhile("UPDATE users SET tokens_from = tokens_from + 1");
        let (path, body) = (format!("/users/{mina}/"), json!({"email": "thief@example.com"}));
        is_refused(send(&app, &format!("JWT {token}"), "PATCH", &path, &body), EXPIRED);
        assert_eq!(world.count(&format!("users WHERE email = '{MINA}'")), 1);
    }
}
