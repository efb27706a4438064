//! Tokens of this service over time; `hostile.rs` has forged ones.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::domain::{EndReason, EndedSession, SealedKey, SessionId, UserId};
use crate::security::keys::SigningAlgorithm;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example";

fn access_tokens(algorithm: SigningAlgorithm) -> AccessTokens {
    let keys = match algorithm {
        SigningAlgorithm::Hs256 => KeySet::shared(b"a shared secret of at least 32 bytes"),
        other => {
            let key = SealedKey::generate(other, &[7; 32], at(NOW), at(NOW)).unwrap();
            KeySet::empty(other).renewed(&[key], &[&[7; 32]]).0
        }
    };
    let lifetime = Duration::from_secs(300);
    let revocations = Revocations::new(lifetime, Duration::from_secs(60));
    revocations.sync(&[], &[], at(NOW));
    AccessTokens::new(settings(), keys, revocations)
}

fn settings() -> TokenSettings {
    TokenSettings::new(ISSUER, "hallpass", Duration::from_secs(300))
}

fn at(seconds: i64) -> UtcTime {
    UtcTime::from_seconds(seconds)
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ISSUER, "sub": "7", "iat": NOW, "exp": NOW + 300, "jti": "j",
        "sid": "s", "user_id": 7, "username": "u", "email": "", "email_verified": false,
        "is_staff": false, "amr": ["pwd"], "auth_time": NOW
    })
}

/// Signs any claims, as an attacker with the key could.
fn token(access_tokens: &AccessTokens, claims: &Value) -> String {
    let keys = access_tokens.keys();
    let key = keys.active(at(NOW)).unwrap();
    let header = json!({"alg": key.algorithm.name(), "typ": "at+jwt", "kid": key.kid});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(claims));
    let jws = key.algorithm.jws();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, jws).unwrap();
    format!("{message}.{signature}")
}

#[test]
fn keys_and_signatures_have_the_length_of_their_algorithm() {
    let bytes = |value: &Value| URL_SAFE_NO_PAD.decode(value.as_str().unwrap()).unwrap().len();
    for algorithm in SigningAlgorithm::ALL {
        let access_tokens = access_tokens(algorithm);
        let signed =
            access_tokens.sign(&serde_json::from_value(claims()).unwrap(), at(NOW)).unwrap();
        let signature = bytes(&json!(signed.rsplit_once('.').unwrap().1));
        let keys = access_tokens.public_keys(at(NOW));
        let parts = |names: &[&str]| -> Vec<usize> {
            names.iter().map(|name| bytes(&keys[0][*name])).collect()
        };
        let (expected, found) = match algorithm {
            SigningAlgorithm::Es256 => ((64, vec![32, 32]), parts(&["x", "y"])),
            SigningAlgorithm::EdDsa => ((64, vec![32]), parts(&["x"])),
            SigningAlgorithm::Rs256 => ((256, vec![256, 3]), parts(&["n", "e"])),
            SigningAlgorithm::Hs256 => ((32, Vec::new()), Vec::new()),
        };
        assert_eq!((signature, found), expected, "{algorithm:?}");
    }
}

#[test]
fn every_algorithm_accepts_its_own_signatures() {
    for algorithm in SigningAlgorithm::ALL {
        let access_tokens = access_tokens(algorithm);
        let signed =
            access_tokens.sign(&serde_json::from_value(claims()).unwrap(), at(NOW)).unwrap();
        assert_eq!(access_tokens.check(&signed, at(NOW)).unwrap().claims.sub, "7", "{algorithm:?}");
        assert_eq!(
            access_tokens.public_keys(at(NOW)).is_empty(),
            algorithm == SigningAlgorithm::Hs256
        );
    }
}

