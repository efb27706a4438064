//! Log lines of requests, and of starts that fail.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::both::on_both;
use crate::service::{Service, Setup};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

fn in_json(setup: Setup) -> Setup {
    setup.with("HALLPASS_LOG_FORMAT", "json")
}

/// The lines of the log as objects; every line is one.
fn events(log: &str) -> Vec<Value> {
    let event = |line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"));
    log.lines().map(event).collect()
}

/// Posts with these header lines, and returns the answer's `request_id`.
fn post(service: &Service, path: &str, headers: &str, body: &Value) -> String {
    let mut stream = TcpStream::connect(service.address()).unwrap();
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, problem) = answer.split_once("\r\n\r\n").unwrap();
    let problem: Value = serde_json::from_str(problem).unwrap();
    problem["request_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

fn wrong() -> Value {
    json!({"username": "nobody@example.com", "password": "wrong"})
}

on_both! {
    fn a_failed_log_in_tells_the_network_of_the_client_and_the_names_of_the_request(setup) {
        let setup = in_json(setup).with("HALLPASS_TRUSTED_PROXIES", "127.0.0.1");
        let service = setup.start();
        let headers = format!(
            "X-Forwarded-For: 203.0.113.77\r\nX-Request-Id: from-the-proxy-1\r\n\
             traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n"
        );
        let id = post(&service, "/v1/token-auth", &headers, &wrong());
        assert_eq!(id, "from-the-proxy-1");
        let log = service.stop_for_log();
        assert!(!log.contains("203.0.113.77") && !log.contains("nobody@"), "{log}");
        let events = events(&log);
        let of_request: Vec<&Value> =
            events.iter().filter(|it| it["span"]["request_id"] == "from-the-proxy-1").collect();
        for message in ["log-in refused", "request refused"] {
            let found = of_request.iter().find(|it| {
                it["message"].as_str().is_some_and(|text| text.starts_with(message))
            });
            let line = found.unwrap_or_else(|| panic!("no {message} in:\n{log}"));
            assert_eq!(line["span"]["network"], "203.0.113.0/24", "{line}");
            assert_eq!(line["span"]["trace_id"], TRACE, "{line}");
        }
        let refused = of_request.iter().find(|it| it["message"] == "request refused").unwrap();
        assert_eq!(
            (&refused["status"], &refused["code"], &refused["path"]),
            (&json!(401), &json!("invalid_credentials"), &json!("/v1/token-auth"))
        );
    }

    fn a_refused_origin_and_a_reached_limit_are_logged_with_the_setting_to_change(setup) {
        const LIMIT: &str = "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK";
        let setup = in_json(setup)
            .with("HALLPASS_CORS_ORIGINS", "https://app.test")
            .with("HALLPASS_LIMITS", "on")
            .with(LIMIT, "3/15m");
        let service = setup.start();
        let own = [0; 3].map(|_| {
            post(&service, "/v1/token-auth", "Origin: https://app.test\r\n", &wrong())
        });
        let other = post(&service, "/v1/token-auth", "Origin: https://other.test\r\n", &wrong());
        let events = events(&service.stop_for_log());
        let settings_of = |id: &str| -> Vec<&str> {
            let of_request = events.iter().filter(|it| it["span"]["request_id"] == id);
            of_request.filter_map(|it| it["setting"].as_str()).collect()
        };
        for id in &own {
            assert_eq!(settings_of(id), Vec::<&str>::new());
        }
        assert_eq!(settings_of(&other), [LIMIT, "HALLPASS_CORS_ORIGINS"]);
        let refused = events.iter().find(|it| it["setting"] == "HALLPASS_CORS_ORIGINS").unwrap();
        assert_eq!(refused["origin"], "https://other.test");
    }
}

#[test]
fn the_text_log_tells_the_network_too() {
    let setup = Setup::on_sqlite();
    let service = setup.start();
    let id = post(&service, "/v1/token-auth", "", &wrong());
    let log = service.stop_for_log();
    let line = log.lines().find(|line| line.contains("log-in refused")).unwrap();
    assert!(line.contains("127.0.0.0/24") && line.contains(&id), "{line}");
}

#[test]
fn each_refusal_has_a_line_with_its_id_and_a_flood_of_one_hides_no_other() {
    let setup = in_json(Setup::on_sqlite());
    let service = setup.start();
    let ids: Vec<String> = (0..200)
        .map(|_| post(&service, "/v1/token-verify", "", &json!({"token": "nonsense"})))
        .collect();
    let other = [
        post(&service, "/v1/token-verify", "", &json!({})),
        post(&service, "/nowhere", "", &json!({})),
        post(&service, "/v1/token-refresh", "", &json!({"refresh_token": "hpr_x"})),
    ];
    let log = service.stop_for_log();
    let written = |id: &String| log.contains(&format!("\"request_id\":\"{id}\""));
    assert!(ids[..60].iter().all(written), "{log}");
    assert_eq!(ids.iter().filter(|id| written(id)).count(), 60, "{log}");
    assert!(other.iter().all(written), "{other:?} in {log}");
}

#[test]
fn a_start_that_fails_is_logged_in_the_format_of_the_log() {
    let down = "postgres://u:hunter2@127.0.0.1:1/d";
    for (name, value, told) in [
        ("HALLPASS_BCRYPT_COST", "99", "HALLPASS_BCRYPT_COST: "),
        ("DATABASE_URL", down, "127.0.0.1"),
        ("HALLPASS_MAIL_TEMPLATES", "/nowhere", "mail"),
    ] {
        let setup = in_json(Setup::on_sqlite()).with(name, value);
        let failed = setup.run(&["serve"]);
        assert!(!failed.success && !failed.stderr.contains("hunter2"), "{}", failed.stderr);
        let events = events(&failed.stderr);
        let last = events.last().unwrap_or_else(|| panic!("{name}: nothing was told"));
        assert_eq!(last["level"], "ERROR", "{last}");
        assert!(last["timestamp"].as_str().unwrap().ends_with('Z'), "{last}");
        assert!(last["message"].as_str().unwrap().contains(told), "{last}");
        let text = setup.with("HALLPASS_LOG_FORMAT", "text").run(&["serve"]);
        assert!(text.stderr.contains("hallpass: "), "{}", text.stderr);
    }
}

#[test]
fn a_forwarded_header_that_is_ignored_is_logged_once() {
    for (proxies, header, warns) in [
        ("", "X-Forwarded-For: 203.0.113.77\r\n", true),
        ("10.0.0.0/8", "X-Forwarded-For: 203.0.113.77\r\n", true),
        ("", "Forwarded: for=203.0.113.77\r\n", true),
        ("", "X-Real-IP: 203.0.113.77\r\n", true),
        ("127.0.0.1", "X-Forwarded-For: 203.0.113.77\r\n", false),
        ("", "", false),
    ] {
        let setup = Setup::on_sqlite().with("HALLPASS_TRUSTED_PROXIES", proxies);
        let service = setup.start();
        for _ in 0..3 {
            post(&service, "/v1/token-verify", header, &json!({"token": "x"}));
        }
        let log = service.stop_for_log();
        let count = log.matches("a forwarded header is ignored: HALLPASS_TRUSTED_PROXIES").count();
        assert_eq!(count, usize::from(warns), "{proxies} {header}:\n{log}");
        assert!(!log.contains("203.0.113.77"), "{log}");
    }
}

#[test]
fn a_production_without_the_setting_of_proxies_is_warned() {
    let production = |setup: Setup| {
        setup
            .with("HALLPASS_ENV", "production")
            .with("HALLPASS_SECRET", "c2f1b0a4de6398f7a1d25c4be09f63718d2a4bc5e6f70819")
            .with("HALLPASS_PUBLIC_URL", "https://auth.example.com")
            .with("HALLPASS_SHUTDOWN_DELAY", "0s")
            .with("HALLPASS_LIMITS", "on")
            .with("HALLPASS_BCRYPT_COST", "10")
    };
    for (proxies, warns) in [(None, true), (Some("none"), false), (Some("127.0.0.1"), false)] {
        let mut setup = production(Setup::on_sqlite());
        if let Some(proxies) = proxies {
            setup = setup.with("HALLPASS_TRUSTED_PROXIES", proxies);
        }
        let log = setup.start().stop_for_log();
        assert_eq!(log.contains("HALLPASS_TRUSTED_PROXIES is not set"), warns, "{log}");
    }
    let setup = Setup::on_sqlite();
    let log = setup.start().stop_for_log();
    assert!(!log.contains("HALLPASS_TRUSTED_PROXIES"), "{log}");
}

#[test]
fn a_refused_preflight_is_logged_with_the_headers_and_the_setting() {
    let setup = in_json(Setup::on_sqlite());
    let setup = setup
        .with("HALLPASS_CORS_ORIGINS", "https://app.test")
        .with("HALLPASS_CORS_HEADERS", "x-tenant");
    let service = setup.start();
    let ask = |method: &str, headers: &str| {
        let mut stream = TcpStream::connect(service.address()).unwrap();
        let head = format!(
            "OPTIONS /v1/token-auth HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\
             Origin: https://app.test\r\nAccess-Control-Request-Method: {method}\r\n\
             Access-Control-Request-Headers: {headers}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    };
    ask("POST", "authorization,X-Tenant,X-Shop,,x-branch");
    ask("BREW", "authorization");
    let events = events(&service.stop_for_log());
    let told = |text: &str| {
        let of_message = |it: &&Value| it["message"].as_str().is_some_and(|it| it.contains(text));
        events.iter().filter(of_message).cloned().collect::<Vec<Value>>()
    };
    let headers = told("pages may not send these request headers");
    assert_eq!(headers.len(), 1, "{headers:?}");
    assert_eq!(headers[0]["headers"], "x-shop, x-branch");
    assert_eq!(headers[0]["setting"], "HALLPASS_CORS_HEADERS");
    assert_eq!(told("pages may not use the method").len(), 1);
    assert!(told("pages of this origin").is_empty());
    let refused = told("request refused");
    assert_eq!(refused.len(), 2);
    for line in refused {
        assert_eq!((&line["method"], &line["path"]), (&json!("OPTIONS"), &json!("/v1/token-auth")));
    }
}
