//! What the reference has no answer to: our limits, and a database that fails.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::{Value, json};

use crate::corpus::Sent;
use crate::service::{self, Service};
use crate::wire::{self, Reply};

const SECRET: &str = "the secret of the site";
const STAFF: (&str, &str) = ("Authorization", "Basic YWRtaW46YWRtaW4=");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const RIGHT: &str = r#"{"username":"admin","password":"admin"}"#;

fn send(
    service: &Service,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Reply {
    let request = json!({"method": method, "target": target, "headers": headers, "body": body});
    let request: Sent = serde_json::from_value(request).unwrap();
    wire::send(service.port, &request, str::to_owned)
}

fn json(reply: &Reply) -> Value {
    serde_json::from_str(&reply.body).unwrap()
}

#[test]
fn a_failing_database_is_never_told_as_a_wrong_password() {
    let service = service::start(SECRET, None);
    let issued = send(&service, "POST", "/api-token-auth/", &[JSON], Some(RIGHT));
    let token = json(&issued)["token"].as_str().unwrap().to_owned();
    let bearer = format!("JWT {token}");
    let by_token = ("Authorization", bearer.as_str());
    SqliteConnection::establish(service.database.to_str().unwrap())
        .unwrap()
        .batch_execute("ALTER TABLE users RENAME TO lost")
        .unwrap();
    let presented = json!({ "token": token }).to_string();
    let new_account = r#"{"username":"new"}"#;
    for (method, target, headers, body) in [
        ("POST", "/api-token-auth/", vec![JSON], Some(RIGHT)),
        ("POST", "/api-token-verify/", vec![JSON], Some(presented.as_str())),
        ("POST", "/api-token-refresh/", vec![JSON], Some(presented.as_str())),
        ("GET", "/restricted/", vec![by_token], None),
        ("GET", "/users/", vec![by_token], None),
        ("GET", "/users/", vec![STAFF], None),
        ("POST", "/users/", vec![STAFF, JSON], Some(new_account)),
        ("GET", "/", vec![STAFF], None),
    ] {
        let reply = send(&service, method, target, &headers, body);
        assert_eq!(reply.status, 503, "{method} {target}: {}", reply.body);
        assert_eq!(json(&reply), json!({"detail": "Service temporarily unavailable."}));
    }
}

#[test]
fn a_body_beyond_the_limit_is_told_so() {
    let service = service::start(SECRET, None);
    let long = format!(r#"{{"username":"{}","password":"x"}}"#, "x".repeat(1024 * 1024));
    let reply = send(&service, "POST", "/api-token-auth/", &[JSON], Some(&long));
    assert_eq!(reply.status, 413);
    let text = "Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE.";
    assert_eq!(json(&reply), json!({ "detail": text }));
    let again = send(&service, "POST", "/api-token-auth/", &[JSON], Some(RIGHT));
    assert_eq!(again.status, 200);
}

#[test]
fn a_header_field_beyond_the_limit_is_refused() {
    let service = service::start(SECRET, None);
    let cookie = |length: usize| "x".repeat(length - "cookie: ".len());
    for (length, status) in [(8190, 403), (8191, 400)] {
        let value = cookie(length);
        let reply = send(&service, "GET", "/", &[("Cookie", &value)], None);
        assert_eq!(reply.status, status);
    }
}

#[test]
fn a_host_that_cannot_be_one_does_not_stand_in_links() {
    let service = service::start(SECRET, None);
    for (host, link) in [
        ("login.example:8443", "http://login.example:8443/users/"),
        ("evil.example/x", "http://fallback.example/users/"),
        ("a\"b", "http://fallback.example/users/"),
    ] {
        let reply = send(&service, "GET", "/", &[("Host", host), STAFF], None);
        assert_eq!(json(&reply), json!({ "users": link }));
    }
}

#[test]
fn a_name_that_is_somebody_elses_address_is_taken() {
    let service = service::start(SECRET, None);
    let create = |name: &str| {
        let body = json!({ "username": name }).to_string();
        send(&service, "POST", "/users/", &[STAFF, JSON], Some(&body))
    };
    let refused = create("ALICE@example.com");
    assert_eq!(refused.status, 400);
    let taken = json!({"username": ["A user with that username already exists."]});
    assert_eq!(json(&refused), taken);
    assert_eq!(create("nobody@example.com").status, 201);
}
