//! Requests of users, staff and attackers, and a database that fails meanwhile.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::recording_client::{RecordingClient, basic, form};
use crate::HAS_DRF;
use crate::database::Database;
use crate::django_site::accounts;

/// Every secret contains the word "canary". User names are one longer word with it, so that no
/// password contains a part of its owner's name.
pub const ROOT_PASSWORD: &str = "canary of the operator";
pub const PASSWORD: &str = "canary plum tree";
const NEXT_PASSWORD: &str = "canary pear tree";

/// Verifies addresses in every way, and fails in every way.
pub fn registrations(client: &RecordingClient) {
    let first = client.register("canarymina");
    client.refused(
        "POST",
        "/v1/verify-email",
        &json!({"token": "canary-no-token", "password": PASSWORD}),
    );
    client.refused(
        "POST",
        "/v1/verify-email",
        &json!({"registration_token": first, "code": "000000"}),
    );
    let proof = client.proof("canarymina");
    client.post("/v1/verify-email", &json!({"registration_token": first, "code": proof.code}));
    let second = client.register("canaryola");
    let proof = client.proof("canaryola");
    client.post("/v1/verify-email", &json!({"registration_token": second, "token": proof.token}));
    client.register("canarynoa");
    let proof = client.proof("canarynoa");
    client.refused(
        "POST",
        "/v1/verify-email",
        &json!({"token": proof.token, "password": "canary wrong"}),
    );
    client.post("/v1/verify-email", &json!({"token": proof.token, "password": PASSWORD}));
    client.register("canaryida");
    let proof = client.proof("canaryida");
    client.page(
        "/verify-email",
        &proof.token,
        &form(&[("token", &proof.token), ("password", PASSWORD)]),
    );
    // This registration is never verified.
    client.register("canaryidle");
    client.post("/v1/verify-email/resend", &json!({"email": "canaryidle@example.com"}));
    // The owner is told.
    client.register("canarymina");
    client.mail("canarymina", "/password-reset?token=");
}

pub fn log_ins(client: &RecordingClient) {
    let mina = client.log_in("canarymina@example.com", PASSWORD);
    client.refused(
        "POST",
        "/v1/token-auth",
        &json!({"username": "canarynobody", "password": PASSWORD}),
    );
    for _ in 0..6 {
        let body = json!({"username": "canarynoa@example.com", "password": "canary wrong"});
        client.refused("POST", "/v1/token-auth", &body);
    }
    client.post("/v1/token-verify", &json!({"token": mina.access}));
    client.refused("POST", "/v1/token-verify", &json!({"token": "canary.canary.canary"}));
    client.refused("POST", "/v1/token-verify", &json!({"token": format!("{}x", mina.access)}));
    client.holder(&mina.access).get("/v1/forward-auth");
    client.holder("canary-no-token").refused("GET", "/v1/me", &Value::Null);
    let next = client.post("/v1/token-refresh", &json!({"refresh_token": mina.refresh}));
    client.refused("POST", "/v1/token-refresh", &json!({"refresh_token": mina.refresh}));
    client.refused("POST", "/v1/token-refresh", &next);
    client.refused("POST", "/v1/token-refresh", &json!({"refresh_token": "hpr_canary"}));
    client.post(
        "/v1/token-revoke",
        &json!({"refresh_token": client.log_in("canarymina@example.com", PASSWORD).refresh}),
    );
    // Cookie mode.
    let origin = ("origin", "http://auth.test");
    let body =
        json!({"username": "canarymina@example.com", "password": PASSWORD, "use_cookie": true});
    let cookies = client.cookies(&[origin], "/v1/token-auth", &body);
    let headers = [origin, ("cookie", cookies.as_str())];
    let cookies = client.cookies(&headers, "/v1/token-refresh", &json!({"use_cookie": true}));
    client.with(&[("cookie", &cookies)]).get("/v1/forward-auth");
    let headers = [("origin", "http://foreign.test"), ("cookie", cookies.as_str())];
    client.with(&headers).refused("POST", "/v1/token-refresh", &json!({"use_cookie": true}));
    let headers = [origin, ("cookie", cookies.as_str())];
    client.with(&headers).post("/v1/token-revoke", &json!({"use_cookie": true}));
}

