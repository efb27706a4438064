//! Token introspection (RFC 7662) and revocation (RFC 7009) by services with an API key, and the
//! token endpoint in the form of RFC 6749.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::account::CONFIRM;
use crate::support::contract::BASIC;
use crate::support::{Answer, PASSWORD, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn post(app: &TestApp, path: &str, authorization: Option<&str>, form: &[(&str, &str)]) -> Answer {
    let headers: Vec<_> = authorization.map(|it| ("authorization", it)).into_iter().collect();
    app.post_form(path, &headers, form)
}

fn introspect(app: &TestApp, key: &str, token: &str) -> Value {
    let bearer = format!("Bearer {key}");
    post(app, "/v1/introspect", Some(&bearer), &[("token", token)]).is(200).json()
}

fn revoke(app: &TestApp, key: &str, token: &str) -> Answer {
    post(app, "/v1/revoke", Some(&format!("Bearer {key}")), &[("token", token)])
}

/// Asserts an error of RFC 6749 section 5.2, and returns the faulty fields.
#[track_caller]
fn of_oauth(answer: &Answer, error: &str) -> Vec<(String, String)> {
    let problem = answer.json();
    let told = (answer.status, problem["error"].as_str(), answer.code());
    assert_eq!(told, (400, Some(error), "validation_failed".to_owned()));
    assert_eq!(problem["error_description"], problem["detail"]);
    let faults = problem["errors"].as_array().unwrap().iter();
    let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_owned();
    faults.map(|it| (text(it, "field"), text(it, "code"))).collect()
}

/// A user and a key with both scopes.
fn scene(world: &World, app: &TestApp) -> (Tokens, String) {
    let root = app.superuser(world, "root@example.com");
    let (_, key) = app.api_key(&root, &["introspect", "revoke"]);
    (app.person(world, MINA), key)
}

on_both! {
    fn a_change_of_the_address_is_void_once_a_service_has_revoked_its_session(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let ask = |new: &str| {
            let asking = app.log_in(MINA, PASSWORD).is(200).tokens();
            let waiting = app.change_email(&asking.access, new).is(202).text("registration_token");
            (asking, waiting, world.proof_about(new, CONFIRM, 1))
        };
        for (new, is_refresh) in [("a@new.example", true), ("b@new.example", false)] {
            let (asking, waiting, proof) = ask(new);
            revoke(&app, &key, if is_refresh { &asking.refresh } else { &asking.access }).is(200);
            app.verify_code(&waiting, &proof.code).refused(401, "code_invalid");
            app.verify_password(&proof.link_token, PASSWORD).refused(401, "one_time_token_invalid");
            assert_eq!(app.me(&mina.access).is(200).text("email"), MINA);
        }
        // The user's own log-out leaves it: the link may be opened on another device.
        let (asking, waiting, proof) = ask("c@new.example");
        app.post("/v1/token-revoke", &json!({"refresh_token": asking.refresh})).is(204);
        app.verify_code(&waiting, &proof.code).is(200);
    }

    fn an_active_access_token_is_described_by_its_claims(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let answer = introspect(&app, &key, &mina.access);
        let mut expected = mina.claims();
        expected["active"] = json!(true);
        expected["token_type"] = json!("Bearer");
        assert_eq!(answer, expected);
    }

    fn an_active_refresh_token_is_described_and_stays_unused(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let answer = introspect(&app, &key, &mina.refresh);
        assert_eq!(answer, json!({
            "active": true, "token_type": "refresh_token", "sub": mina.user_id().to_string(),
            "username": MINA, "sid": mina.session, "client_id": "hallpass",
            "iss": "http://auth.test", "exp": world.now() + 7 * 24 * 3600,
        }));
        let next = app.refresh(&mina.refresh).is(200).tokens();
        assert_eq!(introspect(&app, &key, &mina.refresh), json!({"active": false}));
        assert_eq!(introspect(&app, &key, &next.refresh)["active"], true);
    }

    fn whatever_is_not_active_is_answered_alike(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        app.revoke(&mina.refresh).is(204);
        let device = app.log_in(MINA, PASSWORD).is(200).text("device_token");
        for token in [
            "x", "hpr_", "hpr_unknown", "a.b.c", &mina.access, &mina.refresh, &key, &device,
            &format!("{}x", other.access), &format!("{}x", other.refresh), "\u{0}", "é",
        ] {
            assert_eq!(introspect(&app, &key, token), json!({"active": false}), "{token}");
            assert!(revoke(&app, &key, token).is(200).body.is_empty());
        }
        app.me(&other.access).is(200);
        world.advance(std::time::Duration::from_secs(305));
        assert_eq!(introspect(&app, &key, &other.access), json!({"active": false}));
        assert_eq!(introspect(&app, &key, &other.refresh)["active"], true);
        world.execute("UPDATE users SET is_active = FALSE WHERE email = 'mina@example.com'");
        assert_eq!(introspect(&app, &key, &other.refresh), json!({"active": false}));
    }

    fn a_service_revokes_either_token_and_with_it_the_session(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let other = app.log_in(MINA, PASSWORD).is(200).tokens();
        revoke(&app, &key, &mina.access).is(200);
        app.me(&mina.access).refused(401, "token_revoked");
        app.refresh(&mina.refresh).refused(401, "refresh_token_revoked");
        app.me(&other.access).is(200);
        revoke(&app, &key, &other.refresh).is(200);
        app.me(&other.access).refused(401, "token_revoked");
        let third = app.log_in(MINA, PASSWORD).is(200).tokens();
        let own = app.get_as(&third.access, "/v1/me/events").is(200).json();
        let ends = own["events"].as_array().unwrap().iter();
        let ends: Vec<&Value> = ends.filter(|it| it["kind"] == "logged_out").collect();
        assert_eq!(ends.len(), 2);
        assert!(ends.iter().all(|it| it["by_staff"] == true), "{ends:?}");
    }

    fn a_key_is_presented_in_three_ways(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let encoded = key.replace('_', "%5F").replace('-', "%2D");
        let token = ("token", mina.access.as_str());
        for authorization in
            [format!("Bearer {key}"), basic(&format!("any:{key}")), basic(&format!("any:{encoded}"))]
        {
            let form = [token, ("token_type_hint", "refresh_token"), ("unknown", "x")];
            let answer = post(&app, "/v1/introspect", Some(&authorization), &form).is(200);
            assert_eq!(answer.json()["active"], true, "{authorization}");
        }
        let secret = ("client_secret", key.as_str());
        let form = [token, ("client_id", "any"), secret];
        assert_eq!(post(&app, "/v1/introspect", None, &form).is(200).json()["active"], true);
        let bearer = format!("Bearer {key}");
        post(&app, "/v1/introspect", Some(&bearer), &form).refused(400, "malformed_request");
    }

    fn a_request_without_a_key_of_that_scope_is_refused(world) {
        let app = world.app();
        let (mina, _) = scene(&world, &app);
        let root = app.log_in("root@example.com", PASSWORD).is(200).tokens();
        let (_, introspects) = app.api_key(&root, &["introspect"]);
        let (_, revokes) = app.api_key(&root, &["revoke", "users:read"]);
        let form = [("token", mina.access.as_str())];
        for (path, key) in [("/v1/introspect", &revokes), ("/v1/revoke", &introspects)] {
            let bearer = format!("Bearer {key}");
            let answer = post(&app, path, Some(&bearer), &form).refused(403, "permission_denied");
            assert_eq!(answer.json()["error"], "insufficient_scope");
            let scope = path.trim_start_matches("/v1/");
            let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
            assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
            // For a client secret too: a Bearer token with the scope would be accepted.
            let basic = format!("Basic {}", STANDARD.encode(format!("billing:{key}")));
            let answer = post(&app, path, Some(&basic), &form).refused(403, "permission_denied");
            assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
            for authorization in [None, Some("Digest x"), Some("hpk_x")] {
                let answer = post(&app, path, authorization, &form);
                let answer = answer.refused(401, "authentication_required");
                let asked: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
                assert_eq!(asked, [BASIC, "Bearer"], "{authorization:?}");
                assert_eq!(answer.json()["error"], "invalid_client");
                assert!(answer.text("detail").starts_with("An API key is required"));
            }
            let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
            let bearer = "Bearer error=\"invalid_token\"";
            for (authorization, challenge) in [
                (format!("Bearer {}", mina.access), bearer),
                ("bearer hpk_unknown".to_owned(), bearer),
                ("Basic eA==".to_owned(), BASIC),
                ("basic %".to_owned(), BASIC),
                (basic("billing:hpk_unknown"), BASIC),
                (basic(&format!("billing:{}", mina.access)), BASIC),
            ] {
                let answer = post(&app, path, Some(&authorization), &form);
                let answer = answer.refused(401, "token_invalid");
                assert_eq!(answer.header("www-authenticate"), Some(challenge), "{authorization}");
                let error = if challenge == BASIC { "invalid_client" } else { "invalid_token" };
                assert_eq!(answer.json()["error"], error);
            }
            let in_form = [form[0], ("client_id", "billing"), ("client_secret", "hpk_unknown")];
            let answer = post(&app, path, None, &in_form).refused(401, "token_invalid");
            assert_eq!(answer.header("www-authenticate"), Some(BASIC));
        }
        app.me(&mina.access).is(200);
    }

    fn the_form_has_one_token(world) {
        let app = world.app();
        let (_, key) = scene(&world, &app);
        let bearer = format!("Bearer {key}");
        let fault = |code: &str| vec![("token".to_owned(), code.to_owned())];
        for path in ["/v1/introspect", "/v1/revoke"] {
            let ask = |form: &[(&str, &str)]| post(&app, path, Some(&bearer), form);
            for (form, code) in [
                (&[("tokens", "x")][..], "required"), (&[("token", "")][..], "required"),
                (&[("token", "x"), ("token", "y")][..], "invalid_format"),
            ] {
                assert_eq!(of_oauth(&ask(form), "invalid_request"), fault(code));
            }
            let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
            app.send("POST", path, &json, r#"{"token":"x"}"#)
                .refused(415, "unsupported_media_type");
            let long = format!("token={}", "x".repeat(16 * 1024));
            app.send("POST", path, &[json[0], FORM], long).refused(413, "payload_too_large");
        }
    }

    fn a_faulty_form_with_a_client_secret_is_answered_as_one_with_a_header(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let basic = format!("Basic {}", STANDARD.encode(format!("any:{key}")));
        let token = ("token", mina.access.as_str());
        for path in ["/v1/introspect", "/v1/revoke"] {
            for (field, code, form) in [
                ("token", "required", vec![]),
                ("token", "required", vec![("token", "")]),
                ("token", "invalid_format", vec![token, token]),
                ("client_id", "invalid_format", vec![token, ("client_id", "a"), ("client_id", "b")]),
                ("unknown", "invalid_format", vec![("unknown", "a"), ("unknown", "b"), token]),
            ] {
                let faults = of_oauth(&post(&app, path, Some(&basic), &form), "invalid_request");
                assert_eq!(faults, [(field.to_owned(), code.to_owned())], "{form:?}");
                let form = [&[("client_secret", key.as_str())], &form[..]].concat();
                assert_eq!(of_oauth(&post(&app, path, None, &form), "invalid_request"), faults);
            }
            let twice = [("client_secret", key.as_str()), token, ("client_secret", "hpk_x")];
            let faults = of_oauth(&post(&app, path, None, &twice), "invalid_request");
            assert_eq!(faults, [("client_secret".to_owned(), "invalid_format".to_owned())]);
            let long = format!("client_secret={key}&token={}", "x".repeat(16 * 1024));
            app.send("POST", path, &[FORM], long).refused(413, "payload_too_large");
            // A form without any credentials has no other fault.
            post(&app, path, None, &[("client_secret", ""), ("client_id", "any")])
                .refused(401, "authentication_required");
        }
        app.me(&mina.access).is(200);
    }

    fn an_oauth_library_refreshes_by_a_form(world) {
        let app = world.app();
        let (mina, _) = scene(&world, &app);
        let ask = |form: &[(&str, &str)]| post(&app, "/v1/token-refresh", None, form);
        let grant = ("grant_type", "refresh_token");
        let token = ("refresh_token", mina.refresh.as_str());
        let fault = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        let refused = |form: &[(&str, &str)], error: &str| of_oauth(&ask(form), error);
        assert_eq!(refused(&[token], "invalid_request"), fault("grant_type", "required"));
        assert_eq!(refused(&[grant], "invalid_request"), fault("refresh_token", "required"));
        let other = ("grant_type", "password");
        let faults = refused(&[other, token], "unsupported_grant_type");
        assert_eq!(faults, fault("grant_type", "invalid_format"));
        for dead in ["hpr_dead", "x"] {
            let answer = ask(&[grant, ("refresh_token", dead)]);
            let answer = answer.refused(400, "refresh_token_unknown").json();
            assert_eq!(answer["error"], "invalid_grant");
            assert_eq!(answer["error_description"], "The refresh token is unknown.");
        }
        // In JSON all stays as it is.
        let answer = app.refresh("hpr_dead").refused(401, "refresh_token_unknown");
        assert_eq!(answer.json().get("error"), None);
        let next = ask(&[grant, token, ("client_id", "app"), ("scope", "x")]).is(200).tokens();
        app.me(&next.access).is(200);
        // A page of any origin can send a form: the cookie does not count in it.
        let cookie = format!("__Host-hallpass_refresh={}", next.refresh);
        let headers = [("cookie", cookie.as_str()), ("origin", "http://auth.test")];
        let answer = app.post_form("/v1/token-refresh", &headers, &[grant]);
        assert_eq!(of_oauth(&answer, "invalid_request"), fault("refresh_token", "required"));
        app.revoke(&next.refresh).is(204);
        let answer = ask(&[grant, ("refresh_token", next.refresh.as_str())]);
        let answer = answer.refused(400, "refresh_token_revoked");
        assert_eq!(answer.json()["error"], "invalid_grant");
        let both = json!({"refresh_token": next.refresh, "use_cookie": true});
        let origin = ("origin", "http://auth.test");
        let headers = [("content-type", "application/json"), origin];
        let answer = app.send("POST", "/v1/token-refresh", &headers, both.to_string());
        let detail = answer.refused(422, "validation_failed").text("detail");
        assert!(detail.contains("use_cookie"), "{detail}");
    }
}
