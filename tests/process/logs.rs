//! The log holds no secret, no address and no name, whatever is asked and answered, down to `trace`; and
//! each of its lines is JSON that names the request it belongs to.

mod ranges;
mod teller;

use std::collections::HashSet;

use hallpass::domain::EventKind;
use serde_json::{Value, json};

use self::ranges::Ranges;
use self::teller::{Canaries, Teller, form};
use crate::letters::Mailbox;
use crate::service::Setup;
use crate::smtp::{Mode, SmtpServer};

const SMTP_LOGIN: (&str, &str) = ("canary-smtp-user", "canary-smtp-password");
const ROOT_PASSWORD: &str = "canary of the operator";
const PASSWORD: &str = "canary plum tree";
const NEXT_PASSWORD: &str = "canary pear tree";

/// The flow that nobody asks for: keys take over from each other.
const HAPPENS_BY_ITSELF: &str = "hallpass::flows::keys";

/// Settings with a canary in each secret, and everything logged.
fn singing(setup: Setup) -> Setup {
    [
        ("HALLPASS_LOG", "trace"),
        ("HALLPASS_LOG_FORMAT", "json"),
        ("HALLPASS_SECRET", "canary-service-secret-0123456789abcdef"),
        ("HALLPASS_JWT_SECRET", "canary-jwt-secret-0123456789abcdef"),
        ("HALLPASS_PUBLIC_URL", "http://auth.test"),
        ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1"),
        ("HALLPASS_CORS_ORIGINS", "http://app.test"),
        ("HALLPASS_LIMITS", "on"),
        ("HALLPASS_LIMIT_NETWORK", "10000/1m"),
        ("HALLPASS_LIMIT_MAIL_HOURLY", "20"),
        ("HALLPASS_LIMIT_MAIL_NETWORK", "10000"),
        ("HALLPASS_REFRESH_GRACE", "0s"),
        ("HALLPASS_SESSIONS_PER_USER", "3"),
    ]
    .iter()
    .fold(setup, |setup, (name, value)| setup.with(name, value))
}

fn canaries_of_settings() -> Canaries {
    let mut canaries = Canaries::default();
    // All that the tests make up themselves begins so.
    canaries.add("a word of the test", "canary");
    canaries.add("a client's address", "203.0.113");
    canaries
}

#[test]
fn no_flow_leaves_a_secret_in_the_log_on_sqlite() {
    every_flow(Setup::on_sqlite());
}

#[test]
fn no_flow_leaves_a_secret_in_the_log_on_postgres() {
    let Some(setup) = Setup::on_postgres() else { return };
    let mut url = url::Url::parse(setup.setting("DATABASE_URL")).unwrap();
    // A server that trusts this machine takes any.
    if url.password().is_none() {
        url.set_password(Some("canary-database-password")).unwrap();
    }
    every_flow(setup.with("DATABASE_URL", url.as_str()));
}

fn every_flow(setup: Setup) {
    let mode = Mode::STARTTLS.login(SMTP_LOGIN.0, SMTP_LOGIN.1);
    let Some(server) = SmtpServer::start(mode) else { return };
    let ranges = Ranges::start();
    let setup = singing(setup)
        .with("HALLPASS_SMTP_URL", &server.url())
        .with("HALLPASS_BREACHED_PASSWORDS_URL", &ranges.url());
    let arguments =
        ["create-superuser", "--username", "canaryroot", "--email", "canary-root@example.com"];
    let superuser = setup.run_with_input(&arguments, &format!("{ROOT_PASSWORD}\n"));
    assert!(superuser.success, "{}", superuser.stderr);
    let service = setup.start();
    let teller = Teller::new(service.address(), server, canaries_of_settings());
    registrations(&teller);
    log_ins(&teller);
    own_account(&teller);
    resets_and_undoing(&teller);
    staff(&teller);
    django_face(&teller);
    nonsense(&teller);
    let kinds = every_kind(&teller);
    let log = service.stop_for_log() + &superuser.stderr;
    let missing: Vec<&str> =
        EventKind::ALL.iter().map(|it| it.name()).filter(|it| !kinds.contains(*it)).collect();
    assert!(missing.is_empty(), "not every flow was run: {missing:?}");
    check_form(&log, &teller);
    let mut canaries = teller.canaries().clone();
    let asked: HashSet<String> = ranges.asked().into_iter().collect();
    assert!(asked.len() > 2, "{asked:?}");
    for digits in asked {
        canaries.add_code("a part of the digest of a password", &digits);
    }
    canaries.assert_absent_in(&log);
}

