//! Access tokens: claims, lifetime, and checks by other services.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::support::{SECOND, TestApp, Tokens, World, on_both};

const MINA: &str = "mina@example.com";

fn mina(world: &World, app: &TestApp) -> Tokens {
    let body = json!({"email": MINA, "username": "mina", "password": crate::support::PASSWORD});
    let token = app.register_with(&body);
    app.verify_code(&token, &world.proof(MINA, 1).code).is(200).tokens()
}

on_both! {
    fn token_verify_answers_with_every_claim(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        let mut claims = app.token_verify(&tokens.access).is(200).json();
        let jti = claims["jti"].take();
        assert!(uuid::Uuid::parse_str(jti.as_str().unwrap()).is_ok());
        let now = world.now();
        assert_eq!(claims, json!({
            "active": true, "token": tokens.access, "iss": "http://auth.test",
            "aud": "http://auth.test", "sub": "1", "client_id": "hallpass", "iat": now, "exp": now + 300, "jti": null,
            "sid": tokens.session, "user_id": 1, "username": "mina", "email": MINA,
            "email_verified": true, "is_staff": false, "amr": ["email"], "auth_time": now,
        }));
    }

    fn a_token_tells_how_the_person_came_in(world) {
        let app = world.app();
        let amr = |answer: crate::support::Answer| {
            app.token_verify(&answer.is(200).tokens().access).json()["amr"].clone()
        };
        app.register(MINA);
        let link = world.proof(MINA, 1).link_token;
        assert_eq!(amr(app.verify_password(&link, crate::support::PASSWORD)), json!(["pwd"]));
        let log_in = app.log_in(MINA, crate::support::PASSWORD).is(200);
        let next = app.refresh(&log_in.tokens().refresh);
        assert_eq!(amr(log_in), json!(["pwd"]));
        assert_eq!(amr(next), json!(["pwd"]));
        let token = app.register("b@example.com");
        let link = world.proof("b@example.com", 1).link_token;
        assert_eq!(amr(app.verify_link(&link, &token)), json!(["email"]));
    }

    fn a_refreshed_token_keeps_the_time_of_the_log_in(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        let log_in = world.now();
        world.advance(SECOND * 20);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        let claims = app.token_verify(&next.access).is(200).json();
        assert_eq!((&claims["auth_time"], &claims["iat"]), (&json!(log_in), &json!(log_in + 20)));
    }

    fn an_access_token_lasts_five_minutes_and_five_seconds_to_the_second(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        world.advance(SECOND * 304);
        app.token_verify(&tokens.access).is(200);
        app.me(&tokens.access).is(200);
        for _ in 0..2 {
            world.advance(SECOND);
            app.token_verify(&tokens.access).refused(401, "token_expired");
            app.me(&tokens.access).refused(401, "token_expired");
        }
    }

    fn a_token_can_be_validated_with_the_published_keys(world) {
        for algorithm in ["ES256", "EdDSA", "RS256"] {
            let app = world.app_with(&[("HALLPASS_JWT_ALGORITHM", algorithm)]);
            let token = app.person(&world, &format!("{algorithm}@example.com")).access;
            let header = decode_header(&token).unwrap();
            assert_eq!(header.typ.as_deref(), Some("at+jwt"));
            let keys = app.get("/.well-known/jwks.json").is(200).json();
            let key = keys["keys"]
                .as_array()
                .unwrap()
                .iter()
                .find(|key| key["kid"].as_str() == header.kid.as_deref())
                .expect("the key is published")
                .clone();
            assert!(key.get("d").is_none() && key.get("k").is_none(), "a private key");
            assert_eq!(key["use"], "sig");
            let key = serde_json::from_value(key).unwrap();
            let key = DecodingKey::from_jwk(&key).unwrap();
            let algorithm: Algorithm = algorithm.parse().unwrap();
            let mut validation = Validation::new(algorithm);
            validation.set_audience(&["http://auth.test"]);
            validation.set_issuer(&["http://auth.test"]);
            validation.validate_exp = false;
            let claims = decode::<Value>(&token, &key, &validation).unwrap().claims;
            assert_eq!(claims["iss"], "http://auth.test");
        }
    }

    fn tokens_survive_a_change_of_the_algorithm(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        drop(app);
        let app = world.app_with(&[("HALLPASS_JWT_ALGORITHM", "EdDSA")]);
        app.me(&tokens.access).is(200);
        let next = app.refresh(&tokens.refresh).is(200).tokens();
        app.me(&next.access).is(200);
        let keys = app.get("/.well-known/jwks.json").json();
        assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
    }

    fn a_shared_secret_is_not_published(world) {
        let app = world.app_with(&[
            ("HALLPASS_JWT_ALGORITHM", "HS256"),
            ("HALLPASS_JWT_SECRET", "shared with the services that check tokens"),
        ]);
        let tokens = mina(&world, &app);
        app.me(&tokens.access).is(200);
        assert_eq!(app.get("/.well-known/jwks.json").json(), json!({"keys": []}));
    }

    fn a_changed_token_is_invalid(world) {
        let app = world.app();
        let token = mina(&world, &app).access;
        let parts: Vec<&str> = token.split('.').collect();
        let decoded = |part: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let mut claims = decoded(parts[1]);
        claims["is_staff"] = true.into();
        let mut header = decoded(parts[0]);
        header["alg"] = "none".into();
        let forged = [
            format!("{}.{}.{}", parts[0], encoded(&claims), parts[2]),
            format!("{}.{}.", encoded(&header), encoded(&claims)),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{token}."),
            format!(" {token}"),
            String::new(),
            "a.b.c".to_owned(),
            "x".repeat(8_000),
        ];
        for token in forged {
            app.token_verify(&token).refused(401, "token_invalid");
        }
        app.token_verify(&token).is(200);
    }

    fn a_bearer_token_is_asked_for_and_looked_at(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        let me = |header: &str| app.send("GET", "/v1/me", &[("authorization", header)], "");
        let none = app.get("/v1/me").refused(401, "authentication_required");
        assert_eq!(none.header("www-authenticate"), Some("Bearer"));
        for header in ["", "Bearer", "Basic bWluYTpw", &format!("JWT {}", tokens.access)] {
            let refused = me(header).refused(401, "authentication_required");
            assert_eq!(refused.header("www-authenticate"), Some("Bearer"), "{header}");
        }
        for token in ["nonsense", &tokens.refresh] {
            let refused = me(&format!("Bearer {token}")).refused(401, "token_invalid");
            let challenge = refused.header("www-authenticate").unwrap();
            assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        }
        me(&format!("bearer {}", tokens.access)).is(200);
    }

    fn a_token_without_the_rights_is_told_so_in_a_challenge(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        for (method, path) in [("GET", "/v1/users"), ("GET", "/v1/users/1"), ("GET", "/v1/api-keys")] {
            let bearer = format!("Bearer {}", tokens.access);
            let refused = app.send(method, path, &[("authorization", &bearer)], "");
            let refused = refused.refused(403, "permission_denied");
            // Rights of users are no scopes.
            let challenge = "Bearer error=\"insufficient_scope\"";
            assert_eq!(refused.header("www-authenticate"), Some(challenge), "{path}");
        }
        let root = app.superuser(&world, "root@example.com");
        let (_, key) = app.api_key(&root, &["users:read"]);
        let bearer = format!("Bearer {key}");
        let refused = app.send("DELETE", "/v1/users/1", &[("authorization", &bearer)], "");
        let refused = refused.refused(403, "permission_denied");
        let challenge = "Bearer error=\"insufficient_scope\", scope=\"users:write\"";
        assert_eq!(refused.header("www-authenticate"), Some(challenge));
    }

    fn two_bearer_tokens_are_not_guessed_between(world) {
        let app = world.app();
        let tokens = mina(&world, &app);
        let good = format!("Bearer {}", tokens.access);
        for [first, second] in [["Bearer nonsense", &good], [&good, "Bearer nonsense"]] {
            let headers = [("authorization", first), ("authorization", second)];
            for path in ["/v1/me", "/v1/forward-auth"] {
                let answer = app.send("GET", path, &headers, "");
                answer.refused(401, "authentication_required");
            }
        }
    }
}
