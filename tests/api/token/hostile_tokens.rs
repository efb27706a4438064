//! Hostile tokens at every place where a token is taken, over HTTP, and every kind of token at the
//! places of the others. The service signs with a secret that is shared with the Django REST
//! adapter, the case in which most could be mistaken for one another; so what is presented here is
//! rightly signed.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::HAS_DRF;
use crate::support::{Answer, PASSWORD, TestApp, World, link_token, on_both};

const SECRET: &str = "a secret that is shared with a Django site";
/// No tokens that are accepted.
const NONE: [&str; 0] = [];
const MINA: &str = "mina@example.com";

fn app(world: &World) -> TestApp {
    world.app_with(&[("HALLPASS_JWT_ALGORITHM", "HS256"), ("HALLPASS_JWT_SECRET", SECRET)])
}

fn signed(header: &str, claims: &str) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
    format!("{message}.{signature}")
}

fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// Endpoints that accept an access token. A token that does not fit into a header is not sent in
/// one.
fn at_the_gates(app: &TestApp, token: &str) -> Vec<(&'static str, Answer)> {
    let mut answers =
        vec![("token-verify", app.post("/v1/token-verify", &json!({"token": token})))];
    if token.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && token.len() < 8000 {
        let bearer = format!("Bearer {token}");
        let bearer = [("authorization", bearer.as_str())];
        answers.push(("bearer", app.send("GET", "/v1/me", &bearer, "")));
        answers.push(("forward-auth", app.send("GET", "/v1/forward-auth", &bearer, "")));
        let cookie = format!("__Host-hallpass_access={token}");
        let answer = app.send("GET", "/v1/forward-auth", &[("cookie", cookie.as_str())], "");
        answers.push(("forward-auth's cookie", answer));
    }
    answers
}

/// Endpoints that accept a token of the Django REST adapter.
fn at_the_django_adapter(app: &TestApp, token: &str) -> Vec<(&'static str, Answer)> {
    if !HAS_DRF {
        return Vec::new();
    }
    let json = [("content-type", "application/json")];
    let body = json!({"token": token}).to_string();
    let mut answers: Vec<_> = ["/api-token-verify/", "/api-token-refresh/"]
        .map(|path| (path, app.send_undocumented("POST", path, &json, body.clone())))
        .into();
    if token.bytes().all(|byte| (b' '..0x7f).contains(&byte)) && token.len() < 8000 {
        let header = format!("JWT {token}");
        let header = [("authorization", header.as_str())];
        answers.push(("/restricted/", app.send_undocumented("GET", "/restricted/", &header, "")));
    }
    answers
}

#[track_caller]
fn refused_everywhere(app: &TestApp, token: &str) {
    for (place, answer) in at_the_gates(app, token) {
        let shown = format!("{place} {token:.200}: {}", answer.shown());
        assert!(matches!(answer.status, 401 | 413 | 422), "{shown}");
        let code = answer.code();
        // What is no token at all may be told as none, or as a field or body that is not
        // acceptable.
        let codes =
            ["token_invalid", "authentication_required", "validation_failed", "payload_too_large"];
        assert!(codes.contains(&code.as_str()), "{shown}");
        assert!(token.len() < 20 || !answer.shown().contains(token), "repeated: {shown}");
    }
    for (place, answer) in at_the_django_adapter(app, token) {
        assert!(matches!(answer.status, 400 | 401), "{place} {token:.200}: {}", answer.shown());
    }
}

