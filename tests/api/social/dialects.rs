//! The whole flow at stand-ins that speak the documented dialects of providers: they have the
//! shapes and the checks of the documentation. They are not the providers.

use std::collections::HashMap;

use aws_lc_rs::hmac;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::{CLIENT, CODE, Flow, MINA, RETURN_TO, finish_with_body, parameters, with};
use crate::scripted_provider::{Answer as Reply, Key, Recorded, ScriptedProvider};
use crate::support::{Answer, TestApp, World, on_both};

const SECRET: &str = "app-secret";
const ACCESS_TOKEN: &str = "at-1";

/// A service with a preset, and the stand-in that the URLs of the preset lead to.
struct Dialect {
    app: TestApp,
    preset: &'static str,
    server: ScriptedProvider,
    key: Key,
    /// The time of the test's clock.
    now: i64,
}

impl Dialect {
    fn new(world: &World, preset: &'static str) -> Self {
        Self::with(world, preset, &[("CLIENT_SECRET", SECRET)])
    }

    /// A service with these settings of the preset.
    fn with(world: &World, preset: &'static str, settings: &[(&str, &str)]) -> Self {
        let key = Key::rs256("k");
        let server = ScriptedProvider::openid(&[&key]);
        let name = |end: &str| format!("HALLPASS_SOCIAL_{}_{end}", preset.to_uppercase());
        let own: Vec<(String, &str)> = [("CLIENT_ID", CLIENT)]
            .iter()
            .chain(settings)
            .map(|(end, value)| (name(end), *value))
            .collect();
        let mut all = vec![
            ("HALLPASS_SOCIAL_RETURN_URLS", RETURN_TO),
            ("HALLPASS_SOCIAL_ALLOW_PRIVATE", "on"),
        ];
        all.extend(own.iter().map(|(name, value)| (name.as_str(), *value)));
        let mut config = world.config(&all);
        for provider in &mut config.social.providers {
            server.stand_in_for(provider);
        }
        Self { app: world.app_of(config), preset, server, key, now: world.now() }
    }

    fn start(&self) -> Flow {
        let body = json!({"return_to": RETURN_TO});
        let started = self.app.post(&format!("/v1/social/{}/start", self.preset), &body).is(200);
        let url = started.text("authorization_url");
        assert!(url.starts_with(&self.server.issuer()), "{url}");
        let (provider, token) = (self.preset.to_owned(), started.text("flow_token"));
        Flow { provider, token, query: parameters(&url) }
    }

    fn callback(&self) -> String {
        format!("/v1/social/{}/callback", self.preset)
    }

    /// The way of the browser from the provider to the front end, with what the provider adds.
    fn return_with(&self, flow: &Flow, added: &[(&str, &str)]) -> HashMap<String, String> {
        let own = [("state", flow.query["state"].as_str()), ("code", CODE)];
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(own.iter().chain(added))
            .finish();
        landed(&self.app.get(&format!("{}?{query}", self.callback())))
    }

    /// The front end's request, with the parameters of its page.
    fn finish(&self, flow: &Flow, page: &HashMap<String, String>, fields: &Value) -> Answer {
        let mut body = fields.clone();
        body["flow_token"] = json!(flow.token);
        for name in ["code", "state", "iss"] {
            if let Some(value) = page.get(name) {
                body[name] = json!(value);
            }
        }
        finish_with_body(&self.app, flow, &[], &body)
    }

    /// The whole flow, at a provider that answers by itself.
    fn log_in(&self) -> Answer {
        self.log_in_typing(&json!({}))
    }

    /// The whole flow of a user who types these fields too.
    fn log_in_typing(&self, fields: &Value) -> Answer {
        let flow = self.start();
        self.finish(&flow, &self.return_with(&flow, &[]), fields)
    }

    /// Claims of an id token for a flow.
    fn claims(&self, flow: &Flow, subject: &str) -> Value {
        json!({
            "iss": self.server.issuer(), "sub": subject, "aud": CLIENT, "iat": self.now,
            "exp": self.now + 300, "nonce": flow.query.get("nonce"),
        })
    }

    /// The whole flow at a provider that gives an id token with these claims.
    fn log_in_by_id_token(&self, subject: &str, claims: &[(&str, Value)]) -> Answer {
        let flow = self.start();
        self.server.grant(&self.key.sign(&with(self.claims(&flow, subject), claims)));
        self.finish(&flow, &self.return_with(&flow, &[]), &json!({}))
    }

