//! Requests as they reach the application.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::proxy::setting::{EMAIL, USERNAME_IN_HEADER, bearer, behind_each_proxy};

/// More than Hallpass takes itself: the question must not carry it.
const BODY_LENGTH: usize = 1_000_000;

behind_each_proxy! {
    fn without_a_token_nothing_reaches_the_application(setting) {
        let answer = setting.get("/orders?page=2", &[]);
        let challenge = answer.header("www-authenticate").expect("a challenge").to_owned();
        assert!(challenge.starts_with("Bearer"), "{challenge}");
        setting.assert_refused(&answer, 401, "authentication_required");
        let answer = setting.get("/orders", &["Authorization: Bearer nonsense"]);
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        setting.assert_refused(&answer, 401, "token_invalid");
        let answer = setting.send("POST", "/orders", &["Content-Length: 3"], b"a=b");
        setting.assert_refused(&answer, 401, "authentication_required");
    }

    fn the_application_receives_headers_with_the_user(setting) {
        let pair = setting.log_in();
        let answer = setting.get("/orders?page=2", &[&bearer(&pair["access_token"])]);
        assert_eq!((answer.status, answer.body.contains("the application")), (200, true));
        let arrived = setting.application.take_one();
        assert_eq!((arrived.method.as_str(), arrived.path.as_str()), ("GET", "/orders?page=2"));
        assert_eq!(arrived.header("x-auth-user-id"), Some("1"));
        assert_eq!(arrived.header("x-auth-username"), Some(USERNAME_IN_HEADER));
        assert_eq!(arrived.header("x-auth-email"), Some(EMAIL));
        assert_eq!(arrived.header("x-auth-staff"), Some("true"));
        assert_eq!(arrived.header("x-auth-roles").unwrap_or_default(), "");
        let told = arrived.identity().into_iter().filter(|(_, value)| !value.is_empty());
        assert_eq!(told.count(), 4, "{arrived:?}");
    }

    fn a_revoked_token_is_refused_within_a_second(setting) {
        let pair = setting.log_in();
        let token = bearer(&pair["access_token"]);
        assert_eq!(setting.get("/orders", &[&token]).status, 200);
        setting.application.take();
        let revoked =
            setting.post_json("/v1/token-revoke", &json!({"refresh_token": pair["refresh_token"]}));
        assert_eq!(revoked.status, 204, "{revoked:?}");
        let since = Instant::now();
        while setting.get("/orders", &[&token]).status == 200 {
            assert!(since.elapsed() < Duration::from_secs(1), "still taken");
            thread::sleep(Duration::from_millis(50));
        }
        setting.application.take();
        setting.assert_refused(&setting.get("/orders", &[&token]), 401, "token_revoked");
    }

    fn a_body_reaches_the_application_whole(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        let body: Vec<u8> = (0..BODY_LENGTH).map(|n| b'a' + u8::try_from(n % 26).unwrap()).collect();
        let length = format!("Content-Length: {BODY_LENGTH}");
        let answer = setting.send("POST", "/orders", &[&token, &length], &body);
        assert_eq!(answer.status, 200, "{answer:?}");
        let arrived = setting.application.take_one();
        assert_eq!(arrived.method, "POST");
        assert!(arrived.body == body, "{} bytes arrived", arrived.body.len());
        let chunked = b"5\r\nhello\r\n7\r\n, world\r\n0\r\n\r\n";
        let encoding = "Transfer-Encoding: chunked";
        let answer = setting.send("PUT", "/orders/1", &[&token, encoding], chunked);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(setting.application.take_one().body, b"hello, world");
    }

    fn where_a_request_came_from_is_the_word_of_the_proxy(setting) {
        let token = bearer(&setting.log_in()["access_token"]);
        let lies = ["X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: gopher",
            "X-Forwarded-Host: evil.example"];
        setting.get("/orders", &[&token, lies[0], lies[1], lies[2]]);
        let arrived = setting.application.take_one();
        assert_eq!(arrived.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(arrived.header("x-forwarded-proto"), Some("http"));
        assert!(!arrived.header("x-forwarded-host").unwrap().contains("evil"), "{arrived:?}");
    }

    fn no_spelling_of_a_path_leads_around_the_question(setting) {
        for path in [
            "/public/../orders", "/public/..%2forders", "/public/%2e%2e/orders", "//orders",
            "/public/%2e%2e%2forders", "/public/.%2E/orders", "/public//../..//orders", "//public/../orders",
            "/v1/../orders", "/v1/..%2forders", "/docs/%2e%2e/orders", "/publicly", "/PUBLIC/../orders",
            "/.forward-auth", "/readyz", "/healthz", "/metrics",
        ] {
            let answer = setting.get(path, &[]);
            assert!(answer.status >= 400, "{path}: {answer:?}");
            assert!(setting.application.take().is_empty(), "{path}");
        }
        let answer = setting.get("/public/login.html", &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(setting.application.take_one().path, "/public/login.html");
    }

    fn hallpass_is_there_under_the_same_name(setting) {
        for path in ["/v1/config", "/.well-known/jwks.json", "/openapi.json", "/docs/", "/verify-email",
            "/password-reset", "/not-me"] {
            let answer = setting.get(path, &[]);
            assert!(answer.header("x-request-id").is_some(), "{path} is not Hallpass: {answer:?}");
            assert!(answer.header("www-authenticate").is_none(), "{path} is closed: {answer:?}");
        }
        assert!(setting.application.take().is_empty());
    }
}