fn hostile(access: &str, django: &str) -> Vec<String> {
    let (header, claims) = (part(access, 0), part(access, 1));
    let kid = header["kid"].as_str().unwrap();
    let (head, body) = (header.to_string(), claims.to_string());
    let mut tokens: Vec<String> = [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "null",
        "{}",
        "e30.e30.",
        "e30.e30.AAAA",
        "undefined",
        "JWT",
        "eyJhbGciOiJub25lIn0.e30.",
    ]
    .map(str::to_owned)
    .into();
    // Variants of the header: a service with the shared secret could sign each.
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS512")),
        ("alg", json!("ES256")),
        ("alg", json!(null)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
    ] {
        let mut hostile = header.clone();
        hostile[name] = value;
        tokens.push(signed(&hostile.to_string(), &body));
    }
    // What only one of the two could be taken for: an access token keeps its audience.
    for (name, value) in [
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!("x")),
        ("kid", json!(["x"])),
        ("jwk", json!({"kty": "oct", "k": "AA"})),
        ("jku", json!("https://evil.example")),
        ("x5u", json!("https://evil.example")),
        ("x5c", json!([])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("cty", json!("JWT")),
    ] {
        let mut hostile = header.clone();
        hostile[name] = value;
        tokens.push(signed(&hostile.to_string(), &body));
    }
    tokens.push(signed(
        &format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}","kid":"{kid}"}}"#),
        &body,
    ));
    tokens.push(signed(&format!(r#"["HS256","at+jwt","{kid}"]"#), &body));
    for name in claims.as_object().unwrap().keys().filter(|name| *name != "aud") {
        for value in [json!(null), json!({"x": 1}), json!([[]]), json!(1.5)] {
            let mut hostile = claims.clone();
            hostile[name] = value;
            tokens.push(signed(&head, &hostile.to_string()));
        }
    }
    for genuine in [access, django] {
        let (message, signature) = genuine.rsplit_once('.').unwrap();
        let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
        flipped[0] ^= 1;
        tokens.extend([
            format!("{message}."),
            message.to_owned(),
            format!("{message}.{}", URL_SAFE_NO_PAD.encode(flipped)),
            format!("{message}.{}", URL_SAFE_NO_PAD.encode([0; 32])),
            format!("{genuine}="),
            format!("{genuine}.{signature}"),
            format!("{genuine}\0"),
            genuine.replace('.', "\u{ff0e}"),
            genuine.replace('.', ".."),
            format!("{genuine}{}", "A".repeat(4096)),
        ]);
    }
    tokens.push("A.".repeat(2000));
    tokens.push("x".repeat(15_000));
    tokens
}

/// Every kind of secret that a user can hold at a time, by its name.
struct HeldTokens(Vec<(&'static str, String)>);

impl HeldTokens {
    fn by_mina(world: &World, app: &TestApp) -> Self {
        let registration = app.register(MINA);
        let mail = world.proof(MINA, 1);
        app.verify_code(&registration, &mail.code).is(200);
        let answer = app.log_in(MINA, PASSWORD).is(200);
        let django = if HAS_DRF { django_token(app) } else { signed_as_by_django() };
        app.post("/v1/password-reset", &json!({"email": MINA})).is(202);
        let reset = link_token(
            world.mails_to(MINA, 2).iter().find(|it| it.text.contains("reset")).unwrap(),
        );
        let waiting = app.register("other@example.com");
        let link = world.proof("other@example.com", 1).link_token;
        Self(vec![
            ("access", answer.text("access_token")),
            ("refresh", answer.text("refresh_token")),
            ("session", answer.text("session_id")),
            ("device", answer.text("device_token")),
            ("django", django),
            ("reset", reset),
            ("registration", waiting),
            ("verify", link),
            ("code", mail.code),
        ])
    }

    fn of(&self, kind: &str) -> &str {
        &self.0.iter().find(|(name, _)| *name == kind).unwrap().1
    }
}

fn django_token(app: &TestApp) -> String {
    let json = [("content-type", "application/json")];
    let login = json!({"username": MINA, "password": PASSWORD}).to_string();
    app.send_undocumented("POST", "/api-token-auth/", &json, login).is(200).text("token")
}

/// Stands in for it in a build without the adapter, where no place takes it.
fn signed_as_by_django() -> String {
    let claims =
        json!({"user_id": 1, "username": MINA, "exp": 1_800_000_300, "orig_iat": 1_800_000_000});
    signed(r#"{"typ":"JWT","alg":"HS256"}"#, &claims.to_string())
}

/// The kinds that are taken at a place, where a success is one of these statuses.
fn taken(held: &HeldTokens, statuses: &[u16], ask: impl Fn(&str) -> Answer) -> Vec<&'static str> {
    let is_taken = |token: &str| {
        let answer = ask(token);
        assert!(answer.status < 500, "{}", answer.shown());
        statuses.contains(&answer.status)
    };
    held.0.iter().filter(|(_, token)| is_taken(token)).map(|(kind, _)| *kind).collect()
}

on_both! {
    fn hostile_tokens_are_refused_at_every_place(world) {
        let app = app(&world);
        let held = HeldTokens::by_mina(&world, &app);
        let (access, django) = (held.of("access"), held.of("django"));
        for (place, answer) in at_the_gates(&app, access) {
            assert_eq!(answer.status, 200, "{place}");
        }
        for (place, answer) in at_the_django_adapter(&app, django) {
            assert_eq!(answer.status, 200, "{place}: {}", answer.shown());
        }
        let tokens = hostile(access, django);
        assert!(tokens.len() > 90, "{}", tokens.len());
        for token in tokens {
            refused_everywhere(&app, &token);
        }
        app.token_verify(access).is(200);
    }

    fn a_token_is_taken_at_the_place_of_its_kind_only(world) {
        let app = app(&world);
        let held = HeldTokens::by_mina(&world, &app);
        let bearer = |method: &'static str, path: &'static str, scheme: &'static str| {
            let app = &app;
            move |token: &str| {
                let header = format!("{scheme} {token}");
                app.send_undocumented(method, path, &[("authorization", header.as_str())], "")
            }
        };
        assert_eq!(taken(&held, &[200], |it| app.token_verify(it)), ["access"]);
        assert_eq!(taken(&held, &[200], bearer("GET", "/v1/me", "Bearer")), ["access"]);
        assert_eq!(taken(&held, &[200], bearer("GET", "/v1/forward-auth", "Bearer")), ["access"]);
        let by_django: &[&str] = if HAS_DRF { &["django"] } else { &NONE };
        assert_eq!(taken(&held, &[200], bearer("GET", "/restricted/", "JWT")), by_django);
        assert_eq!(taken(&held, &[200], bearer("GET", "/restricted/", "Bearer")), NONE);
        assert_eq!(taken(&held, &[200], bearer("GET", "/v1/me", "JWT")), NONE);
        for cookie in ["access", "refresh", "device"] {
            let kinds = taken(&held, &[200], |token| {
                let cookie = format!("__Host-hallpass_{cookie}={token}");
                app.send("GET", "/v1/forward-auth", &[("cookie", cookie.as_str())], "")
            });
            let right: &[&str] = if cookie == "access" { &["access"] } else { &NONE };
            assert_eq!(kinds, right, "{cookie}");
        }
        let posted = |path: &'static str, body: fn(&str) -> Value| {
            let app = &app;
            move |token: &str| {
                let json = [("content-type", "application/json")];
                app.send_undocumented("POST", path, &json, body(token).to_string())
            }
        };
        for path in ["/api-token-verify/", "/api-token-refresh/"] {
            let kinds = taken(&held, &[200], posted(path, |it| json!({"token": it})));
            assert_eq!(kinds, by_django, "{path}");
        }
        let not_me = taken(&held, &[200, 204], posted("/v1/not-me", |it| json!({"token": it})));
        assert_eq!(not_me, NONE);
        let by_password = posted("/v1/verify-email", |it| json!({"token": it, "password": "wrong password"}));
        assert_eq!(taken(&held, &[200], by_password), NONE);
        let by_both = posted("/v1/verify-email", |it| json!({"token": it, "registration_token": it}));
        assert_eq!(taken(&held, &[200], by_both), NONE);
        let by_code = posted("/v1/verify-email", |it| json!({"registration_token": it, "code": "000000"}));
        assert_eq!(taken(&held, &[200], by_code), NONE);
        let as_password = posted("/v1/token-auth", |it| json!({"username": MINA, "password": it}));
        assert_eq!(taken(&held, &[200], as_password), NONE);
        let reset = |it: &str| json!({"token": it, "new_password": "pear tree at dawn"});
        assert_eq!(taken(&held, &[204], posted("/v1/password-reset/confirm", reset)), ["reset"]);
        // The reset has ended the sessions, so a new one shows what refreshes.
        let answer = app.log_in(MINA, "pear tree at dawn").is(200);
        let mut held = held;
        for (kind, token) in &mut held.0 {
            match *kind {
                "refresh" => *token = answer.text("refresh_token"),
                "access" => *token = answer.text("access_token"),
                _ => {}
            }
        }
        let refreshed = taken(&held, &[200], posted("/v1/token-refresh", |it| json!({"refresh_token": it})));
        assert_eq!(refreshed, ["refresh"]);
        // Revoking says nothing, so what it did is looked at.
        let access = held.of("access").to_owned();
        for (kind, token) in held.0.iter().filter(|(kind, _)| *kind != "refresh") {
            app.revoke(token);
            assert_eq!(app.token_verify(&access).status, 200, "revoked by {kind}");
        }
        app.revoke(held.of("refresh")).is(204);
        app.token_verify(&access).refused(401, "token_revoked");
    }
}
