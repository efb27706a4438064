//! The settings that Django sites commonly make: the scheme of the header, and how long tokens
//! count.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Answer, PASSWORD, SECOND, TestApp, on_both};

const MINA: &str = "mina@example.com";
const SITE_KEY: &str = "the SECRET_KEY of a Django site, long enough";

fn post(app: &TestApp, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    app.send_undocumented("POST", path, &headers, body.to_string())
}

fn log_in(app: &TestApp) -> String {
    let body = json!({"username": MINA, "password": PASSWORD});
    post(app, "/api-token-auth/", &body).is(200).text("token")
}

fn get(app: &TestApp, path: &str, authorization: &str) -> Answer {
    app.send_undocumented("GET", path, &[("authorization", authorization)], "")
}

fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn expired(answer: Answer, text: &str) {
    assert_eq!(answer.is(400).json(), json!({"non_field_errors": [text]}));
}

on_both! {
    fn the_scheme_is_that_of_the_site(world) {
        for (setting, accepted, refused, challenge) in [
            (None, &["JWT", "jwt"][..], &["Bearer", "bearer", "Token"][..], r#"JWT realm="api""#),
            (Some("JWT"), &["JWT"], &["Bearer"], r#"JWT realm="api""#),
            (Some("Bearer"), &["Bearer", "bearer", "BEARER"], &["JWT", "jwt"], r#"Bearer realm="api""#),
            (Some("JWT,Bearer"), &["JWT", "Bearer"], &["Token", "JWTBearer"],
                r#"JWT realm="api", Bearer realm="api""#),
            (Some("bearer, jwt"), &["JWT", "Bearer"], &["Token"],
                r#"JWT realm="api", Bearer realm="api""#),
        ] {
            let settings: Vec<_> =
                setting.iter().map(|it| ("HALLPASS_DRF_JWT_PREFIX", *it)).collect();
            let app = world.app_with(&settings);
            if setting.is_none() {
                app.person(&world, MINA);
            }
            let token = log_in(&app);
            for scheme in accepted {
                for path in ["/restricted/", "/users/1/", "/"] {
                    get(&app, path, &format!("{scheme} {token}")).is(200);
                }
                let broken = get(&app, "/restricted/", &format!("{scheme} x")).is(401);
                assert_eq!(broken.json()["detail"], "Error decoding signature.");
                assert_eq!(broken.header("www-authenticate"), Some(challenge));
                let bare = get(&app, "/restricted/", scheme).is(401);
                assert_eq!(bare.json()["detail"], "Invalid Authorization header. No credentials provided.");
            }
            for scheme in refused {
                let answer = get(&app, "/restricted/", &format!("{scheme} {token}")).is(401);
                assert_eq!(answer.json()["detail"], "Authentication credentials were not provided.");
                assert_eq!(answer.header("www-authenticate"), Some(challenge));
                let answer = get(&app, "/users/1/", &format!("{scheme} {token}")).is(403);
                assert_eq!(answer.header("www-authenticate"), None);
            }
            let basic = get(&app, "/users/1/", "Basic bWluYUBleGFtcGxlLmNvbTp3cm9uZw==").is(403);
            assert_eq!(basic.json()["detail"], "Invalid username/password.");
        }
    }

    fn behind_bearer_the_tokens_of_both_apis_stay_apart(world) {
        let shared = [("HALLPASS_JWT_SECRET", SITE_KEY), ("HALLPASS_DRF_JWT_PREFIX", "Bearer")];
        let signed_alike = [&shared[..], &[("HALLPASS_JWT_ALGORITHM", "HS256")]].concat();
        for (number, settings) in [&shared[1..], &shared, &signed_alike].into_iter().enumerate() {
            let app = world.app_with(settings);
            let access = match number {
                0 => app.person(&world, MINA).access,
                _ => app.log_in(MINA, PASSWORD).is(200).tokens().access,
            };
            let django = log_in(&app);
            get(&app, "/restricted/", &format!("Bearer {django}")).is(200);
            get(&app, "/restricted/", &format!("Bearer {access}")).is(401);
            get(&app, "/users/1/", &format!("Bearer {access}")).is(403);
            for path in ["/api-token-verify/", "/api-token-refresh/"] {
                post(&app, path, &json!({"token": access})).is(400);
            }
            app.me(&access).is(200);
            app.me(&django).refused(401, "token_invalid");
            app.token_verify(&django).refused(401, "token_invalid");
            let headers = [("authorization", format!("Bearer {django}"))];
            let headers = [(headers[0].0, headers[0].1.as_str())];
            app.send("GET", "/v1/forward-auth", &headers, "").refused(401, "token_invalid");
        }
    }

    fn tokens_count_as_long_as_those_of_the_site(world) {
        let app = world.app_with(&[
            ("HALLPASS_DRF_JWT_TTL", "2h"),
            ("HALLPASS_DRF_JWT_REFRESH_TTL", "3h"),
        ]);
        app.person(&world, MINA);
        let hour = Duration::from_hours(1);
        let first = log_in(&app);
        let begin = world.now();
        assert_eq!(claims(&first)["exp"], begin + 7_200);
        let verify = |token: &str| post(&app, "/api-token-verify/", &json!({"token": token}));
        let refresh = |token: &str| post(&app, "/api-token-refresh/", &json!({"token": token}));
        world.advance(hour * 2);
        verify(&first).is(200);
        let second = refresh(&first).is(200).text("token");
        assert_eq!(claims(&second), json!({
            "user_id": 1, "username": MINA, "email": MINA, "exp": begin + 14_400, "orig_iat": begin,
            "gen": begin * 1_000_000,
        }));
        world.advance(SECOND);
        expired(verify(&first), "Signature has expired.");
        world.advance(crate::support::shortly_before(hour));
        let third = refresh(&second).is(200).text("token");
        world.advance(SECOND);
        expired(refresh(&third), "Refresh has expired.");
        verify(&third).is(200);
        // What ends the sessions of the person ends these too, however long they would count.
        let access = app.log_in(MINA, PASSWORD).is(200).tokens().access;
        app.change_password(&access, Some(PASSWORD), "pear tree at dawn").is(204);
        expired(verify(&third), "Signature has expired.");
    }

    fn without_settings_tokens_count_as_in_the_reference(world) {
        let app = world.app();
        app.person(&world, MINA);
        let token = log_in(&app);
        assert_eq!(claims(&token)["exp"], world.now() + 300);
    }
}
