//! Token introspection (RFC 7662) and revocation (RFC 7009) by services with an API key, and the
//! token endpoint in the form of RFC 6749.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

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

/// A user and a key with both scopes.
fn scene(world: &World, app: &TestApp) -> (Tokens, String) {
    let root = app.superuser(world, "root@example.com");
    let (_, key) = app.api_key(&root, &["introspect", "revoke"]);
    (app.person(world, MINA), key)
}

on_both! {
    fn an_active_access_token_is_told_with_its_claims(world) {
        let app = world.app();
        let (mina, key) = scene(&world, &app);
        let answer = introspect(&app, &key, &mina.access);
        let mut expected = mina.claims();
        expected["active"] = json!(true);
        expected["token_type"] = json!("Bearer");
        assert_eq!(answer, expected);
    }

    fn an_active_refresh_token_is_told_and_stays_unused(world) {
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

    fn without_a_key_of_that_scope_nothing_is_told(world) {
        let app = world.app();
        let (mina, _) = scene(&world, &app);
        let root = app.log_in("root@example.com", PASSWORD).is(200).tokens();
        let (_, introspects) = app.api_key(&root, &["introspect"]);
        let (_, revokes) = app.api_key(&root, &["revoke", "users:read"]);
        let form = [("token", mina.access.as_str())];
        for (path, key) in [("/v1/introspect", &revokes), ("/v1/revoke", &introspects)] {
            let bearer = format!("Bearer {key}");
            post(&app, path, Some(&bearer), &form).refused(403, "permission_denied");
            post(&app, path, None, &form).refused(401, "authentication_required");
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
            }
            let in_form = [form[0], ("client_id", "billing"), ("client_secret", "hpk_unknown")];
            let answer = post(&app, path, None, &in_form).refused(401, "token_invalid");
            assert_eq!(answer.header("www-authenticate"), Some(BASIC));
            post(&app, path, Some("Digest x"), &form).refused(401, "authentication_required");
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
            assert_eq!(ask(&[("tokens", "x")]).faults(), fault("required"));
            assert_eq!(ask(&[("token", "")]).faults(), fault("required"));
            assert_eq!(ask(&[("token", "x"), ("token", "y")]).faults(), fault("invalid_format"));
            let json = [("authorization", bearer.as_str()), ("content-type", "application/json")];
            app.send("POST", path, &json, r#"{"token":"x"}"#)
                .refused(415, "unsupported_media_type");
            let long = format!("token={}", "x".repeat(16 * 1024));
            app.send("POST", path, &[json[0], FORM], long).refused(413, "payload_too_large");
        }
    }

    fn an_oauth_library_refreshes_by_a_form(world) {
        let app = world.app();
        let (mina, _) = scene(&world, &app);
        let ask = |form: &[(&str, &str)]| post(&app, "/v1/token-refresh", None, form);
        let grant = ("grant_type", "refresh_token");
        let token = ("refresh_token", mina.refresh.as_str());
        let fault = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        assert_eq!(ask(&[token]).faults(), fault("grant_type", "required"));
        assert_eq!(ask(&[grant]).faults(), fault("refresh_token", "required"));
        let other = ("grant_type", "password");
        assert_eq!(ask(&[other, token]).faults(), fault("grant_type", "invalid_format"));
        let next = ask(&[grant, token, ("client_id", "app"), ("scope", "x")]).is(200).tokens();
        app.me(&next.access).is(200);
        // A page of any origin can send a form: the cookie does not count in it.
        let cookie = format!("__Host-hallpass_refresh={}", next.refresh);
        let headers = [("cookie", cookie.as_str()), ("origin", "http://auth.test")];
        let answer = app.post_form("/v1/token-refresh", &headers, &[grant]);
        assert_eq!(answer.faults(), fault("refresh_token", "required"));
    }
}
