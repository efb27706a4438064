//! Stand-ins for providers that speak a dialect of their own: requests and answers have the shapes
//! of their documentation. They are not the providers.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hallpass::social::{AppleKey, ProviderErrorKind};

use super::*;
use crate::scripted_provider::{Answer, Key};

/// Settings of a preset whose URLs lead to the stand-in.
fn at_stand_in(preset: &str, provider: &ScriptedProvider) -> ProviderSettings {
    let mut settings = Preset::find(preset).unwrap().settings(CLIENT.to_owned(), secret());
    provider.stand_in_for(&mut settings);
    settings
}

fn bearer_token() -> Answer {
    Answer::json(&json!({"access_token": "at-1", "token_type": "bearer", "scope": "x"}))
}

#[track_caller]
fn assert_email(identity: &Identity, email: Option<&str>, verified: bool) {
    assert_eq!(identity.email.as_ref().map(hallpass::domain::Email::as_str), email);
    assert_eq!(identity.email_verified, verified);
}

#[test]
fn the_authorization_request_has_pkce_state_and_nonce() {
    let provider = ScriptedProvider::openid(&[&Key::es256("k")]);
    let client_of = |settings| client(settings).authorization_url(&REQUEST, now()).unwrap();
    let url = client_of(generic(&provider));
    assert!(url.starts_with(&format!("{}/authorize?", provider.issuer())), "{url}");
    let query = parameters(&url);
    // RFC 7636 appendix B computes the challenge so.
    let digest =
        aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, REQUEST.code_verifier.as_bytes());
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("redirect_uri", REQUEST.redirect_uri),
        ("state", REQUEST.state),
        ("nonce", NONCE),
        ("scope", "openid email profile"),
        ("code_challenge", URL_SAFE_NO_PAD.encode(digest).as_str()),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query[name], value, "{name}");
    }
    assert!(!url.contains(REQUEST.code_verifier) && !url.contains("s3cret"), "{url}");
    assert_eq!(query.len(), 8);

    let query = parameters(&client_of(at_stand_in("apple", &provider)));
    assert_eq!(query["response_mode"], "form_post");
    let query = parameters(&client_of(at_stand_in("github", &provider)));
    assert!(!query.contains_key("nonce"));

    let plain = with(provider.metadata(), "code_challenge_methods_supported", json!(["plain"]));
    provider.on("/.well-known/openid-configuration", Answer::json(&plain));
    assert!(!parameters(&client_of(generic(&provider))).contains_key("code_challenge"));
}

#[test]
fn the_client_secret_goes_where_the_metadata_say() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    provider.grant(&key.sign(&claims(&provider)));
    redeem(&client(generic(&provider))).unwrap();
    let request = provider.requests("/token").remove(0);
    let credentials = STANDARD.encode("client-1:s3cret%2F%2B");
    assert_eq!(request.headers["authorization"], format!("Basic {credentials}"));
    assert_eq!(request.field("client_secret"), None);
    assert_eq!(request.field("code").as_deref(), Some("code-1"));
    assert_eq!(request.field("code_verifier").as_deref(), Some(REQUEST.code_verifier));
    assert_eq!(request.field("redirect_uri").as_deref(), Some(REQUEST.redirect_uri));

    let methods = json!(["client_secret_post", "client_secret_basic"]);
    let posts = with(provider.metadata(), "token_endpoint_auth_methods_supported", methods);
    provider.on("/.well-known/openid-configuration", Answer::json(&posts));
    redeem(&client(generic(&provider))).unwrap();
    let request = provider.requests("/token").remove(1);
    assert!(!request.headers.contains_key("authorization"));
    assert_eq!(request.field("client_id").as_deref(), Some(CLIENT));
    assert_eq!(request.field("client_secret").as_deref(), Some("s3cret/+"));
}

