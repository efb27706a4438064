//! Origins of pages that may use cookies. A refused request has no effect.

use serde_json::{Value, json};

use crate::support::cookies::{Cookies, FRONT_END, SETTINGS};
use crate::support::{Answer, PASSWORD, TestApp, on_both};

const MINA: &str = "mina@example.com";

type Headers = &'static [(&'static str, &'static str)];

const ALLOWED: [Headers; 6] = [
    &[("origin", FRONT_END)],
    &[("origin", "http://127.0.0.1:5173")],
    &[("origin", "http://auth.test")],
    &[("sec-fetch-site", "same-origin")],
    &[("origin", FRONT_END), ("sec-fetch-site", "cross-site")],
    &[("origin", FRONT_END), ("sec-fetch-site", "same-site")],
];

const FOREIGN: [Headers; 27] = [
    &[],
    &[("origin", "null")],
    &[("origin", "")],
    &[("origin", "*")],
    &[("origin", "https://evil.test")],
    &[("origin", "https://app.test.evil.test")],
    &[("origin", "https://evil-app.test")],
    &[("origin", "https://evil.app.test")],
    &[("origin", "https://app.tes")],
    &[("origin", "https://app.test.")],
    &[("origin", "http://app.test")],
    &[("origin", "https://app.test:443")],
    &[("origin", "https://app.test:8443")],
    &[("origin", "https://app.test/")],
    &[("origin", "https://APP.test")],
    &[("origin", "HTTPS://app.test")],
    &[("origin", "https://app.test, https://evil.test")],
    &[("origin", "https://user@app.test")],
    &[("origin", "http://127.0.0.1:5174")],
    &[("origin", "http://localhost:5173")],
    &[("origin", "https://auth.test")],
    &[("origin", FRONT_END), ("origin", "https://evil.test")],
    &[("origin", "https://evil.test"), ("origin", FRONT_END)],
    &[("origin", "https://evil.test"), ("sec-fetch-site", "same-origin")],
    &[("sec-fetch-site", "same-site")],
    &[("sec-fetch-site", "cross-site")],
    &[("sec-fetch-site", "none"), ("referer", "https://app.test/")],
];

fn ask(
    app: &TestApp,
    path: &str,
    from: Headers,
    cookies: Option<&Cookies>,
    body: &Value,
) -> Answer {
    let cookie = cookies.map(Cookies::header);
    let mut headers = from.to_vec();
    headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    app.post_with(path, &headers, body)
}

/// A refusal that touches no cookie.
fn rejected(answer: Answer, from: Headers) {
    assert_eq!(answer.code(), "origin_rejected", "{from:?}");
    let answer = answer.refused(403, "origin_rejected");
    assert!(answer.set_cookies().is_empty(), "{from:?}");
}

