//! Cookie mode: where the refresh token goes, and where it never goes.

use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::cookies::{Cookies, FRONT_END, SETTINGS};
use crate::support::raw::Raw;
use crate::support::{Answer, DAY, PASSWORD, SECOND, TestApp, contract_of, on_both};

const MINA: &str = "mina@example.com";

/// The attributes of each cookie, sorted.
fn attributes(answer: &Answer) -> Vec<(String, Vec<String>)> {
    let mut cookies: Vec<_> = answer
        .set_cookies()
        .iter()
        .map(|cookie| {
            let mut parts = cookie.split("; ").map(str::to_owned);
            let name = parts.next().unwrap().split('=').next().unwrap().to_owned();
            let mut attributes: Vec<String> = parts.collect();
            attributes.sort();
            (name, attributes)
        })
        .collect();
    cookies.sort();
    cookies
}

fn expected(same_site: &str, access: u32, refresh: u32) -> Vec<(String, Vec<String>)> {
    [("access", access), ("refresh", refresh)]
        .map(|(name, age)| {
            let same_site = format!("SameSite={same_site}");
            let age = format!("Max-Age={age}");
            let all = ["HttpOnly", age.as_str(), "Path=/", same_site.as_str(), "Secure"];
            (format!("__Host-hallpass_{name}"), all.map(str::to_owned).to_vec())
        })
        .to_vec()
}

/// Besides, a log-in makes the device known.
fn expected_of_log_in(same_site: &str) -> Vec<(String, Vec<String>)> {
    let mut cookies = expected(same_site, 300, 604_800);
    let same_site = format!("SameSite={same_site}");
    let all = ["HttpOnly", "Max-Age=31536000", "Path=/", same_site.as_str(), "Secure"];
    cookies.insert(1, ("__Host-hallpass_device".to_owned(), all.map(str::to_owned).to_vec()));
    cookies
}

/// The fault of a field that is too long.
fn faults(field: &str) -> Vec<(String, String)> {
    vec![(field.to_owned(), "too_long".to_owned())]
}

fn refresh_with(app: &TestApp, cookie: &str) -> Answer {
    let headers = [("origin", FRONT_END), ("cookie", cookie)];
    app.post_with("/v1/token-refresh", &headers, &json!({"use_cookie": true}))
}

