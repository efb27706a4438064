//! Requests of users, staff and attackers, and a database that fails meanwhile.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::teller::{Teller, basic, form};
use crate::HAS_DRF;
use crate::database::Database;
use crate::django_site::accounts;

/// Every secret has the word in it. Names of people are one word with more in it, so that no
/// password has a part of its owner's name.
pub const ROOT_PASSWORD: &str = "canary of the operator";
pub const PASSWORD: &str = "canary plum tree";
const NEXT_PASSWORD: &str = "canary pear tree";

/// Every way to prove an address, and the ways that fail.
pub fn registrations(teller: &Teller) {
    let first = teller.register("canarymina");
    teller.refused(
        "POST",
        "/v1/verify-email",
        &json!({"token": "canary-no-token", "password": PASSWORD}),
    );
    teller.refused(
        "POST",
        "/v1/verify-email",
        &json!({"registration_token": first, "code": "000000"}),
    );
    let proof = teller.proof("canarymina");
    teller.post("/v1/verify-email", &json!({"registration_token": first, "code": proof.code}));
    let second = teller.register("canaryola");
    let proof = teller.proof("canaryola");
    teller.post("/v1/verify-email", &json!({"registration_token": second, "token": proof.token}));
    teller.register("canarynoa");
    let proof = teller.proof("canarynoa");
    teller.refused(
        "POST",
        "/v1/verify-email",
        &json!({"token": proof.token, "password": "canary wrong"}),
    );
    teller.post("/v1/verify-email", &json!({"token": proof.token, "password": PASSWORD}));
    teller.register("canaryida");
    let proof = teller.proof("canaryida");
    teller.page(
        "/verify-email",
        &proof.token,
        &form(&[("token", &proof.token), ("password", PASSWORD)]),
    );
    // This registration is never verified.
    teller.register("canaryidle");
    teller.post("/v1/verify-email/resend", &json!({"email": "canaryidle@example.com"}));
    // The owner is told.
    teller.register("canarymina");
    teller.mail("canarymina", "/password-reset?token=");
}

pub fn log_ins(teller: &Teller) {
    let mina = teller.log_in("canarymina@example.com", PASSWORD);
    teller.refused(
        "POST",
        "/v1/token-auth",
        &json!({"username": "canarynobody", "password": PASSWORD}),
    );
    for _ in 0..6 {
        let body = json!({"username": "canarynoa@example.com", "password": "canary wrong"});
        teller.refused("POST", "/v1/token-auth", &body);
    }
    teller.post("/v1/token-verify", &json!({"token": mina.access}));
    teller.refused("POST", "/v1/token-verify", &json!({"token": "canary.canary.canary"}));
    teller.refused("POST", "/v1/token-verify", &json!({"token": format!("{}x", mina.access)}));
    teller.holder(&mina.access).get("/v1/forward-auth");
    teller.holder("canary-no-token").refused("GET", "/v1/me", &Value::Null);
    let next = teller.post("/v1/token-refresh", &json!({"refresh_token": mina.refresh}));
    teller.refused("POST", "/v1/token-refresh", &json!({"refresh_token": mina.refresh}));
    teller.refused("POST", "/v1/token-refresh", &next);
    teller.refused("POST", "/v1/token-refresh", &json!({"refresh_token": "hpr_canary"}));
    teller.post(
        "/v1/token-revoke",
        &json!({"refresh_token": teller.log_in("canarymina@example.com", PASSWORD).refresh}),
    );
    // Cookie mode.
    let origin = ("origin", "http://auth.test");
    let body =
        json!({"username": "canarymina@example.com", "password": PASSWORD, "use_cookie": true});
    let cookies = teller.cookies(&[origin], "/v1/token-auth", &body);
    let headers = [origin, ("cookie", cookies.as_str())];
    let cookies = teller.cookies(&headers, "/v1/token-refresh", &json!({"use_cookie": true}));
    teller.with(&[("cookie", &cookies)]).get("/v1/forward-auth");
    let headers = [("origin", "http://foreign.test"), ("cookie", cookies.as_str())];
    teller.with(&headers).refused("POST", "/v1/token-refresh", &json!({"use_cookie": true}));
    let headers = [origin, ("cookie", cookies.as_str())];
    teller.with(&headers).post("/v1/token-revoke", &json!({"use_cookie": true}));
}

