//! Metrics for operators.

#![allow(clippy::float_cmp, reason = "the numbers are whole, or come out exactly")]

use serde_json::json;

use crate::support::raw::Raw;
use crate::support::{PASSWORD, SECOND, TestApp, on_both};

const MINA: &str = "mina@example.com";

on_both! {
    fn requests_and_refusals_are_counted(world) {
        let app = world.app();
        app.person(&world, MINA);
        for _ in 0..3 {
            app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
        }
        app.log_in(MINA, PASSWORD).is(200);
        let log_ins = r#"hallpass_http_requests_total{method="POST",path="/v1/token-auth",status="#;
        assert_eq!(app.metric(&format!("{log_ins}\"401\"}}")), 3.0);
        assert_eq!(app.metric(&format!("{log_ins}\"200\"}}")), 1.0);
        assert_eq!(app.metric(r#"hallpass_errors_total{code="invalid_credentials"}"#), 3.0);
        let count = r#"hallpass_http_request_duration_seconds_count{method="POST",path="/v1/token-auth"}"#;
        assert_eq!(app.metric(count), 4.0);
        app.get("/nowhere").is(404);
        assert!(app.metric(r#"hallpass_http_requests_total{method="other",path="other",status="404"}"#) >= 1.0);
    }

    #[cfg(feature = "drf-jwt")]
    fn a_refusal_of_the_django_adapter_is_counted_as_what_it_is(world) {
        let app = world.app();
        app.send_undocumented("GET", "/users/", &[("accept", "image/png")], "").is(406);
        let users = r#"hallpass_http_requests_total{method="GET",path="/users",status="#;
        assert_eq!(app.metric(&format!("{users}\"406\"}}")), 1.0);
        assert_eq!(app.optional_metric(&format!("{users}\"500\"}}")), None);
        app.send_undocumented("POST", "/api-token-auth/", &[], "").is(400);
        let log_in = r#"hallpass_http_requests_total{method="POST",path="/api-token-auth",status="400"}"#;
        assert_eq!(app.metric(log_in), 1.0);
    }

    fn heads_that_cannot_be_read_are_counted(world) {
        let app = world.app();
        let mut raw = Raw::to(&app);
        raw.send("GET /v1/config HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
        raw.rest();
        assert_eq!(app.metric(r#"hallpass_errors_total{code="malformed_request"}"#), 1.0);
        let other = r#"hallpass_http_requests_total{method="other",path="other",status="400"}"#;
        assert_eq!(app.metric(other), 1.0);
    }

    fn the_age_of_the_revocation_list_is_a_metric(world) {
        let app = world.app();
        assert!(app.metric("hallpass_revocations_age_seconds") < 2.0);
        world.alter("ALTER TABLE sessions RENAME TO hidden");
        world.advance(SECOND * 20);
        assert!(app.metric("hallpass_revocations_age_seconds") >= 20.0);
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
        assert_eq!(app.metric("hallpass_forwarded_for_ignored_total"), 50.0);
        for header in [("forwarded", "for=198.51.100.1"), ("x-real-ip", "198.51.100.1")] {
            let body = json!({"username": MINA, "password": "wrong"});
            app.post_with("/v1/token-auth", &[header], &body);
        }
        assert_eq!(app.metric("hallpass_forwarded_for_ignored_total"), 52.0);
        let app = world.app_with(&[("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")]);
        for number in 0..50 {
            log_in(&app, &format!("198.51.{number}.1"));
        }
        assert_eq!(app.metric("hallpass_forwarded_for_ignored_total"), 0.0);
    }

    fn waiting_mail_is_counted(world) {
        let app = world.app();
        assert_eq!(app.metric("hallpass_mails_waiting"), 0.0);
        let columns = "(id, kind, recipient, locale, subject_id, status, attempts, next_attempt_at, created_at)";
        world.execute(&format!("INSERT INTO outbox {columns} VALUES ('a', 'of_a_newer_version', 'x', 'en', '', 'queued', 0, 0, 0), ('b', 'registration', 'x', 'en', '', 'dead', 0, 0, 0)"));
        assert_eq!(app.metric("hallpass_mails_waiting"), 1.0);
        assert_eq!(app.metric("hallpass_mails_dead"), 1.0);
    }
    fn the_oldest_waiting_mail_has_an_age(world) {
        let app = world.app();
        let age = "hallpass_mails_oldest_waiting_seconds";
        assert_eq!(app.metric(age), 0.0);
        let columns = "(id, kind, recipient, locale, subject_id, status, attempts, next_attempt_at, created_at)";
        let now = world.now() * 1_000_000;
        for (id, status, created) in [("a", "queued", 90), ("b", "dead", 500), ("c", "queued", 10)] {
            world.execute(&format!(
                "INSERT INTO outbox {columns} VALUES \
                 ('{id}', 'of_a_newer_version', 'x', 'en', '', '{status}', 0, 0, {})",
                now - created * 1_000_000
            ));
        }
        assert_eq!(app.metric(age), 90.0);
    }

    fn log_ins_and_mails_are_counted_by_outcome(world) {
        let app = world.app_with(&[
            ("HALLPASS_LIMITS", "on"), ("HALLPASS_LIMIT_NETWORK", "1000/1m"),
        ]);
        app.person(&world, MINA);
        app.log_in(MINA, PASSWORD).is(200);
        for _ in 0..5 {
            app.log_in("nobody@example.com", "wrong").refused(401, "invalid_credentials");
        }
        app.log_in("nobody@example.com", "wrong").refused(429, "rate_limited");
        world.execute("UPDATE users SET is_active = FALSE");
        app.log_in(MINA, PASSWORD).refused(403, "account_disabled");
        for (outcome, count) in [
            ("succeeded", 1.0), ("wrong_password", 5.0), ("rate_limited", 1.0),
            ("account_disabled", 1.0), ("overloaded", 0.0),
        ] {
            let line = format!("hallpass_log_ins_total{{outcome=\"{outcome}\"}}");
            assert_eq!(app.metric(&line), count, "{outcome}");
        }
        let accepted = r#"hallpass_mail_attempts_total{outcome="accepted"}"#;
        crate::support::wait_for("the note", || (app.metric(accepted) >= 1.0).then_some(()));
        assert_eq!(app.metric(r#"hallpass_mail_attempts_total{outcome="failed"}"#), 0.0);
        // Registration, log-ins, and the dummy of each unknown name are hashes.
        assert!(app.metric("hallpass_hash_wait_seconds_count") >= 8.0);
    }

    fn keys_pool_and_process_have_metrics(world) {
        let app = world.app();
        world.advance(SECOND * 100);
        let text = String::from_utf8(app.get("/metrics").is(200).body).unwrap();
        let find = |start: &str| text.lines().find(|it| it.starts_with(start));
        assert!(find(r#"hallpass_signing_keys{state="active"} 1"#).is_some(), "{text}");
        let key = find("hallpass_signing_key_age_seconds{kid=").expect("the age of a key");
        assert!(key.contains(r#"algorithm="ES256",state="active"} 100"#), "{key}");
        assert!(find("hallpass_database_up 1").is_some(), "{text}");
        assert!(find("hallpass_database_pool_max_connections 3").is_some(), "{text}");
        for name in [
            "hallpass_database_pool_connections ", "hallpass_database_pool_idle_connections ",
            "hallpass_database_pool_waiting ", r#"hallpass_hash_queue_jobs{lane="network"} 0"#,
            r#"hallpass_hash_queue_jobs{lane="known_device"} 0"#, "hallpass_hashes_running 0",
            "process_cpu_seconds_total ", "process_resident_memory_bytes ", "process_open_fds ",
            "process_max_fds ", "process_start_time_seconds ", "process_virtual_memory_bytes ",
        ] {
            assert!(find(name).is_some(), "no {name} in\n{text}");
        }
    }

    fn the_clock_of_a_server_is_compared_with_ours(world) {
        let app = world.app();
        let difference = "hallpass_database_clock_difference_seconds";
        if world.database_url.starts_with("sqlite") {
            assert_eq!(app.optional_metric(difference), None, "a file has no clock");
            return;
        }
        // The clock of this world stands still in another year.
        let told = crate::support::wait_for("the first look", || {
            app.optional_metric(difference).filter(|it| *it != 0.0)
        });
        #[expect(clippy::disallowed_methods, reason = "the database has the clock of the machine")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "seconds are far below 2^52")]
        let expected = now.as_secs_f64() - world.now() as f64;
        assert!((told - expected).abs() < 60.0, "{told} is not {expected}");
    }

    fn the_other_metrics_are_there_without_the_queue_of_mail(world) {
        let app = world.app();
        world.alter("ALTER TABLE outbox RENAME TO hidden");
        let text = String::from_utf8(app.get("/metrics").is(200).body).unwrap();
        assert!(text.contains("hallpass_http_requests_total") && !text.contains("hallpass_mails_"));
    }
}
