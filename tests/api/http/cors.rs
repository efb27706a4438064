//! Pages of other origins: which may call, and what they may read.

use serde_json::json;

use crate::support::cookies::{FRONT_END, SETTINGS};
use crate::support::{Answer, PASSWORD, TestApp, World, on_both};

const FOREIGN: [&str; 16] = [
    "https://evil.test",
    "null",
    "",
    "*",
    "https://app.test.evil.test",
    "https://evil-app.test",
    "https://evil.app.test",
    "https://app.tes",
    "https://app.test.",
    "http://app.test",
    "https://app.test:8443",
    "https://app.test/",
    "https://APP.test",
    "http://127.0.0.1:5174",
    "http://localhost:5173",
    "file://",
];

const PRODUCTION: [(&str, &str); 4] = [
    ("HALLPASS_PUBLIC_URL", "https://auth.test"),
    ("HALLPASS_ENV", "production"),
    ("HALLPASS_BCRYPT_COST", "10"),
    ("HALLPASS_LIMITS", "on"),
];

fn preflight(app: &TestApp, origin: &str, path: &str, method: &str, wanted: &str) -> Answer {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", wanted),
    ];
    app.send("OPTIONS", path, &headers, "")
}

/// A header's comma-separated words in lower case, sorted.
fn words(answer: &Answer, name: &str) -> Vec<String> {
    let header = answer.header(name).unwrap_or_default();
    let mut words: Vec<String> = header.split(',').map(|it| it.trim().to_lowercase()).collect();
    words.sort();
    words
}