/// Their passwords are hashed anew.
pub fn imported_accounts(teller: &Teller) {
    for account in accounts() {
        if !account.email.is_empty() {
            teller.add_canary("an imported address", &account.email);
        }
        if let (Some(password), true) = (account.password, account.is_active) {
            teller.add_canary("an imported password", &password);
            teller.log_in(&account.username, &password);
        }
    }
}

pub fn own_account(teller: &Teller) {
    let ola = teller.log_in("canaryola@example.com", PASSWORD);
    let holder = teller.holder(&ola.access);
    for path in ["/v1/me", "/v1/me/export", "/v1/me/sessions", "/v1/me/events?limit=7"] {
        holder.get(path);
    }
    holder.call(
        "PATCH",
        "/v1/me",
        &json!({"username": "canaryola", "metadata": {"canary": "canary"}}),
    );
    holder.refused("PATCH", "/v1/me", &json!({"username": "canary@else.example"}));
    let other = teller.log_in("canaryola", PASSWORD);
    holder.call("DELETE", &format!("/v1/me/sessions/{}", other.session), &Value::Null);
    teller.log_in("canaryola", PASSWORD);
    holder.call("DELETE", "/v1/me/sessions", &Value::Null);
    let wrong = json!({"current_password": "canary wrong", "new_password": NEXT_PASSWORD});
    holder.refused("POST", "/v1/password-change", &wrong);
    let right = json!({"current_password": PASSWORD, "new_password": NEXT_PASSWORD});
    holder.post("/v1/password-change", &right);
    let body = json!({"new_email": "canarynew@example.com", "password": NEXT_PASSWORD});
    let asked = holder.post("/v1/me/email", &body);
    let proof = teller.proof("canarynew");
    let body = json!({"registration_token": asked["registration_token"], "code": proof.code});
    teller.post("/v1/verify-email", &body);
    let noa = teller.log_in("canaryida@example.com", PASSWORD);
    teller.holder(&noa.access).refused("DELETE", "/v1/me", &json!({"password": "canary wrong"}));
    teller.holder(&noa.access).call("DELETE", "/v1/me", &json!({"password": PASSWORD}));
}

pub fn resets_and_undoing(teller: &Teller) {
    let not_me = teller.mail_about("canaryola", "/not-me?token=", "canarynew@example.com");
    teller.page("/not-me", &not_me, &form(&[("token", &not_me)]));
    teller.refused("POST", "/v1/not-me", &json!({"token": "canary-no-token"}));
    for name in ["canarynoa", "canarynobody"] {
        let email = format!("{name}@example.com");
        teller.post("/v1/password-reset", &json!({"email": email}));
    }
    let noa = teller.reset_proof("canarynoa");
    let wrong =
        json!({"email": "canarynoa@example.com", "code": "000000", "new_password": NEXT_PASSWORD});
    teller.refused("POST", "/v1/password-reset/confirm", &wrong);
    let right =
        json!({"email": "canarynoa@example.com", "code": noa.code, "new_password": NEXT_PASSWORD});
    teller.post("/v1/password-reset/confirm", &right);
    let used = json!({"token": noa.token, "new_password": NEXT_PASSWORD});
    teller.refused("POST", "/v1/password-reset/confirm", &used);
    let not_me = teller.mail("canarynoa", "/not-me?token=");
    teller.post("/v1/not-me", &json!({"token": not_me}));
    let ola = teller.reset_proof("canaryola");
    let fields = [("token", ola.token.as_str()), ("password", "canary fig tree")];
    teller.page("/password-reset", &ola.token, &form(&fields));
}

