//! Bounds on attempts: what they stop, and whom they must not hurt. Those on mail are in
//! `mail_budgets`.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::support::account::RESET;
use crate::support::{DAY, HOUR, PASSWORD, SECOND, TestApp, World, at_once, on_both};

pub const MINA: &str = "mina@example.com";
pub const ELSEWHERE: &str = "198.51.100.7";
pub const HOME: &str = "203.0.113.9";

/// A service behind a proxy on this machine, so that tests can come from anywhere.
pub fn limited(world: &World) -> TestApp {
    limited_with(world, &[])
}

/// Settings of a service with limits, behind a proxy.
pub const LIMITED: [(&str, &str); 2] =
    [("HALLPASS_LIMITS", "on"), ("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")];

pub fn limited_with(world: &World, settings: &[(&str, &str)]) -> TestApp {
    world.app_with(&[&LIMITED[..], settings].concat())
}

pub fn log_in_from(
    app: &TestApp,
    from: &str,
    name: &str,
    password: &str,
) -> crate::support::Answer {
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

    fn of_a_hundred_refreshes_at_once_as_many_are_answered_as_the_limit_allows(world) {
        let few = [("HALLPASS_LIMIT_REFRESH", "60/1m")];
        let apps = [limited_with(&world, &few), limited_with(&world, &few)];
        for _ in 0..3 {
            let body = json!({"refresh_token": "unknown"});
            let ask = |number: usize| apps[number % 2].post("/v1/token-refresh", &body);
            let answers = at_once(100, ask);
            assert_eq!(answers.iter().filter(|it| it.status == 401).count(), 60);
            assert_eq!(answers.iter().filter(|it| it.status == 429).count(), 40);
            // The wait is stored, for both instances.
            world.advance(SECOND * 59);
            for number in 0..2 {
                let refused = ask(number).refused(429, "rate_limited");
                assert_eq!(refused.header("retry-after"), Some("1"));
            }
            world.advance(SECOND);
        }
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
        app.ask_reset(MINA).is(202);
        app.reset_by_link(&world.link_about(MINA, RESET, 1), "chosen after the siege").is(204);
    }

    fn after_a_hundred_consecutive_failures_unknown_devices_need_a_verification_by_mail(world) {
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

    fn a_log_in_does_not_reset_the_attempts_of_its_network(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for number in 0..29 {
            let name = format!("nobody{number}@example.com");
            log_in_from(&app, HOME, &name, "wrong").refused(401, "invalid_credentials");
        }
        log_in_from(&app, HOME, MINA, PASSWORD).is(200);
        log_in_from(&app, HOME, "x@example.com", "wrong").refused(429, "rate_limited");
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

    fn failures_in_the_own_network_stop_neither_a_known_device_nor_a_proof_by_mail(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        let device = log_in_from(&app, HOME, MINA, PASSWORD).is(200).text("device_token");
        app.ask_reset(MINA).is(202);
        let link = world.link_about(MINA, RESET, 1);
        for number in 0..30 {
            let answer = log_in_from(&app, HOME, &format!("nobody{number}@example.com"), "wrong");
            assert!(answer.status == 401 || number == 29, "{}", answer.shown());
        }
        log_in_from(&app, HOME, MINA, PASSWORD).refused(429, "rate_limited");
        let body = json!({"username": MINA, "password": PASSWORD, "device_token": device});
        app.post_with("/v1/token-auth", &[("x-forwarded-for", HOME)], &body).is(200);
        let body = json!({"token": link, "new_password": "chosen in the office"});
        app.post_with("/v1/password-reset/confirm", &[("x-forwarded-for", HOME)], &body).is(204);
    }

    fn a_user_who_forgot_the_password_can_log_in_after_the_reset(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for _ in 0..5 {
            log_in_from(&app, HOME, MINA, "forgotten").refused(401, "invalid_credentials");
        }
        log_in_from(&app, HOME, MINA, "forgotten").refused(429, "rate_limited");
        app.ask_reset(MINA).is(202);
        let body = json!({"token": world.link_about(MINA, RESET, 1), "new_password": "a new one to keep"});
        app.post_with("/v1/password-reset/confirm", &[("x-forwarded-for", HOME)], &body).is(204);
        log_in_from(&app, HOME, MINA, "a new one to keep").is(200);
    }

    fn guesses_at_an_account_do_not_fail_the_resets_of_its_owner(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_MAIL_HOURLY", "20")]);
        app.person(&world, MINA);
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for number in 0..8 {
                let (app, is_over) = (&app, &is_over);
                scope.spawn(move || {
                    while !is_over.load(Ordering::Relaxed) {
                        let from = format!("198.51.{number}.1");
                        let answer = log_in_from(app, &from, MINA, "wrong wrong");
                        assert!([401, 429].contains(&answer.status), "{answer:?}");
                    }
                });
            }
            let resets = || {
                for number in 1..=4 {
                    app.ask_reset(MINA).is(202);
                    let token = world.link_about(MINA, RESET, number);
                    let new = format!("plum tree at dusk {number}");
                    app.reset_by_link(&token, &new).is(204);
                }
            };
            let outcome = catch_unwind(AssertUnwindSafe(resets));
            is_over.store(true, Ordering::Relaxed);
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
    }

    fn right_passwords_at_once_do_not_lock_their_owner_out(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for answer in at_once(12, |_| log_in_from(&app, HOME, MINA, PASSWORD)) {
            if answer.status != 200 {
                let wait = answer.header("retry-after").unwrap().parse::<u32>().unwrap();
                assert!(wait <= 20, "{wait} seconds for a right password");
                answer.refused(429, "rate_limited");
            }
        }
        log_in_from(&app, HOME, MINA, PASSWORD).is(200);
    }

    fn a_known_device_has_its_own_bound_and_is_known_for_its_owner_only(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        app.person(&world, "thief@example.com");
        let device_of = |name: &str| log_in_from(&app, HOME, name, PASSWORD).is(200).text("device_token");
        let (own, thiefs) = (device_of(MINA), device_of("thief@example.com"));
        let guess = |device: &str, from: &str, password: &str| {
            let body = json!({"username": MINA, "password": password, "device_token": device});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", from)], &body)
        };
        for _ in 0..5 {
            guess(&thiefs, ELSEWHERE, "wrong").refused(401, "invalid_credentials");
        }
        guess(&thiefs, ELSEWHERE, "wrong").refused(429, "rate_limited");
        log_in_from(&app, ELSEWHERE, MINA, PASSWORD).refused(429, "rate_limited");
        for number in 0..5 {
            guess(&own, &format!("192.0.{number}.1"), "wrong").refused(401, "invalid_credentials");
        }
        guess(&own, "192.0.7.1", PASSWORD).refused(429, "rate_limited");
        log_in_from(&app, HOME, MINA, PASSWORD).is(200);
    }

    fn an_account_has_a_bounded_number_of_log_ins_on_all_its_known_devices(world) {
        let app = limited(&world);
        let log_in_on = |name: &str, device: &str| {
            let body = json!({"username": name, "password": PASSWORD, "device_token": device});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", HOME)], &body)
        };
        let emails = [MINA, "eve@example.com", "ola@example.com", "uma@example.com"];
        let devices = emails.map(|email| {
            app.person(&world, email);
            log_in_from(&app, HOME, email, PASSWORD).is(200).text("device_token")
        });
        let more: Vec<String> = (0..3)
            .map(|_| log_in_from(&app, HOME, "eve@example.com", PASSWORD).is(200).text("device_token"))
            .collect();
        for number in 0..60 {
            log_in_on("eve@example.com", &more[number % 3]).is(200);
        }
        log_in_on("eve@example.com", &more[0]).refused(429, "rate_limited");
        log_in_on("eve@example.com", &devices[1]).refused(429, "rate_limited");
        // More than the network may have for known devices, which takes only their precedence.
        for number in 0..60 {
            log_in_on(emails[2 + number % 2], &devices[2 + number % 2]).is(200);
        }
        log_in_on(MINA, &devices[0]).is(200);
        world.advance(SECOND * 60);
        log_in_on("eve@example.com", &more[0]).is(200);
    }

    fn right_passwords_at_once_under_both_names_are_never_wrong(world) {
        let app = limited(&world);
        let named = json!({"email": MINA, "password": PASSWORD, "username": "mina"});
        app.verify_code(&app.register_with(&named), &world.proof(MINA, 1).code).is(200);
        for answer in at_once(12, |number| log_in_from(&app, HOME, ["mina", MINA][number % 2], PASSWORD)) {
            assert!([200, 429].contains(&answer.status), "{}", answer.shown());
        }
    }

    fn a_user_who_just_registered_is_on_a_known_device(world) {
        let app = limited(&world);
        let registration_token = app.register(MINA);
        let proven = app.verify_code(&registration_token, &world.proof(MINA, 1).code).is(200);
        let again = app.verify_code(&registration_token, &world.proof(MINA, 1).code).is(200);
        assert_eq!(proven.text("device_token"), again.text("device_token"));
        let at_once = limited_with(&world, &[("HALLPASS_EMAIL_VERIFICATION", "none")]);
        let body = json!({"email": "ola@example.com", "password": PASSWORD});
        let ola = at_once.post("/v1/register", &body).is(201);
        for (name, device) in [(MINA, &proven), ("ola@example.com", &ola)] {
            for number in 0..20 {
                let from = format!("198.51.{number}.1");
                log_in_from(&app, &from, name, "wrong").refused(401, "invalid_credentials");
            }
            log_in_from(&app, HOME, name, PASSWORD).refused(429, "rate_limited");
            let device = device.text("device_token");
            let body = json!({"username": name, "password": PASSWORD, "device_token": device});
            app.post_with("/v1/token-auth", &[("x-forwarded-for", HOME)], &body).is(200);
        }
    }

    fn a_network_is_24_bits_of_ipv4_and_64_of_ipv6(world) {
        let app = limited(&world);
        app.person(&world, MINA);
        for (inside, outside) in [
            (["192.0.2.1", "192.0.2.255"], "192.0.3.1"),
            (["2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"], "2001:db8:1:3::1"),
        ] {
            for _ in 0..5 {
                log_in_from(&app, inside[0], MINA, "wrong").refused(401, "invalid_credentials");
            }
            log_in_from(&app, inside[1], MINA, PASSWORD).refused(429, "rate_limited");
            log_in_from(&app, outside, MINA, PASSWORD).is(200);
        }
    }

    fn the_link_of_a_change_of_address_is_no_way_to_guess_the_password(world) {
        let app = limited(&world);
        let mina = app.person(&world, MINA);
        app.change_email(&mina.access, "thief@example.com").is(202);
        let link = world.proof("thief@example.com", 1).link_token;
        let guess = |number: i32, password: &str| {
            let body = json!({"token": link, "password": password});
            let from = format!("192.0.{number}.1");
            app.post_with("/v1/verify-email", &[("x-forwarded-for", &from)], &body)
        };
        for number in 0..5 {
            guess(number, "wrong").refused(401, "invalid_credentials");
        }
        guess(5, PASSWORD).refused(429, "rate_limited");
        log_in_from(&app, HOME, MINA, PASSWORD).is(200);
        world.advance(SECOND * 15 * 60);
        guess(6, PASSWORD).is(200);
    }

    fn codes_and_links_from_one_network_are_bounded_together(world) {
        let app = limited(&world);
        let ask = |number: i32, from: &str| {
            let (path, body) = match number % 3 {
                0 => ("/v1/verify-email", json!({"registration_token": "hpv_none", "code": "123456"})),
                1 => ("/v1/password-reset/confirm", json!({"token": "none", "new_password": PASSWORD})),
                _ => ("/v1/password-reset/confirm",
                      json!({"email": MINA, "code": "123456", "new_password": PASSWORD})),
            };
            app.post_with(path, &[("x-forwarded-for", from)], &body)
        };
        for number in 0..30 {
            assert_eq!(ask(number, HOME).status, 401);
        }
        for number in 0..3 {
            ask(number, HOME).refused(429, "rate_limited");
            assert_eq!(ask(number, ELSEWHERE).status, 401);
        }
        world.advance(SECOND * 60);
        assert_eq!(ask(0, HOME).status, 401);
    }

    fn what_was_typed_as_a_name_is_not_kept_for_a_year(world) {
        let app = limited(&world);
        let guess = |number: i32| {
            let from = format!("198.51.{number}.1");
            log_in_from(&app, &from, &format!("typo{number}@example.com"), "wrong").status
        };
        for number in 0..5 {
            assert_eq!(guess(number), 401);
        }
        // Ten failures are more than a few.
        for number in 0..10 {
            world.advance(SECOND * 16 * 60);
            log_in_from(&app, &format!("192.0.{number}.1"), MINA, "wrong").refused(401, "invalid_credentials");
        }
        let purge = || {
            let clock = std::sync::Arc::new(world.clock.clone());
            hallpass::app::build_flows(&world.config(&[]), clock).unwrap().purge().unwrap();
            world.count("limits")
        };
        world.advance(DAY * 6);
        assert_eq!(purge(), 6);
        world.advance(DAY * 2);
        assert_eq!(purge(), 1);
        world.advance(DAY * 365);
        assert_eq!(purge(), 0);
    }

    fn counters_do_not_reveal_whom_they_count(world) {
        let app = limited(&world);
        log_in_from(&app, ELSEWHERE, MINA, "wrong").refused(401, "invalid_credentials");
        assert_eq!(world.count("limits"), 4);
        assert_eq!(world.count("limits WHERE name LIKE '%mina%' OR name LIKE '%198%'"), 0);
    }

    fn every_request_that_hashes_or_mails_or_guesses_is_bounded(world) {
        let few = [
            ("HALLPASS_LIMIT_NETWORK", "10/1m"), ("HALLPASS_LIMIT_REFRESH", "60/1m"),
            ("HALLPASS_LIMIT_MAIL_NETWORK", "10"),
        ];
        let app = limited_with(&world, &few);
        let user = app.person(&world, MINA);
        let document: serde_json::Value =
            serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for method in operations.as_object().unwrap().keys() {
                let operation = format!("{} {path}", method.to_uppercase());
                if NOT_BOUNDED.contains(&operation.as_str()) {
                    continue;
                }
                let is_bounded = (0..=60).any(|number| {
                    let body = body_that_costs(&operation, number);
                    app.ask_as(&user.access, &method.to_uppercase(), path, &body).status == 429
                });
                // A new request has to be added to one of the lists.
                assert!(is_bounded, "{operation} is answered without a bound");
            }
        }
    }
}

/// Requests that hash nothing, send nothing and cannot be guessed at, and those of staff.
const NOT_BOUNDED: [&str; 39] = [
    "GET /.well-known/jwks.json",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/openid-configuration",
    "GET /healthz",
    "GET /metrics",
    "GET /openapi-3.0.json",
    "GET /openapi.json",
    "GET /readyz",
    "GET /v1/api-keys",
    "POST /v1/api-keys",
    "DELETE /v1/api-keys/{id}",
    "GET /v1/config",
    "GET /v1/forward-auth",
    "POST /v1/introspect",
    "GET /v1/me",
    "PATCH /v1/me",
    "GET /v1/me/events",
    "GET /v1/me/export",
    "GET /v1/me/identities",
    "DELETE /v1/me/identities/{id}",
    "GET /v1/me/sessions",
    "DELETE /v1/me/sessions",
    "DELETE /v1/me/sessions/{id}",
    "POST /v1/not-me",
    "GET /v1/password-policy",
    "GET /v1/revocations",
    "POST /v1/revoke",
    "GET /v1/social/providers",
    "GET /v1/social/{provider}/callback",
    "POST /v1/social/{provider}/callback",
    "POST /v1/token-revoke",
    "POST /v1/token-verify",
    "GET /v1/users",
    "POST /v1/users",
    "GET /v1/users/{id}",
    "PATCH /v1/users/{id}",
    "DELETE /v1/users/{id}",
    "GET /v1/users/{id}/events",
    "DELETE /v1/users/{id}/sessions",
];

/// Inputs that cause the most expensive work of a request.
fn body_that_costs(operation: &str, number: usize) -> serde_json::Value {
    let email = format!("person{number}@example.com");
    match operation {
        "POST /v1/register" => json!({"email": email, "password": PASSWORD}),
        "POST /v1/verify-email" => json!({"registration_token": "hpg_none", "code": "123456"}),
        "POST /v1/verify-email/resend" | "POST /v1/password-reset" => json!({"email": email}),
        "POST /v1/password-reset/confirm" => json!({"token": "none", "new_password": PASSWORD}),
        "POST /v1/token-auth" => json!({"username": email, "password": "wrong"}),
        "POST /v1/token-refresh" => json!({"refresh_token": "hpr_none"}),
        "DELETE /v1/me" => json!({"password": "wrong"}),
        "POST /v1/me/email" => json!({"new_email": email, "password": PASSWORD}),
        "POST /v1/password-change" => {
            json!({"current_password": "wrong", "new_password": "short pear"})
        }
        "POST /v1/social/{provider}/start" => json!({"return_to": "https://app.test/in"}),
        "POST /v1/social/{provider}/finish" => {
            json!({"flow_token": "hps_none", "code": "none", "state": "none"})
        }
        "POST /v1/social/{provider}/token" => json!({"id_token": "none", "nonce": "none"}),
        _ => serde_json::Value::Null,
    }
}