/// A page of that origin may read the answer.
#[track_caller]
fn readable(answer: &Answer, origin: &str) {
    let shown = answer.shown();
    assert_eq!(answer.headers.get_all("access-control-allow-origin").iter().count(), 1, "{shown}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin), "{shown}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"), "{shown}");
    varies(answer);
}

/// No cache hands the answer to a page of another origin.
#[track_caller]
fn varies(answer: &Answer) {
    assert!(words(answer, "vary").contains(&"origin".to_owned()), "{}", answer.shown());
}

#[track_caller]
fn unreadable(answer: &Answer, origin: &str) {
    assert_eq!(answer.header("access-control-allow-origin"), None, "{origin}: {}", answer.shown());
}

on_both! {
    fn a_preflight_of_an_allowed_page_lists_methods_and_headers(world) {
        let app = world.app_with(&SETTINGS);
        for origin in [FRONT_END, "http://127.0.0.1:5173"] {
            for (path, method) in [
                ("/v1/token-auth", "POST"), ("/v1/me", "PATCH"), ("/v1/me/", "DELETE"),
                ("/v1/users/7", "DELETE"), ("/v1/revocations", "GET"), ("/users/7/", "PUT"),
                ("/api-token-auth/", "POST"), ("/nothing", "GET"), ("/v1/me", "HEAD"),
            ] {
                let wanted = "content-type, Authorization,accept-language,if-none-match";
                let answer = preflight(&app, origin, path, method, wanted).is(200);
                readable(&answer, origin);
                assert_eq!(words(&answer, "access-control-allow-methods"),
                    ["delete", "get", "head", "patch", "post", "put"]);
                let allowed = words(&answer, "access-control-allow-headers");
                for name in ["accept-language", "authorization", "content-type", "if-none-match"] {
                    assert!(allowed.contains(&name.to_owned()), "{name}: {allowed:?}");
                }
                assert_eq!(answer.header("access-control-max-age"), Some("600"));
            }
        }
        for (method, wanted, detail) in [
            ("BREW", "", "The page may not use this method."),
            ("GET", "x-evil", "The page may not send these request headers."),
            ("GET", "x evil", "The names of the request headers cannot be read."),
        ] {
            let answer = preflight(&app, FRONT_END, "/v1/me", method, wanted);
            assert_eq!(answer.refused(403, "origin_rejected").json()["detail"], detail);
        }
        let foreign = preflight(&app, "https://evil.test", "/v1/me", "GET", "x-evil");
        let foreign = foreign.refused(403, "origin_rejected").json();
        assert_eq!(foreign["detail"], "The origin of the page is not allowed.");
    }

    fn empty_elements_of_a_list_of_headers_are_ignored(world) {
        let app = world.app_with(&SETTINGS);
        for wanted in ["authorization,,traceparent", ",authorization", "authorization, ", "", ",", " , "] {
            readable(&preflight(&app, FRONT_END, "/v1/me", "GET", wanted).is(200), FRONT_END);
        }
        for wanted in ["authorization,,x-evil", ",x-evil"] {
            preflight(&app, FRONT_END, "/v1/me", "GET", wanted).refused(403, "origin_rejected");
        }
        let lines = [
            ("origin", FRONT_END),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "authorization"),
            ("access-control-request-headers", "x-evil"),
        ];
        app.send("OPTIONS", "/v1/me", &lines, "").refused(403, "origin_rejected");
        readable(&app.send("OPTIONS", "/v1/me", &lines[..3], "").is(200), FRONT_END);
    }

    fn headers_of_libraries_and_tracing_are_allowed_and_others_by_setting(world) {
        let app = world.app_with(&SETTINGS);
        for wanted in [
            "traceparent", "tracestate,traceparent", "sentry-trace, baggage", "Baggage,Sentry-Trace",
            "x-request-id", "x-correlation-id", "x-requested-with", "accept-language",
            "x-datadog-trace-id,x-datadog-origin", "b3", "x-b3-traceid", "if-none-match",
            "authorization,content-type,traceparent", "cache-control,pragma",
            "x-newrelic-id,newrelic", "x-dtpc,x-dtreferer", "X-INSTANA-T,X-INSTANA-S,X-INSTANA-L",
            "user-agent", "range", "x-xsrf-token", "cache-control,expires,pragma", "ngsw-bypass",
            "ot-tracer-traceid,ot-tracer-spanid,ot-tracer-sampled", "x-ms-request-root-id,request-id",
        ] {
            let answer = preflight(&app, FRONT_END, "/v1/token-auth", "POST", wanted).is(200);
            readable(&answer, FRONT_END);
            preflight(&app, "https://evil.test", "/v1/token-auth", "POST", wanted)
                .refused(403, "origin_rejected");
        }
        for refused in ["x-tenant", "x-client-version", "cookie", "x-forwarded-for", "*"] {
            preflight(&app, FRONT_END, "/v1/me", "GET", refused).refused(403, "origin_rejected");
        }
        let headers = ("HALLPASS_CORS_HEADERS", "X-Tenant , x-client-version");
        let app = world.app_with(&[&SETTINGS[..], &[headers]].concat());
        for wanted in ["x-tenant", "X-Client-Version,traceparent", "content-type"] {
            preflight(&app, FRONT_END, "/v1/me", "GET", wanted).is(200);
        }
        preflight(&app, FRONT_END, "/v1/me", "GET", "x-evil").refused(403, "origin_rejected");
    }

    fn installed_apps_have_origins_too(world) {
        let apps = [
            "tauri://localhost", "capacitor://localhost", "ionic://localhost", "app://.",
            "com.example.app://localhost:8080", "http://tauri.localhost",
            "moz-extension://0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10",
        ];
        let list = apps.join(",");
        let app = world.app_with(&[("HALLPASS_CORS_ORIGINS", list.as_str())]);
        app.person(&world, "mina@example.com");
        let cookies = json!({"username": "mina@example.com", "password": PASSWORD, "use_cookie": true});
        let log_in = |origin: &str| app.post_with("/v1/token-auth", &[("origin", origin)], &cookies);
        for origin in apps {
            readable(&preflight(&app, origin, "/v1/me", "GET", "authorization").is(200), origin);
            readable(&log_in(origin).is(200), origin);
        }
        for foreign in ["tauri://evil", "tauri://localhost:1", "TAURI://localhost", "tauri://", "evil://localhost"] {
            preflight(&app, foreign, "/v1/me", "GET", "").refused(403, "origin_rejected");
            log_in(foreign).refused(403, "origin_rejected");
        }
    }

    fn a_foreign_page_is_refused_beforehand(world) {
        let app = world.app_with(&SETTINGS);
        for origin in FOREIGN {
            for path in ["/v1/token-auth", "/users/7/", "/nothing"] {
                let answer = preflight(&app, origin, path, "POST", "content-type");
                let answer = answer.refused(403, "origin_rejected");
                unreadable(&answer, origin);
                for name in ["methods", "headers", "credentials"] {
                    let name = format!("access-control-allow-{name}");
                    assert_eq!(answer.header(&name), None, "{origin}");
                }
            }
        }
    }

    fn an_answer_is_for_pages_of_the_exact_origin(world) {
        let app = world.app_with(&SETTINGS);
        let tokens = app.person(&world, "mina@example.com");
        let bearer = format!("Bearer {}", tokens.access);
        let ask = |origin: &str| {
            app.send("GET", "/v1/me", &[("origin", origin), ("authorization", &bearer)], "").is(200)
        };
        for origin in [FRONT_END, "http://127.0.0.1:5173"] {
            let answer = ask(origin);
            readable(&answer, origin);
            assert_eq!(words(&answer, "access-control-expose-headers"),
                ["etag", "location", "retry-after", "www-authenticate", "x-production-limit", "x-request-id"]);
        }
        for origin in FOREIGN {
            let answer = ask(origin);
            unreadable(&answer, origin);
            varies(&answer);
        }
        // What was asked for without an origin may be kept, and given to a page.
        for path in ["/.well-known/jwks.json", "/v1/config", "/v1/revocations", "/openapi.json"] {
            let answer = app.get(path).is(200);
            unreadable(&answer, "none");
            varies(&answer);
        }
    }

    fn errors_can_be_read_by_allowed_pages_too(world) {
        let app = world.app_with(&SETTINGS);
        app.register("mina@example.com");
        let origin = ("origin", FRONT_END);
        let json = ("content-type", "application/json");
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(17_000));
        let log_in = json!({"username": "nobody", "password": PASSWORD}).to_string();
        for (method, path, headers, body, status) in [
            ("POST", "/v1/token-auth", vec![origin, json], "{", 400),
            ("GET", "/v1/me", vec![origin], "", 401),
            ("POST", "/v1/token-auth", vec![origin, json], &log_in, 401),
            ("POST", "/v1/token-refresh", vec![origin, json], r#"{"use_cookie":true}"#, 401),
            ("GET", "/v1/nothing", vec![origin], "", 404),
            ("DELETE", "/healthz", vec![origin], "", 405),
            ("POST", "/v1/token-auth", vec![origin, json], &large, 413),
            ("POST", "/v1/token-auth", vec![origin], &log_in, 415),
            ("POST", "/v1/token-auth", vec![origin, json], "{}", 422),
        ] {
            readable(&app.send(method, path, &headers, body).is(status), FRONT_END);
        }
        // A plain OPTIONS asks for nothing beforehand.
        readable(&app.send("OPTIONS", "/v1/me", &[origin], "").is(405), FRONT_END);
        world.alter("ALTER TABLE sessions RENAME TO lost");
        world.advance(std::time::Duration::from_secs(31));
        for path in ["/v1/revocations", "/readyz"] {
            let unavailable = app.send("GET", path, &[origin], "").refused(503, "unavailable");
            readable(&unavailable, FRONT_END);
        }
        world.alter("ALTER TABLE lost RENAME TO sessions");
    }

    fn without_a_list_there_is_no_word_of_it(world) {
        let app = world.app_with(&PRODUCTION);
        for origin in [FRONT_END, "http://localhost:5173", "https://auth.test", "null", "https://evil.test"] {
            let answers = [
                preflight(&app, origin, "/v1/token-auth", "POST", "content-type").is(405),
                app.send("GET", "/v1/config", &[("origin", origin)], "").is(200),
                app.send("GET", "/v1/me", &[("origin", origin)], "").is(401),
            ];
            for answer in answers {
                let named = |it: &&reqwest::header::HeaderName| {
                    it.as_str().starts_with("access-control-")
                };
                assert_eq!(answer.headers.keys().find(named), None, "{origin}");
            }
        }
    }

    #[cfg(feature = "drf-jwt")]
    fn the_django_adapter_has_the_same_list(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, "mina@example.com");
        let body = json!({"username": "mina@example.com", "password": PASSWORD}).to_string();
        let ask = |origin: &str, body: &str| {
            let headers = [("origin", origin), ("content-type", "application/json")];
            app.send_undocumented("POST", "/api-token-auth/", &headers, body)
        };
        readable(&ask(FRONT_END, &body).is(200), FRONT_END);
        readable(&ask(FRONT_END, "{}").is(400), FRONT_END);
        for origin in FOREIGN {
            unreadable(&ask(origin, &body).is(200), origin);
        }
        let restricted = app.send_undocumented("GET", "/restricted/", &[("origin", FRONT_END)], "");
        readable(&restricted.is(401), FRONT_END);
        // The framework's own description of a page is no preflight.
        let described =
            app.send_undocumented("OPTIONS", "/api-token-auth/", &[("origin", FRONT_END)], "").is(200);
        assert_eq!(described.json()["name"], "Obtain Json Web Token");
        readable(&described, FRONT_END);
    }
}

#[test]
fn the_own_origin_may_be_on_the_list() {
    let world = World::sqlite();
    let app = world.app_with(&[("HALLPASS_CORS_ORIGINS", "http://auth.test")]);
    let answer = app.send("GET", "/v1/config", &[("origin", "http://auth.test")], "");
    readable(&answer.is(200), "http://auth.test");
}
