//! Id tokens of a hostile provider or of an attacker (OpenID Connect Core section 3.1.3.7, RFC
//! 8725).

use hallpass::social::{IdTokenError, ProviderErrorKind};

use super::*;
use crate::scripted_provider::{Answer, Key, encode};

fn verdict(result: Result<Identity, ProviderError>) -> Result<Identity, IdTokenError> {
    result.map_err(|error| {
        assert_eq!(error.kind(), ProviderErrorKind::Refused, "{error}");
        match error {
            ProviderError::IdToken(error) => error,
            error => panic!("{error}"),
        }
    })
}

#[test]
fn a_right_token_of_each_algorithm_is_accepted() {
    for key in [Key::es256("k"), Key::ed25519("k"), Key::rs256("k")] {
        let provider = ScriptedProvider::openid(&[&key]);
        provider.grant(&key.sign(&claims(&provider)));
        let identity = redeem(&client(generic(&provider))).unwrap();
        assert_eq!(identity.key.issuer, provider.issuer());
        assert_eq!(identity.key.subject, "248289761001");
        assert_eq!(identity.email.unwrap().as_str(), "mina@example.com");
        assert!(identity.email_verified);
        assert_eq!(identity.name.as_deref(), Some("Mina"));
    }
}

#[test]
fn wrong_claims_are_refused_each_for_its_reason() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let client = client(generic(&provider));
    let good = || claims(&provider);
    let issuer = provider.issuer();
    for (claims, error) in [
        (with(good(), "iss", json!("https://other.example")), IdTokenError::Issuer),
        (with(good(), "iss", json!(format!("{issuer}/"))), IdTokenError::Issuer),
        (with(good(), "iss", json!(issuer.to_uppercase())), IdTokenError::Issuer),
        (with(good(), "aud", json!("other")), IdTokenError::Audience),
        (with(good(), "aud", json!([])), IdTokenError::Audience),
        (with(good(), "aud", json!([CLIENT, "other"])), IdTokenError::Audience),
        (with(good(), "aud", json!(CLIENT.to_uppercase())), IdTokenError::Audience),
        (with(good(), "aud", json!([CLIENT, CLIENT])), IdTokenError::AuthorizedParty),
        (with(good(), "azp", json!("other")), IdTokenError::AuthorizedParty),
        (with(good(), "nonce", json!("nonce-of-another-flow")), IdTokenError::Nonce),
        (with(good(), "nonce", json!("")), IdTokenError::Nonce),
        (with(good(), "nonce", Value::Null), IdTokenError::Nonce),
        (without(good(), "nonce"), IdTokenError::Nonce),
        (with(good(), "exp", json!(NOW - 60)), IdTokenError::Expired),
        (with(good(), "exp", json!(NOW)), IdTokenError::Expired),
        (with(good(), "exp", json!(i64::MIN)), IdTokenError::Expired),
        (with(good(), "iat", json!(NOW + 61)), IdTokenError::NotYetValid),
        (with(good(), "nbf", json!(NOW + 61)), IdTokenError::NotYetValid),
        (with(good(), "sub", json!("")), IdTokenError::Subject),
        (with(good(), "sub", json!("x".repeat(256))), IdTokenError::Subject),
        (with(good(), "sub", json!("a\0b")), IdTokenError::Subject),
        (with(good(), "sub", json!(248_289)), IdTokenError::Malformed),
        (with(good(), "exp", json!("1800000300")), IdTokenError::Malformed),
        (with(good(), "exp", json!(1_800_000_300.5)), IdTokenError::Malformed),
        (with(good(), "exp", json!(1e300)), IdTokenError::Malformed),
        (with(good(), "exp", json!(u64::MAX)), IdTokenError::Malformed),
        (with(good(), "exp", Value::Null), IdTokenError::Malformed),
        (with(good(), "iat", json!(i64::MAX)), IdTokenError::Expired),
        (with(good(), "sub", json!(["248289761001"])), IdTokenError::Malformed),
        (with(good(), "sub", json!("é".repeat(128))), IdTokenError::Subject),
        (with(good(), "aud", json!({"0": CLIENT})), IdTokenError::Malformed),
        (with(good(), "aud", json!([CLIENT, 7])), IdTokenError::Malformed),
        (with(good(), "aud", json!(format!("{CLIENT} "))), IdTokenError::Audience),
        (with(good(), "azp", json!([CLIENT])), IdTokenError::Malformed),
        (with(good(), "azp", json!("")), IdTokenError::AuthorizedParty),
        (with(good(), "iss", json!([issuer])), IdTokenError::Malformed),
        (
            with(good(), "iss", json!(issuer.replace("http://", "http://user@"))),
            IdTokenError::Issuer,
        ),
        (with(good(), "iss", json!(issuer.replace("http://", "https://"))), IdTokenError::Issuer),
        (with(good(), "nonce", json!([NONCE])), IdTokenError::Malformed),
        (with(good(), "nonce", json!(NONCE.to_uppercase())), IdTokenError::Nonce),
        (with(good(), "email", json!(["mina@example.com"])), IdTokenError::Malformed),
        (without(good(), "iss"), IdTokenError::Malformed),
        (without(good(), "sub"), IdTokenError::Malformed),
        (without(good(), "aud"), IdTokenError::Malformed),
        (without(good(), "exp"), IdTokenError::Malformed),
        (without(good(), "iat"), IdTokenError::Malformed),
        (json!([issuer]), IdTokenError::Malformed),
    ] {
        provider.grant(&key.sign(&claims));
        assert_eq!(verdict(redeem(&client)).err(), Some(error), "{claims}");
    }
    for claims in [
        with(good(), "aud", json!([CLIENT])),
        with(good(), "azp", json!(CLIENT)),
        with(good(), "iat", json!(NOW + 60)),
        with(with(good(), "iat", json!(NOW - 300)), "exp", json!(NOW - 59)),
        with(good(), "sub", json!("x".repeat(255))),
    ] {
        provider.grant(&key.sign(&claims));
        assert!(redeem(&client).is_ok(), "{claims}");
    }
}