on_both! {
    fn only_pages_of_allowed_origins_log_in_with_a_cookie(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let body = json!({"username": MINA, "password": PASSWORD, "use_cookie": true});
        let wrong = json!({"username": MINA, "password": "a wrong one", "use_cookie": true});
        for from in FOREIGN {
            rejected(ask(&app, "/v1/token-auth", from, None, &body), from);
            // Nor does it learn whether the password was right.
            rejected(ask(&app, "/v1/token-auth", from, None, &wrong), from);
        }
        assert_eq!(world.count("sessions"), 1);
        for from in ALLOWED {
            ask(&app, "/v1/token-auth", from, None, &body).is(200).cookies();
            ask(&app, "/v1/token-auth", from, None, &wrong).refused(401, "invalid_credentials");
        }
    }

    fn only_pages_of_allowed_origins_log_in_over_a_cookie_that_is_there(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let cookies = app.log_in_page(MINA).is(200).cookies();
        let body = json!({"username": MINA, "password": PASSWORD});
        for from in FOREIGN {
            rejected(ask(&app, "/v1/token-auth", from, Some(&cookies), &body), from);
        }
        assert_eq!(world.count("sessions"), 2);
        // What has no cookie and wants none needs no origin.
        app.log_in(MINA, PASSWORD).is(200);
    }

    fn only_pages_of_allowed_origins_refresh(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let mut cookies = app.log_in_page(MINA).is(200).cookies();
        for from in FOREIGN {
            for body in [json!({"use_cookie": true}), json!({}), json!({"refresh_token": "hpr_x"})] {
                rejected(ask(&app, "/v1/token-refresh", from, Some(&cookies), &body), from);
            }
            rejected(ask(&app, "/v1/token-refresh", from, None, &json!({"use_cookie": true})), from);
        }
        assert_eq!(world.count("refresh_tokens WHERE used_at IS NOT NULL"), 0);
        for from in ALLOWED {
            let answer = ask(&app, "/v1/token-refresh", from, Some(&cookies), &json!({}));
            cookies = answer.is(200).cookies();
        }
    }

    fn only_pages_of_allowed_origins_log_out(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let cookies = app.log_in_page(MINA).is(200).cookies();
        for from in FOREIGN {
            for body in [json!({"use_cookie": true}), json!({})] {
                rejected(ask(&app, "/v1/token-revoke", from, Some(&cookies), &body), from);
            }
            rejected(ask(&app, "/v1/token-revoke", from, None, &json!({"use_cookie": true})), from);
        }
        app.me(&cookies.access).is(200);
        app.refresh_page(&cookies).is(200);
        for from in ALLOWED {
            let cookies = app.log_in_page(MINA).is(200).cookies();
            ask(&app, "/v1/token-revoke", from, Some(&cookies), &json!({})).is(204);
            app.me(&cookies.access).refused(401, "token_revoked");
        }
    }

    fn only_pages_of_allowed_origins_prove_an_address(world) {
        let app = world.app_with(&SETTINGS);
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let body = json!({"registration_token": token, "code": code, "use_cookie": true});
        let wrong = json!({"registration_token": token, "code": "000000", "use_cookie": true});
        for from in FOREIGN {
            rejected(ask(&app, "/v1/verify-email", from, None, &body), from);
            rejected(ask(&app, "/v1/verify-email", from, None, &wrong), from);
        }
        assert_eq!(world.count("users"), 0);
        assert_eq!(world.count("challenges WHERE code_tries > 0"), 0);
        for from in ALLOWED {
            ask(&app, "/v1/verify-email", from, None, &body).is(200).cookies();
        }
    }

    fn only_pages_of_allowed_origins_register_with_a_cookie(world) {
        for verification in ["optional", "none", "mandatory"] {
            let app = world.app_with(&[SETTINGS[0], ("HALLPASS_EMAIL_VERIFICATION", verification)]);
            let email = format!("{verification}@example.com");
            let body = json!({"email": email, "password": PASSWORD, "use_cookie": true});
            let before = (world.count("users"), world.count("challenges"), world.count("outbox"));
            for from in FOREIGN {
                rejected(ask(&app, "/v1/register", from, None, &body), from);
            }
            let after = (world.count("users"), world.count("challenges"), world.count("outbox"));
            assert_eq!(before, after);
            let status = if verification == "mandatory" { 202 } else { 201 };
            ask(&app, "/v1/register", ALLOWED[0], None, &body).is(status);
        }
    }

    fn without_a_list_only_the_services_own_pages_may(world) {
        let app = world.app_with(&[("HALLPASS_CORS_ORIGINS", "none")]);
        app.person(&world, MINA);
        let body = json!({"username": MINA, "password": PASSWORD, "use_cookie": true});
        for from in [ALLOWED[0], ALLOWED[1], ALLOWED[4]] {
            rejected(ask(&app, "/v1/token-auth", from, None, &body), from);
        }
        for from in [ALLOWED[2], ALLOWED[3]] {
            ask(&app, "/v1/token-auth", from, None, &body).is(200).cookies();
        }
    }
}