/// Logs imported users in, whose hashes are upgraded.
pub fn imported_accounts(client: &RecordingClient) {
    for account in accounts() {
        if !account.email.is_empty() {
            client.add_canary("an imported address", &account.email);
        }
        if let (Some(password), true) = (account.password, account.is_active) {
            client.add_canary("an imported password", &password);
            client.log_in(&account.username, &password);
        }
    }
}

pub fn own_account(client: &RecordingClient) {
    let ola = client.log_in("canaryola@example.com", PASSWORD);
    let holder = client.holder(&ola.access);
    for path in ["/v1/me", "/v1/me/export", "/v1/me/sessions", "/v1/me/events?limit=7"] {
        holder.get(path);
    }
    holder.call(
        "PATCH",
        "/v1/me",
        &json!({"username": "canaryola", "metadata": {"canary": "canary"}}),
    );
    holder.refused("PATCH", "/v1/me", &json!({"username": "canary@else.example"}));
    let other = client.log_in("canaryola", PASSWORD);
    holder.call("DELETE", &format!("/v1/me/sessions/{}", other.session), &Value::Null);
    client.log_in("canaryola", PASSWORD);
    holder.call("DELETE", "/v1/me/sessions", &Value::Null);
    let wrong = json!({"current_password": "canary wrong", "new_password": NEXT_PASSWORD});
    holder.refused("POST", "/v1/password-change", &wrong);
    let right = json!({"current_password": PASSWORD, "new_password": NEXT_PASSWORD});
    holder.post("/v1/password-change", &right);
    let body = json!({"new_email": "canarynew@example.com", "password": NEXT_PASSWORD});
    let asked = holder.post("/v1/me/email", &body);
    let proof = client.proof("canarynew");
    let body = json!({"registration_token": asked["registration_token"], "code": proof.code});
    client.post("/v1/verify-email", &body);
    let noa = client.log_in("canaryida@example.com", PASSWORD);
    client.holder(&noa.access).refused("DELETE", "/v1/me", &json!({"password": "canary wrong"}));
    client.holder(&noa.access).call("DELETE", "/v1/me", &json!({"password": PASSWORD}));
}

pub fn resets_and_undoing(client: &RecordingClient) {
    let not_me = client.mail_about("canaryola", "/not-me?token=", "canarynew@example.com");
    client.page("/not-me", &not_me, &form(&[("token", &not_me)]));
    client.refused("POST", "/v1/not-me", &json!({"token": "canary-no-token"}));
    for name in ["canarynoa", "canarynobody"] {
        let email = format!("{name}@example.com");
        client.post("/v1/password-reset", &json!({"email": email}));
    }
    let noa = client.reset_proof("canarynoa");
    let wrong =
        json!({"email": "canarynoa@example.com", "code": "000000", "new_password": NEXT_PASSWORD});
    client.refused("POST", "/v1/password-reset/confirm", &wrong);
    let right =
        json!({"email": "canarynoa@example.com", "code": noa.code, "new_password": NEXT_PASSWORD});
    client.post("/v1/password-reset/confirm", &right);
    let used = json!({"token": noa.token, "new_password": NEXT_PASSWORD});
    client.refused("POST", "/v1/password-reset/confirm", &used);
    let not_me = client.mail("canarynoa", "/not-me?token=");
    client.post("/v1/not-me", &json!({"token": not_me}));
    let ola = client.reset_proof("canaryola");
    let fields = [("token", ola.token.as_str()), ("password", "canary fig tree")];
    client.page("/password-reset", &ola.token, &form(&fields));
}