#[test]
fn forged_and_foreign_tokens_are_refused() {
    let (key, rsa, stranger) = (Key::es256("k"), Key::rs256("r"), Key::es256("k"));
    let provider = ScriptedProvider::openid(&[&key, &rsa]);
    let client = client(generic(&provider));
    let text = claims(&provider).to_string();
    let header = |name: &str, value: Value| with(key.header(), name, value);
    let unsigned = |header: &Value| format!("{}.{}.", encode(&header.to_string()), encode(&text));
    // HMAC with the public key of the provider as its secret, in the spellings that libraries took.
    let hmac = |secret: &str| {
        let header = json!({"alg": "HS256", "kid": "r", "typ": "JWT"});
        let secret = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        let message = format!("{}.{}", encode(&header.to_string()), encode(&text));
        let algorithm = jsonwebtoken::Algorithm::HS256;
        let tag = jsonwebtoken::crypto::sign(message.as_bytes(), &secret, algorithm).unwrap();
        format!("{message}.{tag}")
    };
    let mut embedded = header("jwk", stranger.public.clone());
    embedded["jku"] = json!(format!("{}/stolen", provider.issuer()));
    let right = key.sign(&claims(&provider));
    for (token, error) in [
        (unsigned(&header("alg", json!("none"))), IdTokenError::Algorithm),
        (unsigned(&header("alg", json!("None"))), IdTokenError::Algorithm),
        (unsigned(&header("alg", json!("ES256"))), IdTokenError::Signature),
        (hmac(rsa.public["n"].as_str().unwrap()), IdTokenError::Algorithm),
        (hmac(&rsa.public.to_string()), IdTokenError::Algorithm),
        (key.sign_parts(&header("alg", json!("RS256")), &text), IdTokenError::UnknownKey),
        (key.sign_parts(&header("alg", json!("ES384")), &text), IdTokenError::Algorithm),
        (key.sign_parts(&header("kid", json!("r")), &text), IdTokenError::UnknownKey),
        (key.sign_parts(&header("kid", json!("other")), &text), IdTokenError::UnknownKey),
        (key.sign_parts(&header("crit", json!(["exp"])), &text), IdTokenError::Header),
        (key.sign_parts(&header("typ", json!("at+jwt")), &text), IdTokenError::Header),
        (key.sign_parts(&header("typ", json!("logout+jwt")), &text), IdTokenError::Header),
        (stranger.sign(&claims(&provider)), IdTokenError::Signature),
        (stranger.sign_parts(&embedded, &text), IdTokenError::Signature),
        (format!("{right}A"), IdTokenError::Signature),
        (right.replacen('.', "..", 1), IdTokenError::Malformed),
        (format!("{right}.{right}"), IdTokenError::Malformed),
        (String::new(), IdTokenError::Malformed),
        ("a.b.c".to_owned(), IdTokenError::Malformed),
        (
            key.sign(&with(claims(&provider), "x", json!("x".repeat(16_384)))),
            IdTokenError::Malformed,
        ),
        (
            key.sign_parts(&key.header(), &text.replacen('{', "{\"sub\":\"victim\",", 1)),
            IdTokenError::Malformed,
        ),
    ] {
        provider.grant(&token);
        assert_eq!(verdict(redeem(&client)).err(), Some(error), "{token:.200}");
    }
    assert!(provider.requests("/stolen").is_empty());
    provider.on("/token", Answer::json(&json!({"access_token": "at-1"})));
    assert_eq!(verdict(redeem(&client)).err(), Some(IdTokenError::Missing));
}

