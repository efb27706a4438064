//! Rules that the reference does not have: limits, settings, a failing database, and the accounts
//! outside the adapter.

use diesel::connection::SimpleConnection as _;
use diesel::{Connection as _, SqliteConnection};
use serde_json::{Value, json};

use super::corpus::Sent;
use super::service::{self, Service};
use super::wire::{self, Reply};

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
fn a_failing_database_is_never_answered_as_a_wrong_password() {
    let service = service::start(&[]);
    let issued = send(&service, "POST", "/api-token-auth/", &[JSON], Some(RIGHT));
    let token = json(&issued)["token"].as_str().unwrap().to_owned();
    let bearer = format!("JWT {token}");
    let by_token = ("Authorization", bearer.as_str());
    SqliteConnection::establish(service.database.to_str().unwrap())
        .unwrap()
        .batch_execute("PRAGMA busy_timeout = 5000; ALTER TABLE users RENAME TO lost")
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
        assert_eq!(reply.header("retry-after"), Some("2"), "{method} {target}");
    }
}

#[test]
fn no_user_can_take_another_users_address_as_user_name() {
    let service = service::start(&[]);
    let alice = ("Authorization", "Basic YWxpY2U6YWxpY2UtcGFzcw==");
    let own = send(&service, "GET", "/users/2/", &[alice], None);
    let own = json(&own)["email"].as_str().unwrap().to_owned();
    for (name, status) in [("victim@example.org", 400), (own.as_str(), 200)] {
        let body = json!({ "username": name }).to_string();
        let reply = send(&service, "PATCH", "/users/2/", &[alice, JSON], Some(&body));
        assert_eq!(reply.status, status, "{}", reply.body);
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused_as_too_large() {
    let service = service::start(&[]);
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
    let service = service::start(&[]);
    let cookie = |length: usize| "x".repeat(length - "cookie: ".len());
    for (length, status) in [(8190, 403), (8191, 400)] {
        let value = cookie(length);
        let reply = send(&service, "GET", "/", &[("Cookie", &value)], None);
        assert_eq!(reply.status, status);
    }
}

#[test]
fn a_host_that_cannot_be_one_does_not_stand_in_links() {
    let service = service::start(&[]);
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
fn a_user_name_that_is_another_users_address_is_taken() {
    let service = service::start(&[]);
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

#[test]
fn an_account_that_is_removed_ends_its_sessions_elsewhere() {
    let service = service::start(&[]);
    let alice = r#"{"username":"alice","password":"alice-pass"}"#;
    let pair = json(&send(&service, "POST", "/v1/token-auth", &[JSON], Some(alice)));
    let access = json!({ "token": pair["access_token"] }).to_string();
    let refresh = json!({ "refresh_token": pair["refresh_token"] }).to_string();
    let verify = || send(&service, "POST", "/v1/token-verify", &[JSON], Some(&access)).status;
    assert_eq!(verify(), 200);
    assert_eq!(send(&service, "DELETE", "/users/2/", &[STAFF], None).status, 204);
    assert_eq!(verify(), 401);
    assert_eq!(send(&service, "POST", "/v1/token-refresh", &[JSON], Some(&refresh)).status, 401);
}

#[test]
fn tokens_of_the_api_and_the_adapter_are_not_interchangeable() {
    for secret in [&[][..], &[("HALLPASS_JWT_SECRET", "one"), ("HALLPASS_JWT_ALGORITHM", "HS256")]]
    {
        let service = service::start(secret);
        let ours = json(&send(&service, "POST", "/v1/token-auth", &[JSON], Some(RIGHT)));
        let ours = ours["access_token"].as_str().unwrap();
        let theirs = json(&send(&service, "POST", "/api-token-auth/", &[JSON], Some(RIGHT)));
        let theirs = theirs["token"].as_str().unwrap();
        let restricted = |token: &str| {
            let header = format!("JWT {token}");
            send(&service, "GET", "/restricted/", &[("Authorization", &header)], None).status
        };
        let verify = |token: &str| {
            let body = json!({ "token": token }).to_string();
            send(&service, "POST", "/v1/token-verify", &[JSON], Some(&body)).status
        };
        assert_eq!((restricted(theirs), restricted(ours)), (200, 401));
        assert_eq!((verify(ours), verify(theirs)), (200, 401));
    }
}

#[test]
fn switched_off_it_is_not_there() {
    let service = service::start(&[("HALLPASS_DRF_JWT", "off")]);
    for target in ["/", "/users/", "/restricted/", "/api-token-auth/"] {
        let reply = send(&service, "GET", target, &[STAFF], None);
        assert_eq!(reply.status, 404);
        assert_eq!(json(&reply)["code"], "not_found");
    }
}

#[test]
fn a_changed_address_is_no_longer_verified() {
    let service = service::start(&[]);
    let verified = || {
        let alice = r#"{"username":"alice","password":"alice-pass"}"#;
        let pair = json(&send(&service, "POST", "/v1/token-auth", &[JSON], Some(alice)));
        let body = json!({ "token": pair["access_token"] }).to_string();
        json(&send(&service, "POST", "/v1/token-verify", &[JSON], Some(&body)))["email_verified"]
            .clone()
    };
    let change = |email: &str| {
        let body = json!({ "email": email }).to_string();
        assert_eq!(send(&service, "PATCH", "/users/2/", &[STAFF, JSON], Some(&body)).status, 200);
    };
    assert_eq!(verified(), true);
    change("ALICE@example.com");
    assert_eq!(verified(), true);
    change("other@example.com");
    assert_eq!(verified(), false);
}