    /// Verifies the address of a registration by its mail.
    fn verify(&self, world: &World, pending: Answer, email: &str) -> crate::support::Tokens {
        let token = pending.is(202).text("registration_token");
        let number = world.mails_so_far(email).len().max(1);
        let code = world.proof(email, number).code;
        self.app.verify_code(&token, &code).is(200).tokens()
    }

    fn identities(&self, access: &str) -> Vec<Value> {
        let list = self.app.get_as(access, "/v1/me/identities").is(200).json();
        list["identities"].as_array().unwrap().clone()
    }
}

/// The parameters of the page that a callback leads to.
fn landed(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.shown());
    parameters(answer.header("location").unwrap())
}

fn is_client(request: &Recorded) -> bool {
    request.field("client_id").as_deref() == Some(CLIENT)
        && request.field("client_secret").as_deref() == Some(SECRET)
}

fn is_code(request: &Recorded) -> bool {
    request.field("grant_type").as_deref() == Some("authorization_code")
        && request.field("code").as_deref() == Some(CODE)
        && request.field("redirect_uri").is_some()
}

fn has_access_token(request: &Recorded) -> bool {
    let expected = format!("Bearer {ACCESS_TOKEN}");
    request.headers.get("authorization") == Some(&expected)
}

fn bearer_token() -> Reply {
    Reply::json(&json!({"access_token": ACCESS_TOKEN, "token_type": "bearer"}))
}

/// Facebook: errors are objects with a number, and calls of the Graph API need `appsecret_proof`.
fn facebook(dialect: &Dialect, user: &Value) {
    let error = |code: u16, message: &str| {
        let error = json!({"message": message, "type": "OAuthException", "code": code});
        Reply::Reply(400, json!({"error": error}).to_string())
    };
    dialect.server.respond("/v23.0/oauth/access_token", move |request| {
        if !is_client(request) {
            error(1, "Error validating client secret.")
        } else if is_code(request) {
            bearer_token()
        } else {
            error(100, "This authorization code has been used.")
        }
    });
    let user = user.clone();
    dialect.server.respond("/v23.0/me", move |request| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
        let tag = hmac::sign(&key, ACCESS_TOKEN.as_bytes());
        let proof = tag.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        if !has_access_token(request) {
            return error(190, "Invalid OAuth access token.");
        }
        if request.parameter("appsecret_proof") != Some(proof) {
            return error(100, "Invalid appsecret_proof provided in the API argument");
        }
        // Fields that are not asked for are not sent, but for the id.
        let asked = request.parameter("fields").unwrap_or_default();
        let fields = user.as_object().unwrap().iter();
        let shown =
            fields.filter(|(name, _)| *name == "id" || asked.split(',').any(|it| it == *name));
        Reply::json(&shown.map(|(name, value)| (name.clone(), value.clone())).collect())
    });
}