#[test]
fn a_token_without_key_id_is_accepted_where_one_key_can_be_meant() {
    let (key, other) = (Key::es256("k"), Key::es256("l"));
    let provider = ScriptedProvider::openid(&[&key]);
    let anonymous = without(key.header(), "kid");
    provider.grant(&key.sign_parts(&anonymous, &claims(&provider).to_string()));
    assert!(redeem(&client(generic(&provider))).is_ok());
    provider.publish(&[&key, &other]);
    let refused = redeem(&client(generic(&provider)));
    assert_eq!(verdict(refused).err(), Some(IdTokenError::UnknownKey));
}

#[test]
fn no_member_that_counts_occurs_twice() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let client = client(generic(&provider));
    let good = claims(&provider);
    for (name, value) in good.as_object().unwrap() {
        let twice = good.to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        provider.grant(&key.sign_parts(&key.header(), &twice));
        assert_eq!(verdict(redeem(&client)).err(), Some(IdTokenError::Malformed), "{name}");
    }
    for name in ["alg", "kid"] {
        let header = key.header();
        let twice = header.to_string().replacen('{', &format!("{{\"{name}\":{},", header[name]), 1);
        provider.grant(&key.sign_texts(&twice, &good.to_string()));
        assert_eq!(verdict(redeem(&client)).err(), Some(IdTokenError::Malformed), "{name}");
    }
    provider.grant(&key.sign(&good));
    let token = json!(key.sign(&good)).to_string();
    let twice = format!("{{\"id_token\":{token},\"id_token\":{token}}}");
    provider.on("/token", Answer::Reply(200, twice));
    assert_eq!(redeem(&client).unwrap_err().kind(), ProviderErrorKind::Unavailable);
}

#[test]
fn keys_that_share_an_id_sign_for_their_own_algorithm_and_use() {
    let (key, other, rsa) = (Key::es256("k"), Key::es256("k"), Key::rs256("k"));
    let provider = ScriptedProvider::openid(&[&other, &rsa, &key]);
    let of_provider = client(generic(&provider));
    for signer in [&key, &other, &rsa] {
        provider.grant(&signer.sign(&claims(&provider)));
        assert!(redeem(&of_provider).is_ok());
    }
    for (name, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["deriveBits"])),
        ("alg", json!("ES384")),
        ("kty", json!("oct")),
    ] {
        let mut wrong = Key::es256("k");
        wrong.public[name] = value;
        provider.publish(&[&wrong, &key]);
        let of_provider = client(generic(&provider));
        provider.grant(&wrong.sign(&claims(&provider)));
        assert_eq!(verdict(redeem(&of_provider)).err(), Some(IdTokenError::Signature), "{name}");
        provider.grant(&key.sign(&claims(&provider)));
        assert!(redeem(&of_provider).is_ok(), "{name}");
    }
}