#[test]
fn a_token_names_its_client_and_one_of_the_version_before_need_not() {
    let access_tokens = access_tokens(SigningAlgorithm::Es256);
    let client_of = |claims: &Value| {
        let verified = access_tokens.check(&token(&access_tokens, claims), at(NOW));
        verified.map(|token| token.claims.client_id.clone())
    };
    assert_eq!(client_of(&claims()).unwrap(), "hallpass");
    let with = |client_id: Value| {
        let mut claims = claims();
        claims["client_id"] = client_id;
        client_of(&claims)
    };
    // Another instance may have another setting for a while.
    assert_eq!(with("spa".into()).unwrap(), "spa");
    for wrong in [json!(null), json!(7), json!(["hallpass"]), json!({}), json!(true)] {
        assert_eq!(with(wrong.clone()).unwrap_err(), TokenError::Invalid, "{wrong}");
    }
}

#[test]
fn a_token_expires_to_the_second() {
    let access_tokens = access_tokens(SigningAlgorithm::Es256);
    let token = token(&access_tokens, &claims());
    access_tokens.revocations.sync(&[], &[], at(NOW + 300));
    assert!(access_tokens.check(&token, at(NOW + 304)).is_ok());
    assert_eq!(access_tokens.check(&token, at(NOW + 305)).unwrap_err(), TokenError::Expired);
    // After the clock was set back, the set is read again from the database before anything else.
    access_tokens.revocations.sync(&[], &[], at(NOW - 5));
    assert!(access_tokens.check(&token, at(NOW - 5)).is_ok());
    assert_eq!(access_tokens.check(&token, at(NOW - 6)).unwrap_err(), TokenError::Invalid);
}

#[test]
fn an_ended_session_and_a_stale_revocation_list_are_different_errors() {
    let access_tokens = access_tokens(SigningAlgorithm::Es256);
    let token = token(&access_tokens, &claims());
    assert_eq!(
        access_tokens.check(&token, at(NOW + 61)).unwrap_err(),
        TokenError::RevocationsStale
    );
    let (id, reason) = (SessionId("s".into()), Some(EndReason::LoggedOut));
    access_tokens
        .revocations
        .add([EndedSession { id, user_id: UserId(7), at: at(NOW), reason }], at(NOW));
    assert_eq!(access_tokens.check(&token, at(NOW)).unwrap_err(), TokenError::Revoked);
}

#[test]
fn times_that_do_not_fit_are_refused() {
    let access_tokens = access_tokens(SigningAlgorithm::Es256);
    for (field, seconds) in [
        ("iat", NOW + 6),
        ("iat", i64::MIN),
        ("exp", NOW + 901),
        ("exp", NOW - 1),
        ("exp", i64::MAX),
    ] {
        let mut hostile = claims();
        hostile[field] = seconds.into();
        let token = token(&access_tokens, &hostile);
        assert_eq!(
            access_tokens.check(&token, at(NOW)).unwrap_err(),
            TokenError::Invalid,
            "{hostile}"
        );
    }
}

#[test]
fn names_and_roles_within_the_room_fit_into_a_token() {
    let id = "0".repeat(36);
    for algorithm in SigningAlgorithm::ALL {
        let access_tokens = access_tokens(algorithm);
        let room = usize::try_from(access_tokens.room_for_names().unwrap()).unwrap();
        assert!(room > 2000, "{room}");
        for (name, roles) in [(room / 6, 0), (0, room / 3), (room / 12, room / 6)] {
            let roles = vec!["r"; roles.div_ceil(2)];
            let mut claims = claims();
            // JSON takes six bytes for each of these characters.
            claims["username"] = json!("\u{1}".repeat(name));
            claims["scope"] = json!(roles.join(" "));
            claims["roles"] = json!(roles);
            claims["gen"] = json!(NOW * 1_000_000);
            claims["sub"] = json!(i64::MAX.to_string());
            claims["user_id"] = json!(i64::MAX);
            claims["sid"] = json!(id);
            claims["jti"] = json!(id);
            claims["client_id"] = json!("hallpass");
            let claims: Claims = serde_json::from_value(claims).unwrap();
            access_tokens.check_length(&claims, at(NOW)).unwrap();
        }
    }
}
