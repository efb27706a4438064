//! Responses to the authentication subrequest of a reverse proxy.

use serde_json::json;

use crate::support::cookies::{Cookies, FRONT_END, SETTINGS};
use crate::support::{Answer, PASSWORD, SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";
const PATH: &str = "/v1/forward-auth";

fn person(world: &World, app: &TestApp, email: &str, username: &str) -> Tokens {
    let body = json!({"email": email, "username": username, "password": PASSWORD});
    let token = app.register_with(&body);
    app.verify_code(&token, &world.proof(email, 1).code).is(200).tokens()
}

fn by_bearer(app: &TestApp, token: &str) -> Answer {
    app.send("GET", PATH, &[("authorization", &format!("Bearer {token}"))], "")
}

fn by_cookie(app: &TestApp, token: &str, headers: &[(&str, &str)]) -> Answer {
    let cookie = format!("__Host-hallpass_access={token}");
    let headers = [headers, &[("cookie", cookie.as_str())]].concat();
    app.send("GET", PATH, &headers, "")
}

/// Returns the user of a request that may pass.
#[track_caller]
fn told(answer: &Answer) -> [&str; 3] {
    assert_eq!(answer.status, 200, "{}", answer.shown());
    assert!(answer.body.is_empty());
    ["x-auth-user-id", "x-auth-username", "x-auth-email"].map(|name| {
        assert_eq!(answer.headers.get_all(name).iter().count(), 1, "{name}");
        answer.header(name).unwrap()
    })
}

/// No user is named, and the response says what is missing.
#[track_caller]
fn turned_away(answer: Answer, code: &str) {
    let answer = answer.refused(401, code);
    let challenge = answer.header("www-authenticate").unwrap();
    let was_sent = code.starts_with("token_");
    assert_eq!(challenge, if was_sent { "Bearer error=\"invalid_token\"" } else { "Bearer" });
    for name in ["x-auth-user-id", "x-auth-username", "x-auth-email"] {
        assert_eq!(answer.header(name), None);
    }
}

on_both! {
    fn a_good_token_passes_and_tells_who_it_is(world) {
        let app = world.app();
        let tokens = person(&world, &app, MINA, "mina");
        for answer in [by_bearer(&app, &tokens.access), by_cookie(&app, &tokens.access, &[])] {
            assert_eq!(told(&answer), ["1", "mina", MINA]);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
        }
        let bearer = format!("Bearer {}", tokens.access);
        let headers = [("authorization", bearer.as_str())];
        assert_eq!(told(&app.send("HEAD", PATH, &headers, "")), ["1", "mina", MINA]);
        assert_eq!(told(&app.send("GET", "/v1/forward-auth/", &headers, "")), ["1", "mina", MINA]);
        // What the client made up about itself is not repeated.
        let spoofed = [headers[0], ("x-auth-user-id", "999"), ("x-auth-email", "root@example.com")];
        assert_eq!(told(&app.send("GET", PATH, &spoofed, "")), ["1", "mina", MINA]);
    }

    fn a_proxy_may_ask_with_any_method_and_path(world) {
        let app = world.app_with(&SETTINGS);
        let tokens = person(&world, &app, MINA, "mina");
        let bearer = format!("Bearer {}", tokens.access);
        let good = [("authorization", bearer.as_str())];
        let cookie = format!("__Host-hallpass_access={}", tokens.access);
        let foreign = [("cookie", cookie.as_str()), ("origin", "https://evil.test")];
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "PURGE",
            "BREW", "M-SEARCH",
        ] {
            for below in [
                "", "/", "/app", "/app/", "/v1/me", "/a//b/../c.php", "/%00/%ff%2F", "/김", "//",
                "/api?access_token=x&a=%zz", "/.well-known/x", "/v1/forward-auth",
            ] {
                let path = format!("{PATH}{below}");
                let ask = |headers: &[(&str, &str)]| app.send(method, &path, headers, "");
                assert_eq!(told(&ask(&good)), ["1", "mina", MINA], "{method} {path}");
                turned_away(ask(&[]), "authentication_required");
                turned_away(ask(&[("authorization", "Bearer x")]), "token_invalid");
                ask(&foreign).refused(403, "origin_rejected");
            }
        }
        assert_eq!(told(&app.send("HEAD", &format!("{PATH}/app"), &good, "")), ["1", "mina", MINA]);
        // The body is the application's affair.
        for body in ["{", "\0\u{1}", &"x".repeat(200_000)] {
            let headers = [good[0], ("content-type", "text/x-whatever")];
            assert_eq!(told(&app.send("POST", &format!("{PATH}/upload"), &headers, body))[1], "mina");
        }
        for other in ["/v1/forward-authx", "/v1/forward-auth.html", "/v1/forward-aut", "/V1/forward-auth"] {
            app.send("GET", other, &good, "").refused(404, "not_found");
        }
    }

    fn a_preflight_that_a_proxy_asks_about_is_a_request_like_any_other(world) {
        let app = world.app_with(&SETTINGS);
        let tokens = person(&world, &app, MINA, "mina");
        let bearer = format!("Bearer {}", tokens.access);
        for origin in [FRONT_END, "https://evil.test"] {
            for path in [PATH.to_owned(), format!("{PATH}/app")] {
                let headers = [("origin", origin), ("access-control-request-method", "DELETE")];
                turned_away(app.send("OPTIONS", &path, &headers, ""), "authentication_required");
                let headers = [&headers[..], &[("authorization", bearer.as_str())]].concat();
                assert_eq!(told(&app.send("OPTIONS", &path, &headers, ""))[1], "mina");
            }
        }
    }

    fn the_questions_of_proxies_are_counted_as_one_endpoint(world) {
        let app = world.app();
        for (method, below) in [("GET", ""), ("POST", "/a"), ("BREW", "/b/c"), ("HEAD", "/")] {
            app.send(method, &format!("{PATH}{below}"), &[], "").is(401);
        }
        let metrics = String::from_utf8(app.get("/metrics").is(200).body).unwrap();
        let line = metrics.lines().find(|line| line.contains("forward-auth") && line.contains("401"));
        assert!(line.is_some_and(|line| line.ends_with(" 4")), "{line:?}");
    }

    fn names_that_no_header_can_carry_are_escaped(world) {
        let app = world.app();
        let tokens = person(&world, &app, "50%off+x@example.com", "김민아");
        let answer = by_bearer(&app, &tokens.access);
        assert_eq!(told(&answer),
            ["1", "%EA%B9%80%EB%AF%BC%EC%95%84", "50%25off+x@example.com"]);
        world.execute("UPDATE users SET username = 'Ünï ~x', email = NULL, email_norm = NULL");
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        assert_eq!(told(&by_bearer(&app, &next.access)), ["1", "%C3%9Cn%C3%AF ~x", ""]);
        assert_eq!(told(&by_cookie(&app, &next.access, &[])), ["1", "%C3%9Cn%C3%AF ~x", ""]);
    }

    fn what_does_not_count_does_not_pass(world) {
        let app = world.app();
        let tokens = person(&world, &app, MINA, "mina");
        turned_away(app.get(PATH), "authentication_required");
        turned_away(app.send("HEAD", PATH, &[], ""), "");
        for token in ["nonsense", "", &tokens.refresh, &format!("{}x", tokens.access)] {
            turned_away(by_cookie(&app, token, &[]), "token_invalid");
        }
        for token in ["nonsense", &tokens.refresh, &format!("{}x", tokens.access)] {
            turned_away(by_bearer(&app, token), "token_invalid");
        }
        for header in ["", "Bearer", "Basic bWluYTpw", &tokens.access] {
            let answer = app.send("GET", PATH, &[("authorization", header)], "");
            turned_away(answer, "authentication_required");
        }
        let query = format!("{PATH}?access_token={}", tokens.access);
        turned_away(app.get(&query), "authentication_required");
        let late = app.refresh(&tokens.refresh).is(200).tokens();
        app.revoke(&late.refresh).is(204);
        turned_away(by_bearer(&app, &tokens.access), "token_revoked");
        turned_away(by_cookie(&app, &late.access, &[]), "token_revoked");
        let old = app.log_in(MINA, PASSWORD).is(200).tokens();
        world.advance(SECOND * 305);
        turned_away(by_bearer(&app, &old.access), "token_expired");
        turned_away(by_cookie(&app, &old.access, &[]), "token_expired");
    }

    fn of_token_and_cookie_the_token_counts(world) {
        let app = world.app();
        let mina = person(&world, &app, MINA, "mina");
        let other = person(&world, &app, "other@example.com", "other");
        let bearer = format!("Bearer {}", other.access);
        let both = by_cookie(&app, &mina.access, &[("authorization", &bearer)]);
        assert_eq!(told(&both)[1], "other");
        for header in ["Bearer nonsense", "Basic bWluYTpw", ""] {
            let answer = by_cookie(&app, &mina.access, &[("authorization", header)]);
            assert_eq!(answer.status, 401, "{header}");
        }
        // A token that is sent on purpose needs no origin.
        let headers = [("authorization", bearer.as_str()), ("origin", "https://evil.test")];
        assert_eq!(told(&app.send("GET", PATH, &headers, ""))[1], "other");
    }

    fn the_cookies_of_cookie_mode_are_told_apart(world) {
        let app = world.app_with(&SETTINGS);
        person(&world, &app, MINA, "mina");
        let cookies = app.log_in_page("mina").is(200).cookies();
        let ask = |cookie: &str| app.send("GET", PATH, &[("cookie", cookie)], "");
        assert_eq!(told(&ask(&cookies.header()))[1], "mina");
        let Cookies { refresh, access } = &cookies;
        turned_away(ask(&format!("__Host-hallpass_refresh={refresh}")), "authentication_required");
        turned_away(ask(&format!("__Host-hallpass_access={refresh}")), "token_invalid");
        turned_away(ask(&format!("hallpass_access={access}")), "authentication_required");
        turned_away(ask(&format!("__host-hallpass_access={access}")), "authentication_required");
        let two = format!("__Host-hallpass_access={access}; __Host-hallpass_access=x");
        turned_away(ask(&two), "authentication_required");
        app.post_from_page("/v1/token-revoke", Some(&cookies), &json!({})).is(204);
        turned_away(ask(&cookies.header()), "token_revoked");
    }

    fn a_page_of_a_foreign_origin_cannot_send_the_cookie(world) {
        let app = world.app_with(&SETTINGS);
        let token = person(&world, &app, MINA, "mina").access;
        for headers in [
            &[][..],
            &[("origin", FRONT_END)],
            &[("origin", "http://auth.test")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            // Whether a link from elsewhere brings the cookie is for SameSite to say.
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            &[("origin", FRONT_END), ("sec-fetch-site", "cross-site")],
        ] {
            assert_eq!(told(&by_cookie(&app, &token, headers))[1], "mina", "{headers:?}");
        }
        for headers in [
            &[("origin", "https://evil.test")][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "https://app.test.evil.test")],
            &[("origin", "http://app.test")],
            &[("origin", FRONT_END), ("origin", "https://evil.test")],
            &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            &[("origin", "https://evil.test"), ("sec-fetch-mode", "navigate")],
            &[("sec-fetch-site", "")],
        ] {
            let answer = by_cookie(&app, &token, headers).refused(403, "origin_rejected");
            assert_eq!(answer.header("x-auth-user-id"), None, "{headers:?}");
        }
    }
}