#[test]
fn github_is_known_by_number_and_its_primary_verified_address() {
    let provider = ScriptedProvider::start();
    let client = client(at_stand_in("github", &provider));
    provider.on("/login/oauth/access_token", bearer_token());
    // The address of the profile is the public one, which is not the verified one.
    let user = json!({"login": "mina", "id": 583_231, "name": null, "email": "public@example.com"});
    provider.on("/user", Answer::json(&user));
    let email = |address: &str, primary: bool, verified: bool| json!({"email": address, "primary": primary, "verified": verified, "visibility": null});
    let emails = [email("old@example.com", false, true), email("mina@example.com", true, true)];
    provider.on("/user/emails", Answer::json(&json!(emails)));
    let identity = redeem(&client).unwrap();
    assert_eq!(identity.key.issuer, "https://github.com");
    assert_eq!(identity.key.subject, "583231");
    assert_email(&identity, Some("mina@example.com"), true);
    let request = provider.requests("/login/oauth/access_token").remove(0);
    assert_eq!(request.headers["accept"], "application/json");
    assert!(provider.requests("/user")[0].headers["user-agent"].starts_with("hallpass/"));

    let emails = [email("old@example.com", false, true), email("mina@example.com", true, false)];
    provider.on("/user/emails", Answer::json(&json!(emails)));
    assert_email(&redeem(&client).unwrap(), Some("mina@example.com"), false);
    provider.on("/user/emails", Answer::json(&json!([])));
    assert_email(&redeem(&client).unwrap(), None, false);
    provider.on("/user/emails", Answer::Reply(404, r#"{"message": "Not Found"}"#.to_owned()));
    assert_email(&redeem(&client).unwrap(), None, false);
    // A user name that passed to another user is no identity.
    provider.on("/user", Answer::json(&with(user, "id", json!(1))));
    assert_eq!(redeem(&client).unwrap().key.subject, "1");

    let error = json!({
        "error": "bad_verification_code",
        "error_description": "The code passed is incorrect or expired.",
        "error_uri": "https://docs.github.com/",
    });
    provider.on("/login/oauth/access_token", Answer::json(&error));
    assert_eq!(redeem(&client).unwrap_err().kind(), ProviderErrorKind::Refused);
}

#[test]
fn facebook_gets_a_proof_of_the_app_secret_and_is_never_trusted_with_an_address() {
    let provider = ScriptedProvider::start();
    let client = client(at_stand_in("facebook", &provider));
    provider.on("/v23.0/oauth/access_token", bearer_token());
    let me = json!({"id": "10150000000000000", "name": "Mina", "email": "mina@example.com"});
    provider.on("/v23.0/me", Answer::json(&me));
    let identity = redeem(&client).unwrap();
    assert_eq!(identity.key.issuer, "https://www.facebook.com");
    assert_eq!(identity.key.subject, "10150000000000000");
    assert_email(&identity, Some("mina@example.com"), false);
    let line = provider.requests("/v23.0/me").remove(0).line;
    // printf at-1 | openssl dgst -sha256 -hmac 's3cret/+'
    let proof = "appsecret_proof=f5dd9c1a75e88fcb02aecdd6553e9e58ff79d39f3147b77a3de54fc32625124f";
    assert!(line.contains("fields=id,name,email"), "{line}");
    assert!(line.contains(proof), "{line}");
    provider.on("/v23.0/me", Answer::json(&without(me, "email")));
    assert_email(&redeem(&client).unwrap(), None, false);
}

#[test]
fn naver_answers_in_an_envelope_and_wants_the_state_again() {
    let provider = ScriptedProvider::start();
    let client = client(at_stand_in("naver", &provider));
    let token = json!({"access_token": "at-1", "refresh_token": "r", "token_type": "bearer",
        "expires_in": "3600"});
    provider.on("/oauth2.0/token", Answer::json(&token));
    let profile = json!({"resultcode": "00", "message": "success", "response": {
        "id": "32742776", "email": "mina@naver.com", "name": "미나", "nickname": "mina"}});
    provider.on("/v1/nid/me", Answer::json(&profile));
    let identity = redeem(&client).unwrap();
    assert_eq!(identity.key.issuer, "https://nid.naver.com");
    assert_eq!(identity.key.subject, "32742776");
    assert_email(&identity, Some("mina@naver.com"), false);
    let request = provider.requests("/oauth2.0/token").remove(0);
    assert_eq!(request.field("state").as_deref(), Some(REQUEST.state));

    let failed = json!({"resultcode": "024", "message": "Authentication failed"});
    provider.on("/v1/nid/me", Answer::json(&failed));
    assert_eq!(redeem(&client).unwrap_err().kind(), ProviderErrorKind::Unavailable);
    let error =
        json!({"error": "invalid_request", "error_description": "no valid data in session"});
    provider.on("/oauth2.0/token", Answer::json(&error));
    assert_eq!(redeem(&client).unwrap_err().kind(), ProviderErrorKind::Refused);
}

#[test]
fn kakao_addresses_count_if_they_are_valid_and_verified() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let bare = without(without(claims(&provider), "email"), "email_verified");
    provider.grant(&key.sign(&with(bare, "sub", json!("4172837"))));
    let user = |id: u64, valid: bool, verified: bool| {
        json!({"id": id, "connected_at": "2026-01-01T00:00:00Z", "kakao_account": {
            "profile_nickname_needs_agreement": false, "profile": {"nickname": "미나"},
            "has_email": true, "email_needs_agreement": false, "is_email_valid": valid,
            "is_email_verified": verified, "email": "mina@kakao.com"}})
    };
    let answer = |user: Value| provider.on("/v2/user/me", Answer::json(&user));
    for scopes in ["openid account_email", "account_email profile_nickname"] {
        let mut settings = at_stand_in("kakao", &provider);
        settings.scopes = scopes.to_owned();
        let is_openid = settings.is_openid();
        let client = client(settings);
        answer(user(4_172_837, true, true));
        let identity = redeem(&client).unwrap();
        assert_eq!(identity.key.subject, "4172837");
        assert_eq!(identity.key.issuer, provider.issuer());
        assert_email(&identity, Some("mina@kakao.com"), true);
        answer(user(4_172_837, true, false));
        assert_email(&redeem(&client).unwrap(), Some("mina@kakao.com"), false);
        answer(user(4_172_837, false, true));
        assert_email(&redeem(&client).unwrap(), None, false);
        answer(json!({"id": 4_172_837}));
        assert_email(&redeem(&client).unwrap(), None, false);
        answer(user(5, true, true));
        assert_eq!(redeem(&client).is_err(), is_openid, "the profile of another user");
    }
}

#[test]
fn discord_says_whether_the_address_is_verified() {
    let provider = ScriptedProvider::start();
    let client = client(at_stand_in("discord", &provider));
    provider.on("/api/oauth2/token", bearer_token());
    let user = json!({"id": "80351110224678912", "username": "mina", "global_name": "Mina",
        "email": "mina@example.com", "verified": true});
    provider.on("/api/users/@me", Answer::json(&user));
    let identity = redeem(&client).unwrap();
    assert_eq!(identity.key.subject, "80351110224678912");
    assert_email(&identity, Some("mina@example.com"), true);
    provider.on("/api/users/@me", Answer::json(&with(user, "verified", json!(false))));
    assert_email(&redeem(&client).unwrap(), Some("mina@example.com"), false);
}

#[test]
fn apple_is_given_a_signed_secret_and_may_write_its_flags_as_text() {
    let key = Key::rs256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let posts = json!(["client_secret_post"]);
    let metadata = with(provider.metadata(), "token_endpoint_auth_methods_supported", posts);
    let metadata = without(metadata, "userinfo_endpoint");
    provider.on("/.well-known/openid-configuration", Answer::json(&metadata));
    let (_, private) = Key::es256_with_pem("KEY1234567");
    let mut settings = at_stand_in("apple", &provider);
    settings.client_secret = ClientSecret::Apple(AppleKey {
        team_id: "TEAM123456".to_owned(),
        key_id: "KEY1234567".to_owned(),
        private_key: SecretText::from(private),
    });
    let client = client(settings);
    let relay = with(claims(&provider), "email", json!("x7@privaterelay.appleid.com"));
    for (flag, verified) in [(json!("true"), true), (json!(true), true), (json!("false"), false)] {
        let claims = with(relay.clone(), "email_verified", flag);
        provider.grant(&key.sign(&with(claims, "is_private_email", json!("true"))));
        let identity = redeem(&client).unwrap();
        assert_email(&identity, Some("x7@privaterelay.appleid.com"), verified);
    }
    let secret = provider.requests("/token").remove(0).field("client_secret").unwrap();
    let parts: Vec<Value> = secret
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(parts[0], json!({"typ": "JWT", "alg": "ES256", "kid": "KEY1234567"}));
    let issuer = provider.issuer();
    let expected = json!({"iss": "TEAM123456", "iat": NOW, "exp": NOW + 300, "aud": issuer,
        "sub": CLIENT});
    assert_eq!(parts[1], expected);
}

#[test]
fn google_and_gitlab_need_nothing_but_their_settings() {
    let key = Key::rs256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    provider.grant(&key.sign(&claims(&provider)));
    let identity = redeem(&client(at_stand_in("gitlab", &provider))).unwrap();
    assert_email(&identity, Some("mina@example.com"), true);
    // Google is not authoritative for an address of another domain.
    let google = client(at_stand_in("google", &provider));
    assert_email(&redeem(&google).unwrap(), Some("mina@example.com"), false);
    provider.grant(&key.sign(&with(claims(&provider), "hd", json!("example.com"))));
    assert_email(&redeem(&google).unwrap(), Some("mina@example.com"), true);
    provider.grant(&key.sign(&with(claims(&provider), "email", json!("mina@gmail.com"))));
    assert_email(&redeem(&google).unwrap(), Some("mina@gmail.com"), true);
}