pub fn staff(teller: &Teller) {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let holder = teller.holder(&root.access);
    holder.get("/v1/users?search=canarymi&limit=2");
    let body =
        json!({"email": "canaryeve@example.com", "username": "canaryeve", "password": PASSWORD});
    let eve = holder.post("/v1/users", &body)["user_id"].to_string();
    for guest in ["canarylate", "canarylate", "canaryguest"] {
        holder.post("/v1/users", &json!({"email": format!("{guest}@example.com")}));
    }
    let token = teller.mail("canaryguest", "/password-reset?token=");
    teller.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": PASSWORD}));
    let path = format!("/v1/users/{eve}");
    for body in [
        json!({"locale": "ko", "is_staff": true}),
        json!({"is_staff": false}),
        json!({"roles": ["canaryrole"], "app_metadata": {"canary": "canary"}}),
        json!({"is_active": false, "disabled_reason": "canary of a reason"}),
    ] {
        holder.call("PATCH", &path, &body);
    }
    teller.refused(
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
pub fn services(teller: &Teller) {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let holder = teller.holder(&root.access);
    let scopes = ["introspect", "revoke", "users:read"];
    let made = holder.post("/v1/api-keys", &json!({"name": "canary key", "scopes": scopes}));
    let key = made["secret"].as_str().unwrap();
    teller.add_canary("an API key", key);
    holder.get("/v1/api-keys");
    teller.holder(key).get("/v1/users?limit=1");
    let mina = teller.log_in("canarymina@example.com", PASSWORD);
    for (path, token) in [
        ("/v1/introspect", &mina.access),
        ("/v1/introspect", &mina.refresh),
        ("/v1/revoke", &mina.refresh),
    ] {
        teller.form(path, &basic("canary", key), &form(&[("token", token)]));
    }
    let path = format!("/v1/api-keys/{}", made["api_key"]["id"].as_str().unwrap());
    holder.call("DELETE", &path, &Value::Null);
    teller.holder(key).refused("GET", "/v1/users", &Value::Null);
}

pub fn django_adapter(teller: &Teller) {
    let body = json!({"username": "canaryroot", "password": ROOT_PASSWORD});
    let token = teller.post("/api-token-auth/", &body)["token"].as_str().unwrap().to_owned();
    for path in ["/api-token-verify/", "/api-token-refresh/"] {
        teller.post(path, &json!({"token": token}));
        teller.refused("POST", path, &json!({"token": "canary.canary.canary"}));
    }
    let jwt = format!("JWT {token}");
    let holder = teller.with(&[("authorization", &jwt)]);
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
            teller.with(&headers).get("/users/");
        } else {
            teller.with(&headers).refused("GET", "/users/", &Value::Null);
        }
    }
}

pub fn public_resources(teller: &Teller) {
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
        teller.with(&[]).get(path);
    }
}

/// Requests that no real client sends.
pub fn nonsense(teller: &Teller) {
    for body in [
        r#"{"username": "canary", "password": "canary"#,
        r#"{"canary": "canary", "username": ["canary"], "password": {"canary": 1}}"#,
        r#"["canary"]"#,
        "canary",
    ] {
        for path in ["/v1/token-auth", "/v1/register", "/api-token-auth/", "/v1/token-refresh"] {
            teller.raw(path, body);
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
        teller.with(&[("cookie", "__Host-hallpass_refresh=canary; canary=canary")]).any(
            "GET",
            path,
            &Value::Null,
        );
    }
    teller.bytes(b"POST /canary HTTP/9.9\r\ncanary\r\n\r\ncanary");
    teller
        .bytes(b"GET /v1/me HTTP/1.1\r\nHost: canary\r\nAuthorization: Bearer canary\x01\r\n\r\n");
}

/// The kinds of all events of all accounts.
pub fn every_kind(teller: &Teller) -> HashSet<String> {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let holder = teller.holder(&root.access);
    let mut kinds = HashSet::new();
    for id in 1..=40 {
        let page = holder.any("GET", &format!("/v1/users/{id}/events?limit=200"), &Value::Null);
        for event in page["events"].as_array().into_iter().flatten() {
            kinds.insert(event["kind"].as_str().unwrap().to_owned());
        }
    }
    kinds
}

/// It refuses a statement, and then misses a table.
pub fn a_database_that_fails(teller: &Teller, database: &Database) {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let index =
        "CREATE UNIQUE INDEX one_at_most ON registration_details (locale) WHERE locale = 'ko'";
    database.execute(index);
    let registration = |name: &str| {
        let email = format!("{name}@example.com");
        json!({"email": email, "password": PASSWORD, "locale": "ko"})
    };
    teller.post("/v1/register", &registration("canaryfirst"));
    teller.mail("canaryfirst", "/verify-email?token=");
    teller.with(&[]).fails(500, "POST", "/v1/register", &registration("canarysecond"));
    database.execute("ALTER TABLE users RENAME TO lost");
    let log_in = json!({"username": "canaryroot", "password": ROOT_PASSWORD});
    for path in ["/v1/token-auth", "/api-token-auth/"]
        .into_iter()
        .filter(|it| HAS_DRF || it.starts_with("/v1"))
    {
        teller.with(&[]).fails(503, "POST", path, &log_in);
    }
    let holder = teller.holder(&root.access);
    holder.fails(503, "PATCH", "/v1/me", &json!({"username": "canarygone"}));
    let wanted = json!({"email": "canarythird@example.com", "username": "canarythird"});
    holder.fails(503, "POST", "/v1/users", &wanted);
    database.execute("ALTER TABLE lost RENAME TO users");
}