/// Every way to prove an address, and the ways that fail.
fn registrations(teller: &Teller) {
    let first = teller.register("canary-mina");
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
    let proof = teller.proof("canary-mina");
    teller.post("/v1/verify-email", &json!({"registration_token": first, "code": proof.code}));
    let second = teller.register("canary-ola");
    let proof = teller.proof("canary-ola");
    teller.post("/v1/verify-email", &json!({"registration_token": second, "token": proof.token}));
    teller.register("canary-noa");
    let proof = teller.proof("canary-noa");
    teller.refused(
        "POST",
        "/v1/verify-email",
        &json!({"token": proof.token, "password": "canary wrong"}),
    );
    teller.post("/v1/verify-email", &json!({"token": proof.token, "password": PASSWORD}));
    teller.register("canary-ida");
    let proof = teller.proof("canary-ida");
    teller.page(
        "/verify-email",
        &proof.token,
        &form(&[("token", &proof.token), ("password", PASSWORD)]),
    );
    // Nobody proves this one.
    teller.register("canary-idle");
    teller.post("/v1/verify-email/resend", &json!({"email": "canary-idle@example.com"}));
    // The owner is told.
    teller.register("canary-mina");
    teller.mail("canary-mina", "/password-reset?token=");
}

fn log_ins(teller: &Teller) {
    let mina = teller.log_in("canary-mina@example.com", PASSWORD);
    teller.refused(
        "POST",
        "/v1/token-auth",
        &json!({"username": "canarynobody", "password": PASSWORD}),
    );
    for _ in 0..6 {
        let body = json!({"username": "canary-noa@example.com", "password": "canary wrong"});
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
        &json!({"refresh_token": teller.log_in("canary-mina@example.com", PASSWORD).refresh}),
    );
    // Cookie mode.
    let origin = ("origin", "http://auth.test");
    let body =
        json!({"username": "canary-mina@example.com", "password": PASSWORD, "use_cookie": true});
    let cookies = teller.cookies(&[origin], "/v1/token-auth", &body);
    let headers = [origin, ("cookie", cookies.as_str())];
    let cookies = teller.cookies(&headers, "/v1/token-refresh", &json!({"use_cookie": true}));
    let headers = [("origin", "http://canary.test"), ("cookie", cookies.as_str())];
    teller.with(&headers).refused("POST", "/v1/token-refresh", &json!({"use_cookie": true}));
    let headers = [origin, ("cookie", cookies.as_str())];
    teller.with(&headers).post("/v1/token-revoke", &json!({"use_cookie": true}));
}

fn own_account(teller: &Teller) {
    let ola = teller.log_in("canary-ola@example.com", PASSWORD);
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
    let body = json!({"new_email": "canary-new@example.com", "password": NEXT_PASSWORD});
    let asked = holder.post("/v1/me/email", &body);
    let proof = teller.proof("canary-new");
    let body = json!({"registration_token": asked["registration_token"], "code": proof.code});
    teller.post("/v1/verify-email", &body);
    let noa = teller.log_in("canary-ida@example.com", PASSWORD);
    teller.holder(&noa.access).refused("DELETE", "/v1/me", &json!({"password": "canary wrong"}));
    teller.holder(&noa.access).call("DELETE", "/v1/me", &json!({"password": PASSWORD}));
}

fn resets_and_undoing(teller: &Teller) {
    let not_me = teller.mail_about("canary-ola", "/not-me?token=", "canary-new@example.com");
    teller.page("/not-me", &not_me, &form(&[("token", &not_me)]));
    teller.refused("POST", "/v1/not-me", &json!({"token": "canary-no-token"}));
    for name in ["canary-noa", "canary-nobody"] {
        let email = format!("{name}@example.com");
        teller.post("/v1/password-reset", &json!({"email": email}));
    }
    let noa = teller.reset_proof("canary-noa");
    let wrong =
        json!({"email": "canary-noa@example.com", "code": "000000", "new_password": NEXT_PASSWORD});
    teller.refused("POST", "/v1/password-reset/confirm", &wrong);
    let right =
        json!({"email": "canary-noa@example.com", "code": noa.code, "new_password": NEXT_PASSWORD});
    teller.post("/v1/password-reset/confirm", &right);
    let used = json!({"token": noa.token, "new_password": NEXT_PASSWORD});
    teller.refused("POST", "/v1/password-reset/confirm", &used);
    let ola = teller.reset_proof("canary-ola");
    let fields = [("token", ola.token.as_str()), ("password", "canary fig tree")];
    teller.page("/password-reset", &ola.token, &form(&fields));
}