pub fn staff(client: &RecordingClient) {
    let root = client.log_in("canaryroot", ROOT_PASSWORD);
    let holder = client.holder(&root.access);
    holder.get("/v1/users?search=canarymi&limit=2");
    let body =
        json!({"email": "canaryeve@example.com", "username": "canaryeve", "password": PASSWORD});
    let eve = holder.post("/v1/users", &body)["user_id"].to_string();
    for guest in ["canarylate", "canarylate", "canaryguest"] {
        holder.post("/v1/users", &json!({"email": format!("{guest}@example.com")}));
    }
    let token = client.mail("canaryguest", "/password-reset?token=");
    client.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": PASSWORD}));
    let path = format!("/v1/users/{eve}");
    for body in [
        json!({"locale": "ko", "is_staff": true}),
        json!({"is_staff": false}),
        json!({"roles": ["canaryrole"], "app_metadata": {"canary": "canary"}}),
        json!({"is_active": false, "disabled_reason": "canary of a reason"}),
    ] {
        holder.call("PATCH", &path, &body);
    }
    client.refused(
        "POST",
        "/v1/token-auth",
        &json!({"username": "canaryeve", "password": PASSWORD}),
    );
    holder.call("PATCH", &path, &json!({"is_active": true}));
    holder.refused("POST", "/v1/users", &json!({"email": "canaryeve@example.com"}));
    holder.call("DELETE", &format!("{path}/sessions"), &Value::Null);
    holder.get(&path);
    holder.get(&format!("{path}/events"));
    holder.call("DELETE", &path, &Value::Null);
}

/// Services with an API key, which looks at tokens and ends them.
pub fn services(client: &RecordingClient) {
    let root = client.log_in("canaryroot", ROOT_PASSWORD);
    let holder = client.holder(&root.access);
    let scopes = ["introspect", "revoke", "users:read"];
    let made = holder.post("/v1/api-keys", &json!({"name": "canary key", "scopes": scopes}));
    let key = made["secret"].as_str().unwrap();
    client.add_canary("an API key", key);
    holder.get("/v1/api-keys");
    client.holder(key).get("/v1/users?limit=1");
    let mina = client.log_in("canarymina@example.com", PASSWORD);
    for (path, token) in [
        ("/v1/introspect", &mina.access),
        ("/v1/introspect", &mina.refresh),
        ("/v1/revoke", &mina.refresh),
    ] {
        client.form(path, &basic("canary", key), &form(&[("token", token)]));
    }
    let path = format!("/v1/api-keys/{}", made["api_key"]["id"].as_str().unwrap());
    holder.call("DELETE", &path, &Value::Null);
    client.holder(key).refused("GET", "/v1/users", &Value::Null);
}

pub fn django_adapter(client: &RecordingClient) {
    let body = json!({"username": "canaryroot", "password": ROOT_PASSWORD});
    let token = client.post("/api-token-auth/", &body)["token"].as_str().unwrap().to_owned();
    for path in ["/api-token-verify/", "/api-token-refresh/"] {
        client.post(path, &json!({"token": token}));
        client.refused("POST", path, &json!({"token": "canary.canary.canary"}));
    }
    let jwt = format!("JWT {token}");
    let holder = client.with(&[("authorization", &jwt)]);
    holder.get("/restricted/");
    let body = json!({"username": "canarydjango", "email": "canarydj@example.com"});
    let url = holder.post("/users/", &body)["url"].as_str().unwrap().to_owned();
    let path = &url[url.find("/users/").unwrap()..];
    let body = json!({"username": "canarydjango2", "email": "canarydj2@example.com"});
    holder.call("PUT", path, &body);
    holder.call("PATCH", path, &json!({"username": "canarydjango3"}));
    holder.call("DELETE", path, &Value::Null);
    for (password, is_right) in [(ROOT_PASSWORD, true), ("canary wrong", false)] {
        let basic = basic("canaryroot", password);
        let headers = [("authorization", basic.as_str())];
        if is_right {
            client.with(&headers).get("/users/");
        } else {
            client.with(&headers).refused("GET", "/users/", &Value::Null);
        }
    }
}