#[test]
fn a_rotated_key_is_fetched_and_unknown_keys_cause_few_fetches() {
    let (old, new) = (Key::es256("old"), Key::es256("new"));
    let provider = ScriptedProvider::openid(&[&old]);
    let client = client(generic(&provider));
    provider.grant(&old.sign(&claims(&provider)));
    assert!(redeem(&client).is_ok());
    provider.publish(&[&new]);
    provider.grant(&new.sign(&claims(&provider)));
    assert!(redeem_at(&client, later(30)).is_ok());
    assert_eq!(provider.requests("/keys").len(), 2);
    for number in 0..50 {
        let header = with(new.header(), "kid", json!(format!("unknown-{number}")));
        provider.grant(&new.sign_parts(&header, &claims(&provider).to_string()));
        let refused = redeem_at(&client, later(31 + number / 10));
        assert_eq!(verdict(refused).err(), Some(IdTokenError::UnknownKey));
    }
    assert_eq!(provider.requests("/keys").len(), 2, "unknown keys were fetched again and again");
    assert_eq!(provider.requests("/.well-known/openid-configuration").len(), 1);
    // The old key is gone for good.
    provider.grant(&old.sign(&claims(&provider)));
    let refused = redeem_at(&client, later(40));
    assert_eq!(verdict(refused).err(), Some(IdTokenError::UnknownKey));
}

#[test]
fn a_native_app_is_one_of_those_that_are_set() {
    let key = Key::es256("k");
    let provider = ScriptedProvider::openid(&[&key]);
    let client = client(generic(&provider));
    let native = |claims: &Value| {
        let token = key.sign(claims);
        let verified = client.verify_id_token(&token, NONCE, now());
        verdict(verified.map(|(identity, accepted_until)| {
            assert_eq!(accepted_until, later(360), "its expiry and the leeway");
            identity
        }))
    };
    let ios = with(claims(&provider), "aud", json!("ios"));
    assert!(native(&ios).is_ok());
    assert!(native(&with(ios.clone(), "azp", json!("android"))).is_ok());
    let other_party = with(ios.clone(), "azp", json!("other"));
    assert_eq!(native(&other_party).err(), Some(IdTokenError::AuthorizedParty));
    // A token of the browser flow is not one of an app.
    assert_eq!(native(&claims(&provider)).err(), Some(IdTokenError::Audience));
    assert_eq!(native(&with(ios, "nonce", json!("other"))).err(), Some(IdTokenError::Nonce));
    // And the other way round.
    provider.grant(&key.sign(&with(claims(&provider), "aud", json!("ios"))));
    assert_eq!(verdict(redeem(&client)).err(), Some(IdTokenError::Audience));
}

#[test]
fn microsoft_tenants_are_told_apart_by_issuer() {
    const TENANT: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
    const OTHER: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let mut key = Key::es256("k");
    let provider = ScriptedProvider::start();
    let origin = provider.issuer();
    let template = format!("{origin}/{{tenantid}}/v2.0");
    key.public["issuer"] = json!(template);
    provider.publish(&[&key]);
    let metadata = with(provider.metadata(), "issuer", json!(template));
    provider.on("/common/v2.0/.well-known/openid-configuration", Answer::json(&metadata));
    let mut settings = Preset::find("microsoft").unwrap().settings(CLIENT.to_owned(), secret());
    provider.stand_in_for(&mut settings);
    let client = client(settings);
    let issuer = |tenant: &str| json!(template.replace("{tenantid}", tenant));
    let good = with(with(claims(&provider), "tid", json!(TENANT)), "iss", issuer(TENANT));
    provider.grant(&key.sign(&good));
    let identity = redeem(&client).unwrap();
    assert_eq!(json!(identity.key.issuer), issuer(TENANT));
    assert!(!identity.email_verified, "an address without xms_edov counts as verified");
    provider.grant(&key.sign(&with(good.clone(), "xms_edov", json!(true))));
    assert!(redeem(&client).unwrap().email_verified);
    for bad in [
        with(good.clone(), "iss", issuer(OTHER)),
        with(good.clone(), "iss", json!(template)),
        with(with(good.clone(), "iss", issuer("../x")), "tid", json!("../x")),
        without(good.clone(), "tid"),
    ] {
        provider.grant(&key.sign(&bad));
        assert_eq!(verdict(redeem(&client)).err(), Some(IdTokenError::Issuer), "{bad}");
    }
    // A key of one tenant signs for this tenant only.
    key.public["issuer"] = issuer(OTHER);
    provider.publish(&[&key]);
    provider.grant(&key.sign(&good));
    let refused = redeem_at(&client, later(3_600));
    assert!(refused.is_err());
}