/// GitHub: errors of the token endpoint have the status 200, and calls without `User-Agent` are
/// refused. `emails` is the list of `/user/emails`.
fn github(dialect: &Dialect, user: &Value, emails: &Value) {
    dialect.server.respond("/login/oauth/access_token", |request| {
        let error = |code: &str| {
            let text = "See the documentation.";
            let error = json!({"error": code, "error_description": text, "error_uri": "https://docs.github.com/"});
            Reply::json(&error)
        };
        if request.headers.get("accept").map(String::as_str) != Some("application/json") {
            return Reply::Reply(200, "access_token=at-1&token_type=bearer".to_owned());
        }
        match (is_client(request), is_code(request)) {
            (false, _) => error("incorrect_client_credentials"),
            (true, false) => error("bad_verification_code"),
            (true, true) => bearer_token(),
        }
    });
    for (path, document) in [("/user", user.clone()), ("/user/emails", emails.clone())] {
        dialect.server.respond(path, move |request| {
            if !request.headers.contains_key("user-agent") {
                return Reply::Reply(403, "Request forbidden by administrative rules.".to_owned());
            }
            if has_access_token(request) && !document.is_null() {
                return Reply::json(&first_page(&document, request));
            }
            Reply::Reply(404, r#"{"message": "Not Found"}"#.to_owned())
        });
    }
}

/// The first page of a list, of 30 unless more are asked for.
fn first_page(document: &Value, request: &Recorded) -> Value {
    let size = request.parameter("per_page").map_or(30, |it| it.parse().unwrap());
    match document {
        Value::Array(all) => all.iter().take(size.min(100)).cloned().collect(),
        one => one.clone(),
    }
}

fn github_email(address: &str, primary: bool, verified: bool) -> Value {
    json!({"email": address, "primary": primary, "verified": verified, "visibility": null})
}

/// Naver: wants the state again, and answers in an envelope.
fn naver(dialect: &Dialect, response: &Value) {
    dialect.server.respond("/oauth2.0/token", |request| {
        if is_client(request) && is_code(request) && request.field("state").is_some() {
            let token = json!({"access_token": ACCESS_TOKEN, "refresh_token": "r", "token_type": "bearer", "expires_in": "3600"});
            return Reply::json(&token);
        }
        let error = json!({"error": "invalid_request", "error_description": "no valid data in session"});
        Reply::json(&error)
    });
    let response = response.clone();
    dialect.server.respond("/v1/nid/me", move |request| {
        if has_access_token(request) {
            let envelope = json!({"resultcode": "00", "message": "success", "response": response});
            return Reply::json(&envelope);
        }
        let failed = json!({"resultcode": "024", "message": "Authentication failed"});
        Reply::Reply(401, failed.to_string())
    });
}

/// `/v2/user/me` of Kakao.
fn kakao_user(id: u64, valid: bool, verified: bool) -> Reply {
    Reply::json(&json!({"id": id, "connected_at": "2026-01-01T00:00:00Z", "kakao_account": {
        "profile": {"nickname": "미나"}, "has_email": true, "email_needs_agreement": false,
        "is_email_valid": valid, "is_email_verified": verified, "email": MINA}}))
}

/// Apple: accepts client secrets only that the client signed, and has no userinfo endpoint.
fn apple(dialect: &Dialect, public: &Key, id_token: String) {
    /// Six months, in seconds.
    const MAX_LIFETIME: i64 = 15_777_000;
    let issuer = dialect.server.issuer();
    let mut metadata = dialect.server.metadata();
    metadata.as_object_mut().unwrap().remove("userinfo_endpoint");
    metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    dialect.server.on("/.well-known/openid-configuration", Reply::json(&metadata));
    let jwk = serde_json::from_value(public.public.clone()).unwrap();
    let (key, now) = (DecodingKey::from_jwk(&jwk).unwrap(), dialect.now);
    dialect.server.respond("/token", move |request| {
        let mut rules = Validation::new(Algorithm::ES256);
        rules.set_audience(&[&issuer]);
        rules.set_issuer(&["TEAM123456"]);
        // The clock of the test is another; the times are compared below.
        rules.validate_exp = false;
        let secret = request.field("client_secret").unwrap_or_default();
        let is_signed = jsonwebtoken::decode::<Value>(&secret, &key, &rules).is_ok_and(|token| {
            let times = (token.claims["iat"].as_i64(), token.claims["exp"].as_i64());
            token.header.kid.as_deref() == Some("KEY1234567")
                && token.claims["sub"] == CLIENT
                && matches!(times, (Some(iat), Some(exp)) if iat <= now && now < exp && exp - now < MAX_LIFETIME)
        });
        if !is_signed {
            return Reply::Reply(400, json!({"error": "invalid_client"}).to_string());
        }
        let token = json!({"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 3600,
            "refresh_token": "r", "id_token": id_token});
        Reply::json(&token)
    });
}

on_both! {
    fn facebook_gets_a_proof_of_the_app_secret_and_verifies_no_address(world) {
        let site = Dialect::new(&world, "facebook");
        let mina = site.app.person(&world, MINA);
        let user = json!({"id": "10150000000000001", "name": "Mina", "email": MINA, "birthday": "x"});
        facebook(&site, &user);
        // The address of an account links nothing.
        site.log_in().is(202);
        assert_eq!(site.identities(&mina.access).len(), 0);
        facebook(&site, &with(user.clone(), &[("email", json!("ravi@example.com"))]));
        let ravi = site.verify(&world, site.log_in(), "ravi@example.com");
        let identity = &site.identities(&ravi.access)[0];
        assert_eq!(identity["issuer"], "https://www.facebook.com");
        assert_eq!(identity["subject"], "10150000000000001");
        // A user who logs in without an address, or with a new one, is known.
        for changes in [("email", Value::Null), ("email", json!(MINA))] {
            facebook(&site, &with(user.clone(), &[changes]));
            assert_eq!(site.log_in().is(200).tokens().user_id(), ravi.user_id());
        }
        let stranger = [("id", json!("10150000000000002")), ("email", Value::Null)];
        facebook(&site, &with(user, &stranger));
        let missing = [("email".to_owned(), "required".to_owned())];
        assert_eq!(site.log_in().faults(), missing);
        site.log_in_typing(&json!({"email": "typed@example.com"})).is(202);
    }

    fn facebook_tells_a_wrong_secret_from_a_wrong_code(world) {
        let site = Dialect::new(&world, "facebook");
        facebook(&site, &json!({"id": "1"}));
        let flow = site.start();
        let page = site.return_with(&flow, &[]);
        let other = with(json!(page), &[("code", json!("used"))]);
        let other = serde_json::from_value(other).unwrap();
        site.finish(&flow, &other, &json!({})).refused(401, "code_invalid");
        let wrong = Dialect::with(&world, "facebook", &[("CLIENT_SECRET", "another")]);
        facebook(&wrong, &json!({"id": "1"}));
        wrong.log_in().refused(503, "provider_unavailable");
        assert_eq!(world.count("users"), 0);
    }

    fn github_is_trusted_with_the_primary_address_if_it_is_verified(world) {
        let site = Dialect::new(&world, "github");
        let mina = site.app.person(&world, MINA);
        let user = json!({"login": "mina", "id": 583_231, "name": null, "email": "public@example.com"});
        // A user can add the address of another to the profile, but not verify it.
        for emails in [
            json!([github_email("old@example.com", false, true), github_email(MINA, true, false)]),
            json!([github_email(MINA, false, false), github_email("own@example.com", true, false)]),
        ] {
            github(&site, &user, &emails);
            site.log_in().is(202);
        }
        for emails in [json!([]), Value::Null] {
            github(&site, &user, &emails);
            assert_eq!(site.log_in().faults()[0].1, "required");
        }
        assert_eq!(site.identities(&mina.access).len(), 0);
        let mut many: Vec<Value> =
            (0..40).map(|n| github_email(&format!("{n}@example.com"), false, true)).collect();
        many.push(github_email(MINA, true, true));
        github(&site, &user, &json!(many));
        assert_eq!(site.log_in().is(200).tokens().user_id(), mina.user_id());
        let identities = site.identities(&mina.access);
        assert_eq!(identities[0]["issuer"], "https://github.com");
        assert_eq!(identities[0]["subject"], "583231");
        // The user name passes to another user; the number does not.
        let other = with(user.clone(), &[("id", json!(1))]);
        github(&site, &other, &json!([github_email("other@example.com", true, true)]));
        assert_ne!(site.log_in().is(200).tokens().user_id(), mina.user_id());
        github(&site, &with(user, &[("login", json!("mina-2"))]), &json!([]));
        assert_eq!(site.log_in().is(200).tokens().user_id(), mina.user_id());
    }

    fn github_sends_errors_with_status_200_and_its_own_issuer(world) {
        let site = Dialect::new(&world, "github");
        github(&site, &json!({"login": "mina", "id": 1, "name": "Mina"}), &json!([github_email(MINA, true, true)]));
        let flow = site.start();
        let mut page = site.return_with(&flow, &[("iss", "https://github.com/login/oauth")]);
        page.insert("code".to_owned(), "expired".to_owned());
        site.finish(&flow, &page, &json!({})).refused(401, "code_invalid");
        let wrong = Dialect::with(&world, "github", &[("CLIENT_SECRET", "another")]);
        github(&wrong, &json!({}), &json!([]));
        wrong.log_in().refused(503, "provider_unavailable");

        let flow = site.start();
        let page = site.return_with(&flow, &[("iss", "https://github.com/login/oauth")]);
        site.finish(&flow, &page, &json!({})).is(200);
        for other in ["https://github.com", "https://evil.example", ""] {
            let flow = site.start();
            let page = site.return_with(&flow, &[("iss", other)]);
            assert_eq!(page.get("error").map(String::as_str), Some("invalid_issuer"), "{other}");
            assert!(!page.contains_key("iss"), "the text of a provider was passed on");
        }
    }

    fn kakao_addresses_must_be_valid_and_verified(world) {
        for (number, scopes) in ["openid account_email", "account_email"].into_iter().enumerate() {
            let site = Dialect::with(&world, "kakao", &[("CLIENT_SECRET", SECRET), ("SCOPES", scopes)]);
            let log_in = |id: u64, valid, verified| {
                site.server.on("/v2/user/me", kakao_user(id, valid, verified));
                site.log_in_by_id_token(&id.to_string(), &[("nickname", json!("미나"))])
            };
            log_in(1, true, false).is(202);
            assert_eq!(log_in(1, false, true).faults()[0].1, "required");
            let mina = log_in(1 + number as u64, true, true).is(200).tokens();
            assert_eq!(mina.claims()["email"], MINA);
            // Another user of Kakao has taken the address over.
            let again = log_in(1 + number as u64, false, false).is(200).tokens();
            assert_eq!(again.user_id(), mina.user_id());
            assert_eq!(site.identities(&mina.access).len(), number + 1);
        }
        let site = Dialect::new(&world, "kakao");
        site.server.on("/v2/user/me", kakao_user(2, true, true));
        site.log_in_by_id_token("1", &[]).refused(401, "code_invalid");
    }

    fn naver_answers_in_an_envelope_and_verifies_no_address(world) {
        let site = Dialect::new(&world, "naver");
        let user = json!({"id": "32742776", "email": MINA, "name": "미나", "nickname": "mina"});
        naver(&site, &user);
        let mina = site.verify(&world, site.log_in(), MINA);
        assert_eq!(site.log_in().is(200).tokens().user_id(), mina.user_id());
        let identity = &site.identities(&mina.access)[0];
        assert_eq!((&identity["issuer"], &identity["subject"]), (&json!("https://nid.naver.com"), &json!("32742776")));
        let failed = json!({"resultcode": "024", "message": "Authentication failed"});
        site.server.on("/v1/nid/me", Reply::json(&failed));
        site.log_in().refused(503, "provider_unavailable");
        naver(&site, &user);
        let flow = site.start();
        let mut page = site.return_with(&flow, &[]);
        page.insert("code".to_owned(), "used".to_owned());
        site.finish(&flow, &page, &json!({})).refused(401, "code_invalid");
    }

    fn apple_posts_a_form_whose_user_field_is_ignored(world) {
        let (public, pem) = Key::es256_with_pem("KEY1234567");
        let settings =
            [("TEAM_ID", "TEAM123456"), ("KEY_ID", "KEY1234567"), ("PRIVATE_KEY", pem.as_str())];
        let site = Dialect::with(&world, "apple", &settings);
        apple(&site, &public, String::new());
        let victim = site.app.person(&world, MINA);
        let relay = "x7@privaterelay.appleid.com";
        let log_in = |subject: &str, email: &str, verified: Value, user: Option<&str>| {
            let flow = site.start();
            assert_eq!(flow.query["response_mode"], "form_post");
            let claims = [
                ("email", json!(email)), ("email_verified", verified), ("is_private_email", json!("true")),
            ];
            let id_token = site.key.sign(&with(site.claims(&flow, subject), &claims));
            apple(&site, &public, id_token.clone());
            let mut form = vec![
                ("state", flow.query["state"].as_str()), ("code", CODE), ("id_token", id_token.as_str()),
            ];
            form.extend(user.map(|user| ("user", user)));
            let origin = [("origin", "https://appleid.apple.com")];
            let page = landed(&site.app.post_form(&site.callback(), &origin, &form));
            assert_eq!(page.len(), 3, "return_to, code and state: {page:?}");
            site.finish(&flow, &page, &json!({}))
        };
        // The name is sent once, beside the id token. The browser can write anything there.
        let forged = format!(r#"{{"name": {{"firstName": "Eve"}}, "email": "{MINA}"}}"#);
        let eve = log_in("001.eve", relay, json!("true"), Some(&forged)).is(200).tokens();
        assert_ne!(eve.user_id(), victim.user_id());
        assert_eq!((&eve.claims()["email"], &eve.claims()["username"]), (&json!(relay), &json!(relay)));
        let again = log_in("001.eve", relay, json!(true), None).is(200).tokens();
        assert_eq!(again.user_id(), eve.user_id());
        for unverified in [json!("false"), json!(false), Value::Null] {
            log_in("002.thief", MINA, unverified, Some(&forged)).is(202);
        }
        assert_eq!(site.identities(&victim.access).len(), 0);
        let mina = log_in("003.mina", MINA, json!("true"), None).is(200).tokens();
        assert_eq!(mina.user_id(), victim.user_id());
        // A secret that another key signed is not accepted.
        let (_, other) = Key::es256_with_pem("KEY1234567");
        let settings =
            [("TEAM_ID", "TEAM123456"), ("KEY_ID", "KEY1234567"), ("PRIVATE_KEY", other.as_str())];
        let stranger = Dialect::with(&world, "apple", &settings);
        apple(&stranger, &public, String::new());
        stranger.log_in().refused(503, "provider_unavailable");
    }

    fn apple_and_google_are_one_issuer_by_each_of_their_names(world) {
        const OF_APPLE: &str = "https://account.apple.com";
        const OF_GOOGLE: &str = "accounts.google.com";
        let (_, pem) = Key::es256_with_pem("KEY1234567");
        let apple =
            [("TEAM_ID", "TEAM123456"), ("KEY_ID", "KEY1234567"), ("PRIVATE_KEY", pem.as_str())];
        let google = [("CLIENT_SECRET", SECRET)];
        for (preset, settings, name, foreign) in [
            ("apple", &apple[..], OF_APPLE, OF_GOOGLE),
            ("google", &google[..], OF_GOOGLE, OF_APPLE),
        ] {
            let site = Dialect::with(&world, preset, settings);
            let own = site.server.issuer();
            let mut metadata = site.server.metadata();
            metadata["issuer"] = json!(name);
            site.server.on("/.well-known/openid-configuration", Reply::json(&metadata));
            let email = format!("{preset}@gmail.com");
            let log_in = |issuer: &str| {
                let claims =
                    [("iss", json!(issuer)), ("email", json!(email)), ("email_verified", json!(true))];
                site.log_in_by_id_token("1", &claims)
            };
            let first = log_in(name).is(200).tokens();
            assert_eq!(log_in(&own).is(200).tokens().user_id(), first.user_id());
            let identities = site.identities(&first.access);
            assert_eq!((identities.len(), &identities[0]["issuer"]), (1, &json!(own)));
            assert_eq!(identities[0]["usable"], true);
            for other in [foreign, "https://evil.example", &format!("{name}/"), &name.to_uppercase()] {
                log_in(other).refused(401, "code_invalid");
            }
            for (iss, is_right) in [(name, true), (foreign, false)] {
                let page = site.return_with(&site.start(), &[("iss", iss)]);
                assert_eq!(page.contains_key("code"), is_right, "{iss}");
            }
        }
        // A name of Apple in the metadata of another provider.
        let other = Dialect::new(&world, "gitlab");
        let mut metadata = other.server.metadata();
        metadata["issuer"] = json!(OF_APPLE);
        other.server.on("/.well-known/openid-configuration", Reply::json(&metadata));
        let start = json!({"return_to": RETURN_TO});
        other.app.post("/v1/social/gitlab/start", &start).refused(503, "provider_unavailable");
    }

    fn microsoft_tells_tenants_apart_and_vouches_for_addresses_by_a_claim_of_its_own(world) {
        const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        const OTHER: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
        let site = Dialect::new(&world, "microsoft");
        let mina = site.app.person(&world, MINA);
        let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", site.server.issuer());
        let mut metadata = site.server.metadata();
        metadata["issuer"] = json!(issuer("{tenantid}"));
        metadata.as_object_mut().unwrap().remove("userinfo_endpoint");
        site.server.on("/common/v2.0/.well-known/openid-configuration", Reply::json(&metadata));
        let log_in = |tenant: &str, claims: &[(&str, Value)]| {
            let own = [("iss", json!(issuer(tenant))), ("tid", json!(tenant)), ("email", json!(MINA))];
            site.log_in_by_id_token("sub-1", &[&own[..], claims].concat())
        };
        // An administrator of any tenant can give its users any address.
        for claims in [
            vec![],
            vec![("email_verified", json!(true))],
            vec![("xms_edov", json!(false)), ("email_verified", json!(true))],
            vec![("xms_edov", json!("0"))],
        ] {
            log_in(OTHER, &claims).is(202);
        }
        for claims in [("tid", json!(OTHER)), ("tid", Value::Null), ("iss", json!(issuer("{tenantid}")))] {
            let claims = [claims, ("xms_edov", json!(true))];
            log_in(TENANT, &claims).refused(401, "code_invalid");
        }
        assert_eq!(site.identities(&mina.access).len(), 0);
        for verified in [json!(true), json!("1")] {
            let linked = log_in(TENANT, &[("xms_edov", verified)]).is(200).tokens();
            assert_eq!(linked.user_id(), mina.user_id());
        }
        // The same subject of another tenant is another user.
        log_in(OTHER, &[]).is(202);
        assert_eq!(site.identities(&mina.access)[0]["issuer"], issuer(TENANT));
        for (iss, is_right) in [
            (issuer(TENANT), true), (issuer("x"), false), ("https://evil.example".to_owned(), false),
            (format!("https://evil.example/{TENANT}/v2.0"), false),
        ] {
            let page = site.return_with(&site.start(), &[("iss", iss.as_str())]);
            assert_eq!(page.contains_key("code"), is_right, "{iss}");
        }
    }

    fn discord_says_whether_the_address_is_verified(world) {
        let site = Dialect::new(&world, "discord");
        site.server.respond("/api/oauth2/token", |request| {
            if is_client(request) && is_code(request) { bearer_token() } else { Reply::Reply(400, r#"{"error": "invalid_grant"}"#.to_owned()) }
        });
        let user = json!({"id": "80351110224678912", "username": "mina", "global_name": "Mina", "email": MINA});
        for unverified in [json!(false), Value::Null] {
            site.server.on("/api/users/@me", Reply::json(&with(user.clone(), &[("verified", unverified)])));
            site.log_in().is(202);
        }
        site.server.on("/api/users/@me", Reply::json(&with(user.clone(), &[("verified", json!(true))])));
        let mina = site.log_in().is(200).tokens();
        let identity = &site.identities(&mina.access)[0];
        assert_eq!((&identity["issuer"], &identity["subject"]), (&json!("https://discord.com"), &user["id"]));
        // A user without an address that is verified is known by the id.
        site.server.on("/api/users/@me", Reply::json(&with(user, &[("email", Value::Null)])));
        assert_eq!(site.log_in().is(200).tokens().user_id(), mina.user_id());
    }

    fn gitlab_gives_the_address_at_its_userinfo_endpoint(world) {
        let site = Dialect::new(&world, "gitlab");
        let info = |subject: &str, verified: bool| {
            Reply::json(&json!({"sub": subject, "email": MINA, "email_verified": verified, "groups": []}))
        };
        site.server.on("/userinfo", info("7", false));
        site.log_in_by_id_token("7", &[]).is(202);
        site.server.on("/userinfo", info("8", true));
        site.log_in_by_id_token("7", &[]).refused(401, "code_invalid");
        site.server.on("/userinfo", info("7", true));
        let mina = site.log_in_by_id_token("7", &[]).is(200).tokens();
        assert_eq!(mina.claims()["email"], MINA);
    }

    fn google_is_trusted_with_the_addresses_that_it_gives_out(world) {
        let site = Dialect::new(&world, "google");
        let mina = site.app.person(&world, MINA);
        site.server.on("/userinfo", Reply::Reply(403, String::new()));
        let verified = ("email_verified", json!(true));
        // Of a Google account with an address of another service, which may have passed on.
        let foreign = [("email", json!(MINA)), verified.clone()];
        site.log_in_by_id_token("1", &foreign).is(202);
        let of_workspace = [&foreign[..], &[("hd", json!("example.com"))]].concat();
        let linked = site.log_in_by_id_token("1", &of_workspace).is(200).tokens();
        assert_eq!(linked.user_id(), mina.user_id());
        let gmail = [("email", json!("ravi@gmail.com")), verified];
        site.log_in_by_id_token("2", &gmail).is(200);
        let unverified = [("email", json!("eve@gmail.com")), ("email_verified", json!(false))];
        site.log_in_by_id_token("3", &unverified).is(202);
    }
}