pub fn public_resources(client: &RecordingClient) {
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/v1/revocations",
        "/v1/config",
        "/v1/password-policy",
        "/healthz",
        "/readyz",
        "/metrics",
        "/openapi.json",
        "/openapi-3.0.json",
    ] {
        client.with(&[]).get(path);
    }
}

/// Requests that no real client sends.
pub fn nonsense(client: &RecordingClient) {
    for body in [
        r#"{"username": "canary", "password": "canary"#,
        r#"{"canary": "canary", "username": ["canary"], "password": {"canary": 1}}"#,
        r#"["canary"]"#,
        "canary",
    ] {
        for path in ["/v1/token-auth", "/v1/register", "/api-token-auth/", "/v1/token-refresh"] {
            client.raw(path, body);
        }
    }
    for path in [
        "/canary",
        "/v1/canary?canary=canary",
        "/v1/me?token=canary",
        "/docs/canary",
        "/v1/me/sessions/canary",
        "/v1/users/canary?canary=canary",
        "/%63anary%00",
        "/users/canary/",
        "/verify-email?token=canary",
        "/password-reset?canary",
        "/not-me?token=canary",
    ] {
        client.with(&[("cookie", "__Host-hallpass_refresh=canary; canary=canary")]).any(
            "GET",
            path,
            &Value::Null,
        );
    }
    client.bytes(b"POST /canary HTTP/9.9\r\ncanary\r\n\r\ncanary");
    client
        .bytes(b"GET /v1/me HTTP/1.1\r\nHost: canary\r\nAuthorization: Bearer canary\x01\r\n\r\n");
}

/// The kinds of all events of all accounts.
pub fn every_kind(client: &RecordingClient) -> HashSet<String> {
    let root = client.log_in("canaryroot", ROOT_PASSWORD);
    let holder = client.holder(&root.access);
    let mut kinds = HashSet::new();
    for id in 1..=40 {
        let page = holder.any("GET", &format!("/v1/users/{id}/events?limit=200"), &Value::Null);
        for event in page["events"].as_array().into_iter().flatten() {
            kinds.insert(event["kind"].as_str().unwrap().to_owned());
        }
    }
    kinds
}

/// Makes the database refuse a statement, and then lack a table.
pub fn a_database_that_fails(client: &RecordingClient, database: &Database) {
    let root = client.log_in("canaryroot", ROOT_PASSWORD);
    let index =
        "CREATE UNIQUE INDEX one_at_most ON registration_details (locale) WHERE locale = 'ko'";
    database.execute(index);
    let registration = |name: &str| {
        let email = format!("{name}@example.com");
        json!({"email": email, "password": PASSWORD, "locale": "ko"})
    };
    client.post("/v1/register", &registration("canaryfirst"));
    client.mail("canaryfirst", "/verify-email?token=");
    client.with(&[]).fails(500, "POST", "/v1/register", &registration("canarysecond"));
    database.execute("ALTER TABLE users RENAME TO lost");
    let log_in = json!({"username": "canaryroot", "password": ROOT_PASSWORD});
    for path in ["/v1/token-auth", "/api-token-auth/"]
        .into_iter()
        .filter(|it| HAS_DRF || it.starts_with("/v1"))
    {
        client.with(&[]).fails(503, "POST", path, &log_in);
    }
    let holder = client.holder(&root.access);
    holder.fails(503, "PATCH", "/v1/me", &json!({"username": "canarygone"}));
    let wanted = json!({"email": "canarythird@example.com", "username": "canarythird"});
    holder.fails(503, "POST", "/v1/users", &wanted);
    database.execute("ALTER TABLE lost RENAME TO users");
}
