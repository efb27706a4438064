//! Development on this machine: the page of mails, the start page, pages of any local port, and
//! limits that only say what production would do.

use std::time::Instant;

use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::raw::Raw;
use crate::support::{Answer, HOUR, PASSWORD, SECOND, TestApp, World, on_both};

const MINA: &str = "mina@example.com";
const BROWSER: (&str, &str) =
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
const PRODUCTION: [(&str, &str); 5] = [
    ("HALLPASS_PUBLIC_URL", "https://auth.test"),
    ("HALLPASS_ENV", "production"),
    ("HALLPASS_BCRYPT_COST", "10"),
    ("HALLPASS_LIMITS", "on"),
    ("HALLPASS_TRUSTED_PROXIES", "none"),
];

fn ask(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Answer {
    app.send_undocumented("GET", path, headers, "")
}

/// Returns the media type of refusals at `/`, which is a path of the Django REST adapter.
const fn kind_at_root() -> &'static str {
    if HAS_DRF { "application/json" } else { "application/problem+json" }
}

fn mails(app: &TestApp, query: &str) -> Vec<Value> {
    let answer = ask(app, &format!("/dev/mails{query}"), &[]).is(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    answer.json()["mails"].as_array().unwrap().clone()
}

on_both! {
    fn a_mail_is_shown_with_its_parts_code_and_link(world) {
        let app = world.app();
        assert_eq!(mails(&app, ""), [Value::Null; 0]);
        let registration = app.register(MINA);
        let mail = mails(&app, "?to=Mina@Example.com&wait=10s").swap_remove(0);
        assert_eq!(mail["to"], MINA);
        for part in ["subject", "text", "html", "date", "id"] {
            assert!(!mail[part].as_str().unwrap().is_empty(), "{part}");
        }
        let (code, link) = (mail["code"].as_str().unwrap(), mail["links"][0].as_str().unwrap());
        assert!(mail["text"].as_str().unwrap().contains(code));
        assert!(link.starts_with("http://auth.test/verify-email?token="), "{link}");
        app.verify_code(&registration, code).is(200);
    }

    fn mails_come_newest_first_and_can_be_waited_for(world) {
        let app = world.app();
        app.register(MINA);
        let first = mails(&app, "?wait=10s").swap_remove(0);
        let after = format!("?after={}", first["id"].as_str().unwrap());
        assert_eq!(mails(&app, &after), [Value::Null; 0]);
        let began = Instant::now();
        assert_eq!(mails(&app, "?to=nobody@example.com&wait=300ms"), [Value::Null; 0]);
        assert!(began.elapsed() >= std::time::Duration::from_millis(300));
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| mails(&app, &format!("{after}&wait=20s")).swap_remove(0));
            world.advance(SECOND);
            app.register("minho@example.com");
            waiting.join().unwrap()
        });
        assert_eq!(second["to"], "minho@example.com");
        let all = mails(&app, "");
        assert_eq!(all, [second, first.clone()]);
        assert_eq!(mails(&app, &format!("?to={MINA}")), [first]);
    }
}

#[test]
fn a_query_that_cannot_be_read_is_refused_with_its_field() {
    let world = World::sqlite();
    let app = world.app();
    for (query, field, code) in [
        ("?wait=5", "wait", "invalid_format"),
        ("?wait=31s", "wait", "invalid_format"),
        ("?from=a", "from", "unknown_field"),
    ] {
        let faults = ask(&app, &format!("/dev/mails{query}"), &[]).faults();
        assert_eq!(faults, [(field.to_owned(), code.to_owned())]);
    }
    app.send_undocumented("POST", "/dev/mails", &[], "").refused(405, "method_not_allowed");
}

