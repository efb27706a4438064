//! Rate limits of the Django REST adapter, most of which it shares with the API.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use serde_json::json;

use crate::api::limits::attempts::{ELSEWHERE, HOME, MINA, limited, limited_with, log_in_from};
use crate::support::{Answer, PASSWORD, on_both};

/// A request with a wrong password for an account.
type Ask<'a> = &'a dyn Fn(&str) -> Answer;

on_both! {
    fn refreshes_of_one_network_are_bounded_together_with_the_api(world) {
        let app = limited_with(&world, &[("HALLPASS_LIMIT_REFRESH", "60/1m")]);
        let refresh = || {
            let body = json!({"refresh_token": "hpr_none"});
            app.post_with("/v1/token-refresh", &[("x-forwarded-for", HOME)], &body)
        };
        let at_the_django_adapter = || {
            let headers = [("content-type", "application/json"), ("x-forwarded-for", HOME)];
            let body = json!({"token": "none"}).to_string();
            app.send_undocumented("POST", "/api-token-refresh/", &headers, body)
        };
        for _ in 0..30 {
            refresh().refused(401, "refresh_token_unknown");
            assert_eq!(at_the_django_adapter().status, 400);
        }
        refresh().refused(429, "rate_limited");
        assert_eq!(at_the_django_adapter().status, 429);
    }

    fn the_django_adapter_counts_too(world) {
        let app = limited(&world);
        let by_form = |name: &str| {
            let body = json!({"username": name, "password": "wrong"}).to_string();
            let headers =
                [("content-type", "application/json"), ("x-forwarded-for", ELSEWHERE)];
            app.send_undocumented("POST", "/api-token-auth/", &headers, body)
        };
        let by_basic = |name: &str| {
            let basic = format!("Basic {}", STANDARD.encode(format!("{name}:wrong")));
            let headers = [("authorization", basic.as_str()), ("x-forwarded-for", ELSEWHERE)];
            app.send_undocumented("GET", "/users/", &headers, "")
        };
        let ways: [(&str, Ask<'_>, u16); 2] =
            [(MINA, &by_form, 400), ("ada@example.com", &by_basic, 403)];
        for (name, ask, wrong) in ways {
            app.person(&world, name);
            for _ in 0..5 {
                assert_eq!(ask(name).status, wrong);
            }
            let refused = ask(name);
            assert_eq!(refused.status, 429);
            assert_eq!(refused.header("retry-after"), Some("900"));
            let text = "Request was throttled. Expected available in 900 seconds.";
            assert_eq!(refused.json(), json!({"detail": text}));
            log_in_from(&app, ELSEWHERE, name, PASSWORD).refused(429, "rate_limited");
        }
    }

    fn every_log_in_and_refresh_of_the_django_adapter_is_bounded(world) {
        let few = [("HALLPASS_LIMIT_NETWORK", "10/1m"), ("HALLPASS_LIMIT_REFRESH", "60/1m")];
        let app = limited_with(&world, &few);
        let refresh = json!({"token": "none"}).to_string();
        for (index, (method, path, has_basic)) in [
            ("POST", "/api-token-auth/", false),
            ("POST", "/api-token-refresh/", false),
            ("GET", "/users/", true),
            ("GET", "/users/1/", true),
            ("GET", "/", true),
        ].into_iter().enumerate() {
            // A name and a network of its own: none finds the limits of another exhausted.
            let (name, from) = (format!("alice{index}"), format!("203.0.{index}.9"));
            let basic = format!("Basic {}", STANDARD.encode(format!("{name}:wrong")));
            let log_in = json!({"username": name, "password": "wrong"}).to_string();
            let (header, body) = match path {
                _ if has_basic => (("authorization", basic.as_str()), ""),
                "/api-token-auth/" => (("content-type", "application/json"), log_in.as_str()),
                _ => (("content-type", "application/json"), refresh.as_str()),
            };
            let is_bounded = (0..=60).any(|_| {
                let headers = [header, ("x-forwarded-for", from.as_str())];
                app.send_undocumented(method, path, &headers, body).status == 429
            });
            assert!(is_bounded, "{method} {path} is answered without a bound");
        }
    }
}
