//! Bounds on attempts: what they stop, and whom they must not hurt.

use serde_json::json;

use crate::support::{HOUR, PASSWORD, SECOND, TestApp, World, at_once, on_both};

const MINA: &str = "mina@example.com";
const ELSEWHERE: &str = "198.51.100.7";
const HOME: &str = "203.0.113.9";

/// A service behind a proxy on this machine, so that tests can come from anywhere.
fn limited(world: &World) -> TestApp {
    limited_with(world, &[])
}

fn limited_with(world: &World, settings: &[(&str, &str)]) -> TestApp {
    let base = [("HALLPASS_LIMITS", "on"), ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")];
    world.app_with(&[&base[..], settings].concat())
}

fn log_in_from(app: &TestApp, from: &str, name: &str, password: &str) -> crate::support::Answer {
    let body = json!({"username": name, "password": password});
    app.post_with("/v1/token-auth", &[("x-forwarded-for", from)], &body)
}

on_both! {
    fn the_sixth_wrong_password_waits_and_tells_how_long(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for name in [MINA, "nobody@example.com"] {
            for _ in 0..5 {
                log_in_from(&app, ELSEWHERE, name, "wrong").refused(401, "invalid_credentials");
            }
            let refused = log_in_from(&app, ELSEWHERE, name, "wrong").refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some("900"), "{name}");
            // Not even the right one is looked at.
            log_in_from(&app, ELSEWHERE, name, PASSWORD).refused(429, "rate_limited");
        }
        world.advance(SECOND * 899);
        let refused = log_in_from(&app, ELSEWHERE, MINA, PASSWORD).refused(429, "rate_limited");
        assert_eq!(refused.header("retry-after"), Some("1"));
        world.advance(SECOND);
        log_in_from(&app, ELSEWHERE, MINA, PASSWORD).is(200);
    }

    fn a_success_takes_the_failures_of_its_device_back(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for _ in 0..4 {
            for _ in 0..4 {
                log_in_from(&app, HOME, MINA, "wrong").refused(401, "invalid_credentials");
            }
            log_in_from(&app, HOME, MINA, PASSWORD).is(200);
            world.advance(SECOND * 61);
        }
    }

    fn a_hundred_guesses_at_once_do_not_get_past_the_limit(world) {
        let apps = [limited(&world), limited(&world)];
        apps[0].person(&world, MINA);
        let answers = at_once(100, |number| {
            log_in_from(&apps[number % 2], ELSEWHERE, MINA, &format!("guess {number}"))
        });
        let looked_at = answers.iter().filter(|it| it.status == 401).count();
        assert_eq!(looked_at, 5);
        assert!(answers.iter().all(|it| it.status == 401 || it.status == 429));
    }

    fn a_thousand_failures_elsewhere_do_not_keep_the_victim_out(world) {
        let app = limited(&world);
        let session = app.person(&world, MINA);
        let at_home = log_in_from(&app, HOME, MINA, PASSWORD).is(200);
        let device = at_home.text("device_token");
        let mut refused = 0;
        for number in 0..1000 {
            let from = format!("198.51.{}.{}", number % 200, number % 250);
            let answer = log_in_from(&app, &from, MINA, "wrong");
            refused += i32::from(answer.status != 401);
            if number % 50 == 0 {
                world.advance(SECOND * 16 * 60);
            }
        }
        assert_eq!(refused, 900);
        // A known device gets in, even from the worst of networks.
        let body = json!({"username": MINA, "password": PASSWORD, "device_token": device});
        app.post_with("/v1/token-auth", &[("x-forwarded-for", "198.51.7.7")], &body).is(200);
        // Its sessions go on, and a reset is possible.
        app.refresh(&session.refresh).is(200);
        app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
    }

    fn a_hundred_failures_in_a_row_ask_strangers_for_a_proof_by_mail(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for name in [MINA, "nobody@example.com"] {
            for number in 0..100 {
                world.advance(SECOND * 16 * 60);
                let from = format!("198.51.{number}.1");
                log_in_from(&app, &from, name, "wrong").refused(401, "invalid_credentials");
            }
            world.advance(HOUR);
            log_in_from(&app, HOME, name, PASSWORD).refused(403, "proof_required");
        }
        app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
        let mail = world.mails_to(MINA, 2).swap_remove(1);
        let body = json!({
            "token": crate::support::link_token(&mail), "new_password": "chosen after the siege",
        });
        app.post("/v1/password-reset/confirm", &body).is(204);
        log_in_from(&app, HOME, MINA, "chosen after the siege").is(200);
    }

    fn waits_for_one_name_from_many_networks_grow_and_end(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for number in 0..20 {
            let from = format!("198.51.{number}.1");
            log_in_from(&app, &from, MINA, "wrong").refused(401, "invalid_credentials");
        }
        for (number, wait) in [1, 2, 4, 8, 15].into_iter().enumerate() {
            let from = format!("192.0.{number}.1");
            let refused = log_in_from(&app, &from, MINA, PASSWORD).refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some((wait * 60).to_string().as_str()));
            world.advance(SECOND * wait * 60);
            log_in_from(&app, &from, MINA, "wrong").refused(401, "invalid_credentials");
        }
    }

    fn thirty_attempts_a_minute_from_one_network_are_enough(world) {
        let app = limited(&world);
        for number in 0..30 {
            let name = format!("nobody{number}@example.com");
            let from = format!("198.51.100.{number}");
            log_in_from(&app, &from, &name, "wrong").refused(401, "invalid_credentials");
        }
        log_in_from(&app, ELSEWHERE, "x@example.com", "wrong").refused(429, "rate_limited");
        log_in_from(&app, "198.51.101.1", "x@example.com", "wrong").refused(401, "invalid_credentials");
        world.advance(SECOND * 60);
        log_in_from(&app, ELSEWHERE, "x@example.com", "wrong").refused(401, "invalid_credentials");
    }

    fn nobody_can_be_flooded_with_mail(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        world.advance(HOUR);
        let ask = |path: &str, email: &str, from: &str| {
            app.post_with(path, &[("x-forwarded-for", from)], &json!({"email": email}))
        };
        for email in [MINA, "nobody@example.com"] {
            for (number, path) in
                ["/v1/password-reset", "/v1/verify-email/resend", "/v1/password-reset"]
                    .into_iter()
                    .enumerate()
            {
                ask(path, email, &format!("198.51.{number}.1")).is(202);
            }
            let refused = ask("/v1/password-reset", email, "192.0.2.1").refused(429, "rate_limited");
            assert_eq!(refused.header("retry-after"), Some("3600"));
            let body = json!({"email": email, "password": PASSWORD});
            let register = app.post_with("/v1/register", &[("x-forwarded-for", "192.0.3.1")], &body);
            register.refused(429, "rate_limited");
        }
        world.advance(HOUR);
        ask("/v1/password-reset", MINA, "192.0.2.1").is(202);
    }

    fn one_network_and_one_domain_and_all_have_budgets(world) {
        let app = limited_with(&world, &[
            ("HALLPASS_LIMIT_MAIL_DOMAIN", "10"),
            ("HALLPASS_LIMIT_MAIL_TOTAL", "22"),
        ]);
        let ask = |email: String, from: &str| {
            app.post_with("/v1/password-reset", &[("x-forwarded-for", from)], &json!({"email": email}))
        };
        for number in 0..20 {
            ask(format!("a{number}@d{number}.example"), HOME).is(202);
        }
        ask("a@last.example".into(), HOME).refused(429, "rate_limited");
        ask("a@last.example".into(), ELSEWHERE).is(202);
        ask("b@last.example".into(), ELSEWHERE).is(202);
        let all = ask("c@last.example".into(), "192.0.2.1").refused(429, "rate_limited");
        assert_eq!(all.header("retry-after"), Some("86400"));
        world.advance(HOUR * 24);
        for number in 0..10 {
            ask(format!("p{number}@one.example"), &format!("192.0.{number}.1")).is(202);
        }
        ask("q@one.example".into(), "192.0.99.1").refused(429, "rate_limited");
    }

    fn all_spellings_of_one_address_are_counted_as_one(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        let spellings = [
            "mina@example.com", "MINA@EXAMPLE.COM", "mina@exam\u{ad}ple.com",
            "mina@exa\u{ad}\u{ad}mple.com", "mina@example\u{3002}com",
        ];
        for name in spellings {
            log_in_from(&app, ELSEWHERE, name, "wrong").refused(401, "invalid_credentials");
        }
        for name in spellings {
            log_in_from(&app, ELSEWHERE, name, PASSWORD).refused(429, "rate_limited");
        }
    }

    fn what_is_counted_tells_nobody_whom(world) {
        let app = limited(&world);
        log_in_from(&app, ELSEWHERE, MINA, "wrong").refused(401, "invalid_credentials");
        assert_eq!(world.count("limits"), 4);
        assert_eq!(world.count("limits WHERE name LIKE '%mina%' OR name LIKE '%198%'"), 0);
    }

    fn the_django_face_counts_too(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        let ask = || {
            let body = json!({"username": MINA, "password": "wrong"}).to_string();
            let headers =
                [("content-type", "application/json"), ("x-forwarded-for", ELSEWHERE)];
            app.send_undocumented("POST", "/api-token-auth/", &headers, body)
        };
        for _ in 0..5 {
            assert_eq!(ask().status, 400);
        }
        let refused = ask();
        assert_eq!(refused.status, 429);
        assert_eq!(refused.header("retry-after"), Some("900"));
        let text = "Request was throttled. Expected available in 900 seconds.";
        assert_eq!(refused.json(), json!({"detail": text}));
        log_in_from(&app, ELSEWHERE, MINA, PASSWORD).refused(429, "rate_limited");
    }
}