#[test]
fn foreign_hosts_pages_and_proxies_are_refused() {
    let world = World::sqlite();
    let app = world.app();
    for header in [
        ("host", "evil.test"),
        ("host", "auth.test:8000"),
        ("origin", "http://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "evil.test"),
        ("x-forwarded-proto", "https"),
        ("via", "1.1 tunnel"),
    ] {
        for path in ["/dev/mails", "/dev/mails?wait=x", "/dev/mails/", "/dev/mails.js"] {
            ask(&app, path, &[header]).refused(403, "origin_rejected");
            ask(&app, path, &[header, BROWSER]).refused(403, "origin_rejected");
        }
    }
    // The authority of the target counts, whatever `Host` says.
    for (target, status) in [("http://evil.test", 403), ("http://localhost", 200), ("", 200)] {
        let mut raw = Raw::to(&app);
        raw.send(format!("GET {target}/dev/mails HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_eq!(raw.answer().unwrap().status, status, "{target}");
    }
    // A proxy that sends no header of its own.
    let mut raw = Raw::to(&app);
    raw.send("GET /dev/mails HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(raw.answer().unwrap().status, 403);
    let host = format!("localhost:{}", app.address.port());
    let answer = ask(&app, "/dev/mails", &[("host", &host), ("origin", "http://localhost:5173")]);
    assert_eq!(answer.is(200).header("access-control-allow-origin"), Some("http://localhost:5173"));
}

#[test]
fn browsers_get_pages() {
    let world = World::sqlite();
    let app = world.app();
    for (path, kind, text) in [
        ("/dev/mails", "text/html; charset=utf-8", "<script src=\"/dev/mails.js\">"),
        ("/dev/mails.js", "text/javascript; charset=utf-8", "/dev/mails?"),
        ("/", "text/html; charset=utf-8", "href=\"/dev/mails\""),
    ] {
        let page = ask(&app, path, &[BROWSER]).is(200);
        assert_eq!(page.header("content-type"), Some(kind));
        let body = String::from_utf8(page.body.clone()).unwrap();
        assert!(body.contains(text), "{path}: {body}");
        if kind.starts_with("text/html") {
            let policy = page.header("content-security-policy").unwrap();
            for wanted in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"] {
                assert!(policy.contains(wanted), "{path}: {policy}");
            }
            assert!(!policy.contains("script-src 'unsafe"), "{policy}");
            assert_eq!(page.header("vary").map(|it| it.contains("Accept")), Some(true));
        }
    }
    // Clients of the Django REST adapter get what is there, without the adapter an error.
    for headers in [
        &[][..],
        &[("accept", "application/json")],
        &[("accept", "text/html, application/json")],
        &[BROWSER, ("authorization", "JWT none")],
        &[BROWSER, ("host", "evil.test")],
    ] {
        let answer = ask(&app, "/", headers);
        let refusals = if HAS_DRF { [401, 403] } else { [404, 404] };
        assert!(refusals.contains(&answer.status), "{headers:?}: {}", answer.shown());
        assert_eq!(answer.header("content-type"), Some(kind_at_root()), "{headers:?}");
    }
}

#[test]
fn production_and_addresses_that_others_reach_have_none_of_it() {
    let world = World::sqlite();
    let reachable = [("HALLPASS_ENV", "development"), ("HALLPASS_BIND", "0.0.0.0:0")];
    for settings in [&PRODUCTION[..], &reachable] {
        let mut app = world.app_with(settings);
        app.address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        for path in ["/dev/mails", "/dev/mails/", "/dev/mails.js"] {
            ask(&app, path, &[BROWSER]).refused(404, "not_found");
        }
        let page = ask(&app, "/", &[BROWSER]).is(if HAS_DRF { 403 } else { 404 });
        assert_eq!(page.header("content-type"), Some(kind_at_root()));
        let answer = ask(&app, "/v1/config", &[("origin", "http://localhost:5173")]).is(200);
        assert_eq!(answer.header("access-control-allow-origin"), None);
    }
}

on_both! {
    fn pages_of_any_local_port_may_call_until_origins_are_named(world) {
        let app = world.app();
        app.person(&world, MINA);
        let cookies = json!({"username": MINA, "password": PASSWORD, "use_cookie": true});
        for (origin, may) in [
            ("http://localhost:5173", true), ("http://127.0.0.1:3000", true), ("http://localhost", true),
            ("https://localhost:5173", false), ("http://localhost.evil.test:5173", false),
            ("http://192.0.2.7:5173", false), ("null", false),
        ] {
            let log_in = app.post_with("/v1/token-auth", &[("origin", origin)], &cookies);
            let allowed = log_in.header("access-control-allow-origin");
            assert_eq!(allowed, Some(origin).filter(|_| may), "{origin}");
            assert_eq!(log_in.status, if may { 200 } else { 403 }, "{origin}");
        }
        let named = world.app_with(&[("HALLPASS_CORS_ORIGINS", "http://localhost:3000")]);
        let headers = [("origin", "http://localhost:5173")];
        named.post_with("/v1/token-auth", &headers, &cookies).refused(403, "origin_rejected");
    }

    fn limits_are_reported_and_refuse_nothing(world) {
        let app = world.app_with(&[("HALLPASS_LIMITS", "report")]);
        let tokens = app.person(&world, MINA);
        for number in 0..12 {
            let answer = app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
            let expected = "429 rate_limited; retry_after=900; \
                            setting=HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK";
            let expected = Some(expected).filter(|_| number >= 5);
            assert_eq!(answer.header("x-production-limit"), expected, "{number}");
        }
        assert!(app.log_in(MINA, PASSWORD).is(200).header("x-production-limit").is_some());
        for number in 0..6 {
            world.advance(SECOND);
            let answer = app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
            assert_eq!(answer.header("x-production-limit").is_some(), number >= 3, "{number}");
            world.mails_to(MINA, 2 + number);
        }
        for number in 0..12 {
            let answer = app.get_as(&tokens.access, "/v1/me/export").is(200);
            let expected = Some("429 rate_limited; retry_after=3600").filter(|_| number >= 10);
            assert_eq!(answer.header("x-production-limit"), expected, "{number}");
        }
        for answer in [app.get("/v1/config"), app.me(&tokens.access)] {
            assert_eq!(answer.header("x-production-limit"), None);
        }
    }

    fn only_a_developer_on_this_machine_reaches_no_limit(world) {
        // An empty setting counts as not set.
        let unset = [("HALLPASS_LIMITS", ""), ("HALLPASS_PUBLIC_URL", "http://127.0.0.1:8000")];
        let wrong = json!({"username": MINA, "password": "wrong"});
        let last_of_seven = |app: &TestApp, headers: &[(&str, &str)]| {
            world.advance(HOUR);
            for _ in 0..6 {
                app.post_with("/v1/token-auth", headers, &wrong);
            }
            app.post_with("/v1/token-auth", headers, &wrong)
        };
        let app = world.app_with(&unset);
        app.person(&world, MINA);
        for headers in [&[][..], &[("origin", "http://localhost:5173")], &[("host", "[::1]:8000")]] {
            let answer = last_of_seven(&app, headers).refused(401, "invalid_credentials");
            assert!(answer.header("x-production-limit").is_some(), "{headers:?}");
        }
        for headers in [
            &[("host", "auth.example.com")][..], &[("x-forwarded-for", "192.0.2.7")],
            &[("via", "1.1 tunnel")], &[("origin", "http://evil.example")],
        ] {
            let answer = last_of_seven(&app, headers).refused(429, "rate_limited");
            assert_eq!(answer.header("x-production-limit"), None, "{headers:?}");
        }
        let proxies = [("HALLPASS_TRUSTED_PROXIES", "127.0.0.1")];
        let behind_a_proxy = world.app_with(&[&unset[..], &proxies].concat());
        last_of_seven(&behind_a_proxy, &[]).refused(429, "rate_limited");
    }

    fn the_hundredth_failure_in_a_row_is_reported_too(world) {
        let app = world.app_with(&[
            ("HALLPASS_LIMITS", "report"), ("HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE", "20"),
            ("HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK", "20/1m"),
        ]);
        app.person(&world, MINA);
        for _ in 0..20 {
            app.log_in(MINA, "wrong").refused(401, "invalid_credentials");
        }
        let answer = app.log_in(MINA, PASSWORD).is(200);
        let expected = "403 proof_required; setting=HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE";
        assert_eq!(answer.header("x-production-limit"), Some(expected));
    }
}
