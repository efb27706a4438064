//! The gate against what people have tried on JWT libraries.

use serde_json::{Value, json};

use super::*;
use crate::domain::{EndReason, EndedSession};
use crate::security::keys::{SealedKey, SigningAlgorithm, SigningKey};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example";

fn gate(algorithm: SigningAlgorithm) -> Gate {
    let keys = match algorithm {
        SigningAlgorithm::Hs256 => KeyRing::shared(b"a shared secret of at least 32 bytes"),
        other => {
            let key = SealedKey::generate(other, &[7; 32], at(NOW), at(NOW)).unwrap();
            KeyRing::empty(other).renewed(&[key], &[7; 32]).0
        }
    };
    let lifetime = Duration::from_secs(300);
    let revocations = Revocations::new(lifetime, Duration::from_secs(60));
    revocations.sync(&[], at(NOW));
    Gate::new(ISSUER.into(), lifetime, keys, revocations)
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

/// What `use_it` makes of the key that signs.
fn with_key<T>(gate: &Gate, use_it: impl FnOnce(&SigningKey) -> T) -> T {
    use_it(gate.keys().active(at(NOW)).unwrap())
}

fn header(gate: &Gate) -> Value {
    with_key(gate, |key| json!({"alg": key.algorithm.name(), "typ": "at+jwt", "kid": key.kid}))
}

/// Signs whatever it is given, as an attacker with the key could.
fn token(gate: &Gate, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = with_key(gate, |key| {
        jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, key.algorithm.jws()).unwrap()
    });
    format!("{message}.{signature}")
}

#[test]
fn every_algorithm_signs_what_it_believes() {
    for algorithm in SigningAlgorithm::ALL {
        let gate = gate(algorithm);
        let signed = gate.sign(&serde_json::from_value(claims()).unwrap(), at(NOW)).unwrap();
        assert_eq!(gate.check(&signed, at(NOW)).unwrap().sub, "7", "{algorithm:?}");
        assert_eq!(gate.public_keys(at(NOW)).is_empty(), algorithm == SigningAlgorithm::Hs256);
    }
}

#[test]
fn a_token_expires_to_the_second() {
    let gate = gate(SigningAlgorithm::Es256);
    let token = token(&gate, &header(&gate), &claims());
    gate.revocations.sync(&[], at(NOW + 300));
    assert!(gate.check(&token, at(NOW + 304)).is_ok());
    assert_eq!(gate.check(&token, at(NOW + 305)).unwrap_err(), Refusal::Expired);
    // A clock that is set back looks at the database again before anything else.
    gate.revocations.sync(&[], at(NOW - 5));
    assert!(gate.check(&token, at(NOW - 5)).is_ok());
    assert_eq!(gate.check(&token, at(NOW - 6)).unwrap_err(), Refusal::Invalid);
}

#[test]
fn an_ended_session_and_a_blind_gate_are_told_apart() {
    let gate = gate(SigningAlgorithm::Es256);
    let token = token(&gate, &header(&gate), &claims());
    assert_eq!(gate.check(&token, at(NOW + 61)).unwrap_err(), Refusal::Unknowable);
    let (id, reason) = (SessionId("s".into()), Some(EndReason::LoggedOut));
    gate.revocations.add([EndedSession { id, user_id: UserId(7), at: at(NOW), reason }], at(NOW));
    assert_eq!(gate.check(&token, at(NOW)).unwrap_err(), Refusal::Revoked);
}

#[test]
fn hostile_headers_are_refused_though_the_signature_is_right() {
    let gate = gate(SigningAlgorithm::Es256);
    for (field, value) in [
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("es256")),
        ("alg", json!(null)),
        ("typ", json!("JWT")),
        ("typ", json!(null)),
        ("kid", json!("unknown")),
        ("kid", json!(7)),
        ("crit", json!(["exp"])),
        ("jwk", json!({})),
        ("jku", json!("https://evil.example")),
        ("x5c", json!([])),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        let mut hostile = header(&gate);
        hostile[field] = value;
        let token = token(&gate, &hostile, &claims());
        assert_eq!(gate.check(&token, at(NOW)).unwrap_err(), Refusal::Invalid, "{hostile}");
    }
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_refused() {
    let gate = gate(SigningAlgorithm::Es256);
    for field in ["iss", "aud", "sub", "iat", "exp", "jti", "sid", "user_id", "auth_time"] {
        for value in
            [None, Some(json!(null)), Some(json!([ISSUER])), Some(json!(1.5)), Some(json!({}))]
        {
            let mut hostile = claims();
            match &value {
                Some(value) => hostile[field] = value.clone(),
                None => drop(hostile.as_object_mut().unwrap().remove(field)),
            }
            let token = token(&gate, &header(&gate), &hostile);
            assert_eq!(
                gate.check(&token, at(NOW)).unwrap_err(),
                Refusal::Invalid,
                "{field} {value:?}"
            );
        }
    }
    for (field, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("other")),
        ("sub", json!("8")),
        ("iat", json!(NOW + 6)),
        ("exp", json!(NOW + 901)),
        ("exp", json!(NOW - 1)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(i64::MIN)),
    ] {
        let mut hostile = claims();
        hostile[field] = value;
        let token = token(&gate, &header(&gate), &hostile);
        assert_eq!(gate.check(&token, at(NOW)).unwrap_err(), Refusal::Invalid, "{hostile}");
    }
}

#[test]
fn broken_forms_are_refused() {
    let gate = gate(SigningAlgorithm::Es256);
    let good = token(&gate, &header(&gate), &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let mut forms = vec![
        String::new(),
        ".".into(),
        "..".into(),
        "a.b.c".into(),
        message.to_owned(),
        format!("{message}."),
        format!("{good}."),
        format!("{good}="),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{message}.{}", signature.replace(['-', '_'], "+") + "+"),
        format!("{good}{}", "A".repeat(5_000_000)),
    ];
    // The last character of a 64-byte signature has four unused bits: one spelling only.
    let last = signature.chars().last().unwrap();
    forms.extend(
        "BCDEFHIJK"
            .chars()
            .filter(|c| *c != last)
            .map(|c| format!("{message}.{}{c}", &signature[..signature.len() - 1])),
    );
    for form in forms {
        assert_eq!(gate.check(&form, at(NOW)).unwrap_err(), Refusal::Invalid, "{form:.80}");
    }
}

#[test]
fn a_token_of_another_key_is_refused() {
    let (ours, theirs) = (gate(SigningAlgorithm::Es256), gate(SigningAlgorithm::Es256));
    let mut header = header(&theirs);
    assert!(ours.check(&token(&theirs, &header, &claims()), at(NOW)).is_err());
    header["kid"] = with_key(&ours, |key| json!(key.kid));
    assert!(ours.check(&token(&theirs, &header, &claims()), at(NOW)).is_err());
}