fn staff(teller: &Teller) {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let holder = teller.holder(&root.access);
    holder.get("/v1/users?search=canary-mi&limit=2");
    let body =
        json!({"email": "canary-eve@example.com", "username": "canaryeve", "password": PASSWORD});
    let eve = holder.post("/v1/users", &body)["user_id"].to_string();
    holder.post("/v1/users", &json!({"email": "canary-guest@example.com"}));
    let token = teller.mail("canary-guest", "/password-reset?token=");
    teller.post("/v1/password-reset/confirm", &json!({"token": token, "new_password": PASSWORD}));
    let path = format!("/v1/users/{eve}");
    for body in [
        json!({"locale": "ko", "is_staff": true}),
        json!({"is_staff": false}),
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
    holder.refused("POST", "/v1/users", &json!({"email": "canary-eve@example.com"}));
    holder.call("DELETE", &format!("{path}/sessions"), &Value::Null);
    holder.get(&path);
    holder.get(&format!("{path}/events"));
}

fn django_face(teller: &Teller) {
    let body = json!({"username": "canaryroot", "password": ROOT_PASSWORD});
    let token = teller.post("/api-token-auth/", &body)["token"].as_str().unwrap().to_owned();
    for path in ["/api-token-verify/", "/api-token-refresh/"] {
        teller.post(path, &json!({"token": token}));
        teller.refused("POST", path, &json!({"token": "canary.canary.canary"}));
    }
    let jwt = format!("JWT {token}");
    let holder = teller.with(&[("authorization", &jwt)]);
    holder.get("/restricted/");
    let body = json!({"username": "canarydjango", "email": "canary-dj@example.com"});
    let url = holder.post("/users/", &body)["url"].as_str().unwrap().to_owned();
    let path = &url[url.find("/users/").unwrap()..];
    let body = json!({"username": "canarydjango2", "email": "canary-dj2@example.com"});
    holder.call("PUT", path, &body);
    holder.call("PATCH", path, &json!({"username": "canarydjango3"}));
    holder.call("DELETE", path, &Value::Null);
    for (password, is_right) in [(ROOT_PASSWORD, true), ("canary wrong", false)] {
        let basic = teller::basic("canaryroot", password);
        let headers = [("authorization", basic.as_str())];
        if is_right {
            teller.with(&headers).get("/users/");
        } else {
            teller.with(&headers).refused("GET", "/users/", &Value::Null);
        }
    }
}

/// What no client of ours sends.
fn nonsense(teller: &Teller) {
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
fn every_kind(teller: &Teller) -> HashSet<String> {
    let root = teller.log_in("canaryroot", ROOT_PASSWORD);
    let holder = teller.holder(&root.access);
    let mut kinds = HashSet::new();
    for id in 1..=12 {
        let page = holder.any("GET", &format!("/v1/users/{id}/events?limit=200"), &Value::Null);
        for event in page["events"].as_array().into_iter().flatten() {
            kinds.insert(event["kind"].as_str().unwrap().to_owned());
        }
    }
    kinds
}

/// Each line is an object; what a request makes names the request, and each request has its line.
fn check_form(log: &str, teller: &Teller) {
    let mut seen = HashSet::new();
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
        for field in ["timestamp", "level", "target"] {
            assert!(event[field].is_string(), "{line}");
        }
        let target = event["target"].as_str().unwrap();
        let id = event["span"]["request_id"].as_str();
        let is_asked_for =
            target.starts_with("hallpass::http") || target.starts_with("hallpass::flows");
        if is_asked_for && target != HAPPENS_BY_ITSELF {
            assert!(event["message"].is_string(), "{line}");
            let id = id.unwrap_or_else(|| panic!("no request id: {line}"));
            if event["message"] == "request" || event["message"] == "request failed" {
                seen.insert(id.to_owned());
            }
        }
    }
    let unseen: Vec<String> =
        teller.request_ids().into_iter().filter(|id| !seen.contains(id)).collect();
    assert!(unseen.is_empty(), "{} of {} requests are not in the log", unseen.len(), seen.len());
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn what_mail_servers_say_about_an_address_stays_out_of_the_log() {
    let login = Mode::STARTTLS.login(SMTP_LOGIN.0, SMTP_LOGIN.1);
    for fault in ["reject-recipient", "reject-sender", "reject-content", "reject-login"] {
        let setup = singing(Setup::on_sqlite());
        let Some((setup, _mailbox)) = Mailbox::server(setup, login.fault(fault)) else { return };
        let setup = setup.with("HALLPASS_MAIL_FROM", "canary@canary.example");
        let service = setup.start();
        service.api().register("canary-mina@example.com");
        service.wait_for_log("mail not sent", 1);
        canaries_of_settings().assert_absent_in(&service.log());
    }
}

#[test]
fn a_database_that_cannot_be_reached_does_not_put_its_password_into_the_log() {
    let url = "postgres://canary-user:canary-password@127.0.0.1:1/canary";
    let setup = singing(Setup::on_sqlite()).with("DATABASE_URL", url);
    let failed = setup.run(&["serve"]);
    assert!(!failed.success);
    for secret in ["canary-user", "canary-password"] {
        assert!(!(failed.stderr.clone() + &failed.stdout).contains(secret), "{}", failed.stderr);
    }
}

#[test]
fn a_canary_in_a_log_is_noticed() {
    let mut canaries = canaries_of_settings();
    canaries.add_code("a code", "123456");
    let sings = |line: &str| std::panic::catch_unwind(|| canaries.assert_absent_in(line)).is_err();
    assert!(!sings(
        r#"{"timestamp":"2026-11-24T08:00:00.123456Z","message":"request","micros":123456}"#
    ));
    assert!(sings(r#"{"timestamp":"2026-11-24T08:00:00.000000Z","message":"code 123456"}"#));
    assert!(sings(
        r#"{"timestamp":"2026-11-24T08:00:00.000000Z","message":"CANARY-mina@example.com"}"#
    ));
}
