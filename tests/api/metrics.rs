//! What operators watch.

#![allow(clippy::float_cmp, reason = "the numbers are whole, or come out exactly")]

use serde_json::json;

use crate::support::raw::Raw;
use crate::support::{PASSWORD, SECOND, TestApp, on_both};

const MINA: &str = "mina@example.com";

/// The value of a line of `/metrics`, or 0.
fn metric(app: &TestApp, line: &str) -> f64 {
    let text = String::from_utf8(app.get("/metrics").is(200).body).unwrap();
    let value = text.lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

on_both! {
    fn requests_and_refusals_are_counted(world) {
        let app = world.app();
        app.person(&world, MINA);
        for _ in 0..3 {
            app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
        }
        app.log_in(MINA, PASSWORD).is(200);
        let log_ins = r#"hallpass_http_requests_total{method="POST",path="/v1/token-auth",status="#;
        assert_eq!(metric(&app, &format!("{log_ins}\"401\"}}")), 3.0);
        assert_eq!(metric(&app, &format!("{log_ins}\"200\"}}")), 1.0);
        assert_eq!(metric(&app, r#"hallpass_errors_total{code="invalid_credentials"}"#), 3.0);
        let count = r#"hallpass_http_request_duration_seconds_count{method="POST",path="/v1/token-auth"}"#;
        assert_eq!(metric(&app, count), 4.0);
        app.get("/nowhere").is(404);
        assert!(metric(&app, r#"hallpass_http_requests_total{method="other",path="other",status="404"}"#) >= 1.0);
    }

    fn a_refusal_of_the_django_face_is_counted_as_what_it_is(world) {
        let app = world.app();
        app.send_undocumented("GET", "/users/", &[("accept", "image/png")], "").is(406);
        let other = r#"hallpass_http_requests_total{method="other",path="other",status="#;
        assert_eq!(metric(&app, &format!("{other}\"406\"}}")), 1.0);
        assert_eq!(metric(&app, &format!("{other}\"500\"}}")), 0.0);
    }

    fn heads_that_cannot_be_read_are_counted(world) {
        let app = world.app();
        let mut raw = Raw::to(&app);
        raw.send("GET /v1/config HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        raw.rest();
        assert_eq!(metric(&app, r#"hallpass_errors_total{code="malformed_request"}"#), 1.0);
        let other = r#"hallpass_http_requests_total{method="other",path="other",status="400"}"#;
        assert_eq!(metric(&app, other), 1.0);
    }

    fn the_age_of_what_is_known_of_ended_sessions_is_told(world) {
        let app = world.app();
        assert!(metric(&app, "hallpass_revocations_age_seconds") < 2.0);
        world.alter("ALTER TABLE sessions RENAME TO hidden");
        world.advance(SECOND * 20);
        assert!(metric(&app, "hallpass_revocations_age_seconds") >= 20.0);
    }

    fn a_forgotten_proxy_setting_shows(world) {
        let app = world.app();
        let log_in = |app: &TestApp, from: &str| {
            let body = json!({"username": MINA, "password": "wrong"});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", from)], &body);
        };
        for number in 0..50 {
            log_in(&app, &format!("198.51.{number}.1"));
        }
        assert_eq!(metric(&app, "hallpass_network_lead_ratio"), 1.0);
        assert_eq!(metric(&app, "hallpass_forwarded_for_ignored_total"), 50.0);
        let app = world.app_with(&[("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        for number in 0..50 {
            log_in(&app, &format!("198.51.{number}.1"));
        }
        assert!(metric(&app, "hallpass_network_lead_ratio") < 0.1);
        assert_eq!(metric(&app, "hallpass_forwarded_for_ignored_total"), 0.0);
    }

    fn waiting_mail_is_counted(world) {
        let app = world.app();
        assert_eq!(metric(&app, "hallpass_mails_waiting"), 0.0);
        let columns = "(id, kind, recipient, locale, subject_id, status, attempts, next_attempt_at, created_at)";
        world.execute(&format!("INSERT INTO outbox {columns} VALUES ('a', 'of_a_newer_version', 'x', 'en', '', 'queued', 0, 0, 0), ('b', 'registration', 'x', 'en', '', 'dead', 0, 0, 0)"));
        assert_eq!(metric(&app, "hallpass_mails_waiting"), 1.0);
        assert_eq!(metric(&app, "hallpass_mails_dead"), 1.0);
    }
}