on_both! {
    fn a_log_in_sets_cookies_that_scripts_cannot_read(world) {
        let app = world.app_with(&SETTINGS);
        let token = app.register(MINA);
        let code = world.proof(MINA, 1).code;
        let body = json!({"registration_token": token, "code": code, "use_cookie": true});
        let verified = app.post_from_page("/v1/verify-email", None, &body).is(200);
        let log_in = app.log_in_page(MINA).is(200);
        assert_eq!(attributes(&verified), expected_of_log_in("Strict"));
        assert_eq!(attributes(&log_in), expected_of_log_in("Strict"));
        for answer in [verified, log_in] {
            let cookies = answer.cookies();
            assert!(cookies.refresh.starts_with("hpr_"));
            assert_eq!(cookies.access, answer.text("access_token"));
            assert_eq!(answer.json()["refresh_expires_in"], 604_800);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let refreshed = app.refresh_page(&cookies).is(200);
            // Scripts read bodies: neither of the two tokens stands in one.
            for body in [answer.json(), refreshed.json()] {
                for field in ["refresh_token", "device_token"] {
                    assert_eq!(body.get(field), None, "{field}");
                }
                assert!(!body.to_string().contains("\"hp"), "{body}");
            }
        }
        for use_cookie in [json!(false), json!(null)] {
            let body = json!({"username": MINA, "password": PASSWORD, "use_cookie": use_cookie});
            let answer = app.post_from_page("/v1/token-auth", None, &body).is(200);
            assert!(answer.set_cookies().is_empty());
            answer.tokens();
        }
        let body = json!({"username": MINA, "password": PASSWORD, "use_cookie": "yes"});
        app.post_from_page("/v1/token-auth", None, &body).refused(422, "validation_failed");
    }

    fn the_longest_names_fit_into_a_cookie(world) {
        // Of all algorithms RS256 has the longest signatures.
        let app = world.app_with(&[SETTINGS[0], ("HALLPASS_JWT_ALGORITHM", "RS256")]);
        let [local, one, two, three] =
            [("a", 64), ("b", 63), ("c", 63), ("d", 57)].map(|(letter, times)| letter.repeat(times));
        let email = format!("{local}@{one}.{two}.{three}.com");
        assert_eq!(email.len(), 254);
        let name = "한".repeat(150);
        let token = app
            .register_with(&json!({"email": email, "password": PASSWORD, "username": name}));
        app.verify_code(&token, &world.proof(&email, 1).code).is(200);
        let answer = app.log_in_page(&email).is(200);
        assert_eq!(app.me(&answer.cookies().access).json()["username"], name);
        for cookie in answer.set_cookies() {
            assert!(cookie.len() < 4096, "{}: {cookie}", cookie.len());
        }
        let cookies = app.refresh_page(&answer.cookies()).is(200).cookies();
        // Longer ones are refused wherever they are chosen.
        let (longer, other) = ("한".repeat(151), email.replace("dd.com", "ddd.com"));
        let named = json!({"email": MINA, "password": PASSWORD, "username": longer});
        assert_eq!(app.post("/v1/register", &named).faults(), faults("username"));
        let addressed = json!({"email": other, "password": PASSWORD});
        assert_eq!(app.post("/v1/register", &addressed).faults(), faults("email"));
        let own = json!({"username": longer});
        let answer = app.as_holder("PATCH", "/v1/me", &cookies.access, &own);
        assert_eq!(answer.faults(), faults("username"));
        assert_eq!(app.change_email(&cookies.access, &other).faults(), faults("new_email"));
        let root = app.superuser(&world, "root@example.com");
        for (body, field) in [(addressed, "email"), (named, "username")] {
            assert_eq!(app.ask_as(&root.access, "POST", "/v1/users", &body).faults(), faults(field));
        }
        let path = format!("/v1/users/{}", root.user_id());
        assert_eq!(app.ask_as(&root.access, "PATCH", &path, &own).faults(), faults("username"));
    }

    fn a_registration_without_proof_sets_them_too(world) {
        for verification in ["optional", "none"] {
            let app = world.app_with(&[SETTINGS[0], ("HALLPASS_EMAIL_VERIFICATION", verification)]);
            let email = format!("{verification}@example.com");
            let body = json!({"email": email, "password": PASSWORD, "use_cookie": true});
            let answer = app.post_from_page("/v1/register", None, &body).is(201);
            assert_eq!(attributes(&answer), expected_of_log_in("Strict"));
            app.refresh_page(&answer.cookies()).is(200);
        }
        let app = world.app_with(&SETTINGS);
        let body = json!({"email": MINA, "password": PASSWORD, "use_cookie": true});
        assert!(app.post_from_page("/v1/register", None, &body).is(202).set_cookies().is_empty());
    }

    fn same_site_is_the_operators_choice(world) {
        world.app().person(&world, MINA);
        for (setting, shown) in [("strict", "Strict"), ("lax", "Lax"), ("none", "None")] {
            let app = world.app_with(&[SETTINGS[0], ("HALLPASS_COOKIE_SAMESITE", setting)]);
            let answer = app.log_in_page(MINA).is(200);
            assert_eq!(attributes(&answer), expected_of_log_in(shown));
            let cookies = answer.cookies();
            let out = app.post_from_page("/v1/token-revoke", Some(&cookies), &json!({}));
            assert_eq!(attributes(&out.is(204)), expected(shown, 0, 0));
        }
    }

    fn the_cookie_is_exchanged_for_the_next(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let mut cookies = app.log_in_page(MINA).is(200).cookies();
        for body in [json!({"use_cookie": true}), json!({}), json!({"use_cookie": false})] {
            world.advance(SECOND);
            let answer = app.post_from_page("/v1/token-refresh", Some(&cookies), &body).is(200);
            assert_eq!(attributes(&answer), expected("Strict", 300, 604_800));
            let next = answer.cookies();
            assert_ne!(next.refresh, cookies.refresh);
            app.me(&next.access).is(200);
            cookies = next;
        }
    }

    fn two_tabs_end_up_with_the_same_cookie_and_no_refusal_clears_one(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let first = app.log_in_page(MINA).is(200).cookies();
        let second = app.refresh_page(&first).is(200).cookies();
        assert_eq!(app.refresh_page(&first).is(200).cookies().refresh, second.refresh);
        let keeps = |answer: Answer, code: &str| {
            assert!(answer.refused(401, code).set_cookies().is_empty(), "{code}");
        };
        let third = app.refresh_page(&second).is(200).cookies();
        keeps(app.refresh_page(&first), "refresh_token_superseded");
        world.advance(SECOND * 31);
        keeps(app.refresh_page(&first), "refresh_token_reused");
        keeps(app.refresh_page(&third), "refresh_token_revoked");
        let late = app.log_in_page(MINA).is(200).cookies();
        world.advance(7 * DAY);
        keeps(app.refresh_page(&late), "refresh_token_expired");
        keeps(refresh_with(&app, "__Host-hallpass_refresh=nonsense"), "refresh_token_unknown");
        keeps(refresh_with(&app, "__Host-hallpass_refresh="), "refresh_token_unknown");
        keeps(refresh_with(&app, "other=1"), "refresh_token_unknown");
        keeps(app.post_from_page("/v1/token-refresh", None, &json!({"use_cookie": true})),
            "refresh_token_unknown");
    }

    fn logging_out_clears_both_cookies_and_ends_the_session(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        for body in [json!({"use_cookie": true}), json!({})] {
            let cookies = app.log_in_page(MINA).is(200).cookies();
            let answer = app.post_from_page("/v1/token-revoke", Some(&cookies), &body).is(204);
            assert_eq!(attributes(&answer), expected("Strict", 0, 0));
            assert_eq!((answer.cookies().refresh, answer.cookies().access), Default::default());
            app.me(&cookies.access).refused(401, "token_revoked");
            app.refresh_page(&cookies).refused(401, "refresh_token_revoked");
            // Another tab, a moment later.
            app.post_from_page("/v1/token-revoke", Some(&cookies), &body).is(204);
        }
        let nothing = app.post_from_page("/v1/token-revoke", None, &json!({"use_cookie": true})).is(204);
        assert_eq!(attributes(&nothing), expected("Strict", 0, 0));
    }

    fn a_token_that_comes_one_way_is_not_answered_the_other(world) {
        let app = world.app_with(&SETTINGS);
        let in_body = app.person(&world, MINA);
        let cookies = app.log_in_page(MINA).is(200).cookies();
        let both = json!({"refresh_token": in_body.refresh, "use_cookie": true});
        for path in ["/v1/token-refresh", "/v1/token-revoke"] {
            for cookies in [None, Some(&cookies)] {
                let faults = app.post_from_page(path, cookies, &both).faults();
                assert_eq!(faults[0].0, "refresh_token");
            }
            let nothing = app.post(path, &json!({})).faults();
            assert_eq!(nothing, [("refresh_token".to_owned(), "required".to_owned())]);
        }
        // What is in the body is meant, and the cookie's session is left alone.
        let body = json!({"refresh_token": in_body.refresh});
        let next = app.post_from_page("/v1/token-refresh", Some(&cookies), &body).is(200);
        assert!(next.set_cookies().is_empty());
        let body = json!({"refresh_token": next.tokens().refresh});
        let out = app.post_from_page("/v1/token-revoke", Some(&cookies), &body).is(204);
        assert!(out.set_cookies().is_empty());
        app.me(&next.tokens().access).refused(401, "token_revoked");
        app.refresh_page(&cookies).is(200);
    }

    fn the_cookies_are_no_credentials_elsewhere(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let cookies = app.log_in_page(MINA).is(200).cookies();
        let swapped = Cookies { refresh: cookies.access.clone(), access: cookies.refresh.clone() };
        let document: Value =
            serde_json::from_str(&hallpass::http::openapi::document()).unwrap();
        let mut wanting_a_token = Vec::new();
        for (path, operations) in document["paths"].as_object().unwrap() {
            let operations = operations.as_object().unwrap().iter();
            // What also serves those without a token does not count a cookie for one either.
            let wants_token = |it: &Value| {
                it["security"].as_array().is_some_and(|all| !all.contains(&json!({})))
            };
            let operations = operations.filter(|(_, it)| wants_token(it));
            let path = path.replace("{id}", "1");
            wanting_a_token.extend(operations.map(|it| (it.0.to_uppercase(), path.clone())));
        }
        // This one takes the cookie of the access token.
        wanting_a_token.retain(|(_, path)| path != "/v1/forward-auth");
        assert!(wanting_a_token.len() > 15, "{wanting_a_token:?}");
        for cookie in [cookies.header(), swapped.header()] {
            let headers = [("origin", FRONT_END), ("cookie", cookie.as_str())];
            for (method, path) in &wanting_a_token {
                app.send(method, path, &headers, "").refused(401, "authentication_required");
            }
            for path in ["/", "/users/", "/users/1/", "/restricted/"] {
                let status = app.send_undocumented("GET", path, &headers, "").status;
                let refused: &[u16] = if HAS_DRF { &[401, 403] } else { &[404] };
                assert!(refused.contains(&status), "{path}: {status}");
            }
        }
        app.refresh_page(&swapped).refused(401, "refresh_token_unknown");
        app.refresh_page(&cookies).is(200);
    }

    fn two_cookies_of_one_name_are_not_guessed_between(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let (one, two) = (app.log_in_page(MINA).cookies(), app.log_in_page(MINA).cookies());
        for [first, second] in [[&one, &two], [&two, &one]] {
            let (first, second) = (&first.refresh, &second.refresh);
            let name = "__Host-hallpass_refresh";
            let cookie = format!("{name}={first}; {name}={second}");
            let refused = refresh_with(&app, &cookie).refused(401, "refresh_token_unknown");
            assert!(refused.set_cookies().is_empty());
            let in_two = [
                ("origin", FRONT_END.to_owned()), ("cookie", format!("{name}={first}")),
                ("cookie", format!("{name}={second}")),
            ];
            let in_two: Vec<(&str, &str)> =
                in_two.iter().map(|(name, value)| (*name, value.as_str())).collect();
            app.post_with("/v1/token-refresh", &in_two, &json!({"use_cookie": true}))
                .refused(401, "refresh_token_unknown");
        }
        app.refresh_page(&one).is(200);
        app.refresh_page(&two).is(200);
    }

    fn of_two_cookies_of_one_name_a_log_out_ends_both(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let (one, two) = (app.log_in_page(MINA).cookies(), app.log_in_page(MINA).cookies());
        let cookie = format!("{}; {}; __Host-hallpass_refresh=x", one.header(), two.header());
        let headers = [("origin", FRONT_END), ("cookie", cookie.as_str())];
        app.post_with("/v1/token-revoke", &headers, &json!({})).is(204);
        for cookies in [one, two] {
            app.me(&cookies.access).refused(401, "token_revoked");
        }
    }

    fn another_spelling_of_a_name_is_another_cookie(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        // Browsers let any host of the same domain set these.
        for (prefix, word) in [
            ("__%48ost-hallpass", "_"), ("%5f%5fHost-hallpass", "_"), ("__Host-hallpass", "%5f"),
            ("\u{a0}__Host-hallpass", "_"), ("\u{2000}__Host-hallpass", "_"),
            ("__host-hallpass", "_"), ("\"__Host-hallpass", "_"), ("$__Host-hallpass", "_"),
        ] {
            let (theirs, own) = (app.log_in_page(MINA).cookies(), app.log_in_page(MINA).cookies());
            let planted = |name: &str, value: &str| format!("{prefix}{word}{name}={value}");
            let refresh = planted("refresh", &theirs.refresh);
            refresh_with(&app, &refresh).refused(401, "refresh_token_unknown");
            let access = planted("access", &theirs.access);
            app.send("GET", "/v1/forward-auth", &[("cookie", &access)], "")
                .refused(401, "authentication_required");
            // Nor does it stand in the way of the real one.
            let both = format!("{access}; {refresh}; {}; {refresh}; {access}", own.header());
            app.send("GET", "/v1/forward-auth", &[("cookie", &both)], "").is(200);
            let next = refresh_with(&app, &both).is(200).cookies();
            let both = format!("{refresh}; {}", next.header());
            let headers = [("origin", FRONT_END), ("cookie", both.as_str())];
            app.post_with("/v1/token-revoke", &headers, &json!({})).is(204);
            app.me(&next.access).refused(401, "token_revoked");
            app.me(&theirs.access).is(200);
        }
    }

    fn a_cookie_that_is_not_utf_8_does_not_hide_the_others(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let own = app.log_in_page(MINA).is(200).cookies();
        let mut raw = Raw::to(&app);
        raw.send(b"GET /v1/forward-auth HTTP/1.1\r\nHost: a\r\nCookie: q=\xe9; \xe9; ");
        raw.send(format!("{}\r\n\r\n", own.header()));
        contract_of("GET", "/v1/forward-auth", raw.answer().unwrap()).is(200);
    }

    fn cookies_of_others_on_the_same_host_do_no_harm(world) {
        let app = world.app_with(&SETTINGS);
        app.person(&world, MINA);
        let mut cookies = app.log_in_page(MINA).is(200).cookies();
        for other in ["flag", "=", "=x", "q=%E9", "q=%", "a=b=c", "\"", "q=\"x", "x=1;;", "김=1"] {
            for before in [true, false] {
                let own = cookies.header();
                let cookie =
                    if before { format!("{other}; {own}") } else { format!("{own}; {other}") };
                let answer = refresh_with(&app, &cookie);
                assert_eq!(answer.status, 200, "{other}: {}", answer.shown());
                cookies = answer.cookies();
                let cookie = format!("{other}; {}", cookies.header());
                let passed = app.send("GET", "/v1/forward-auth", &[("cookie", &cookie)], "");
                assert_eq!(passed.status, 200, "{other}: {}", passed.shown());
            }
        }
    }
}
