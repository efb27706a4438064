//! A table of hostile tokens (RFC 8725, RFC 7515, RFC 7518), each signed as well as an attacker
//! could, for every kind of key, against a validator with keys of all kinds.

mod public_keys;

use std::time::Duration;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value, json};

use super::*;
use crate::domain::{SealedKey, SessionId, UserId};
use crate::security::keys::{SigningAlgorithm, SigningKey};

/// Key that seals the private keys.
const SEALING_KEY: [u8; 32] = [7; 32];
const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://auth.example";
/// The order of P-256: signatures are pairs of numbers below it.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// A validator, and its keys in the hands of an attacker.
struct Target {
    access_tokens: AccessTokens,
    keys: Vec<SigningKey>,
    stored: Vec<SealedKey>,
}

impl Target {
    fn new() -> Self {
        let now = UtcTime::from_seconds(NOW);
        let shared = b"a shared secret of at least 32 bytes";
        let stored: Vec<SealedKey> =
            [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa, SigningAlgorithm::Rs256]
                .map(|algorithm| SealedKey::generate(algorithm, &SEALING_KEY, now, now).unwrap())
                .into();
        let mut keys: Vec<SigningKey> =
            stored.iter().map(|sealed| sealed.open(&[&SEALING_KEY]).unwrap()).collect();
        keys.push(SigningKey::shared(shared));
        let (key_set, faults) =
            KeySet::empty(SigningAlgorithm::Es256).renewed(&stored, &[&SEALING_KEY]);
        assert!(faults.is_empty());
        let lifetime = Duration::from_secs(300);
        let revocations = Revocations::new(lifetime, Duration::from_secs(60));
        revocations.sync(&[], &[], now);
        let key_set = key_set.with_shared(shared);
        let access_tokens = AccessTokens::new(
            TokenSettings::new(ISSUER, "hallpass", lifetime),
            key_set,
            revocations,
        );
        let target = Self { access_tokens, keys, stored };
        // A token that is similar to a cached one is the most likely to be confused with it.
        for key in &target.keys {
            target.admits(&genuine(key));
        }
        target
    }

    fn key(&self, algorithm: SigningAlgorithm) -> &SigningKey {
        self.keys.iter().find(|key| key.algorithm == algorithm).unwrap()
    }

    /// Returns the verdict on a token, and checks that a second check returns the same.
    #[track_caller]
    fn verdict(&self, token: &str) -> Result<(), TokenError> {
        let check = || self.access_tokens.check(token, UtcTime::from_seconds(NOW)).map(drop);
        let verdict = check();
        assert_eq!(check(), verdict, "the second time: {token:.300}");
        verdict
    }

    #[track_caller]
    fn repels(&self, token: &str, what: impl std::fmt::Display) {
        assert_eq!(self.verdict(token).err(), Some(TokenError::Invalid), "{what:.300}");
    }

    #[track_caller]
    fn admits(&self, token: &str) {
        assert!(self.verdict(token).is_ok(), "{token}");
    }
}

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn header(key: &SigningKey) -> String {
    header_of(key.algorithm.name(), &key.kid)
}

fn header_of(algorithm: &str, kid: &str) -> String {
    json!({"typ": "at+jwt", "alg": algorithm, "kid": kid}).to_string()
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": ISSUER, "sub": "7", "iat": NOW, "exp": NOW + 300, "jti": "j",
        "sid": "s", "user_id": 7, "username": "u", "email": "", "email_verified": false,
        "is_staff": false, "amr": ["pwd"], "auth_time": NOW
    })
}

/// Returns both parts as they are, with a right signature of `key`.
fn signed(key: &SigningKey, header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>) -> String {
    sealed(key, &format!("{}.{}", encode(header), encode(claims)))
}

/// Returns a message as it is, with a right signature of `key`.
fn sealed(key: &SigningKey, message: &str) -> String {
    let jws = key.algorithm.jws();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key.encoding, jws).unwrap();
    format!("{message}.{signature}")
}

fn genuine(key: &SigningKey) -> String {
    signed(key, header(key), claims().to_string())
}

#[test]
fn headers_are_known_whole_or_refused() {
    let target = Target::new();
    for key in &target.keys {
        target.admits(&genuine(key));
        let (alg, kid) = (key.algorithm.name(), &key.kid);
        let jwk = target.key(SigningAlgorithm::Es256).public_jwk.clone().unwrap();
        let plain = format!(r#""typ":"at+jwt","alg":"{alg}","kid":"{kid}""#);
        let mut hostile = vec![
            String::new(),
            "{}".to_owned(),
            "null".to_owned(),
            format!(r#"["{alg}","at+jwt","{kid}"]"#),
            format!("[{{{plain}}}]"),
            format!(r#""{{{plain}}}""#),
            format!("{{{plain}"),
            format!("{{{plain},}}"),
            format!("{{{plain}}}{{}}"),
            format!("{{{plain}}}\0"),
            format!(" {{{plain}}}"),
            format!("\u{feff}{{{plain}}}"),
            // A duplicate field: parsers may take the first or the last.
            format!(r#"{{{plain},"alg":"{alg}"}}"#),
            format!(r#"{{"alg":"none",{plain}}}"#),
            format!(r#"{{{plain},"alg":"none"}}"#),
            format!(r#"{{{plain},"\u0061lg":"none"}}"#),
            format!(r#"{{{plain},"kid":"{kid}"}}"#),
            format!(r#"{{{plain},"typ":"at+jwt"}}"#),
            // A part is missing.
            format!(r#"{{"typ":"at+jwt","alg":"{alg}"}}"#),
            format!(r#"{{"typ":"at+jwt","kid":"{kid}"}}"#),
            format!(r#"{{"alg":"{alg}","kid":"{kid}"}}"#),
            format!(r#"{{{plain},"x":{}1{}}}"#, "[".repeat(200), "]".repeat(200)),
            format!(r#"{{{plain},"x":NaN}}"#),
            format!("{{{plain},\"x\":\"\\ud800\"}}"),
        ];
        for extra in [
            r#""crit":["b64"],"b64":false"#,
            r#""crit":["exp"]"#,
            r#""crit":[]"#,
            r#""crit":null"#,
            r#""b64":false"#,
            r#""b64":true"#,
            r#""jku":"https://evil.example/jwks.json""#,
            r#""x5u":"https://evil.example/cert.pem""#,
            r#""x5c":["MIIB"]"#,
            r#""x5t":"AAAA""#,
            r#""x5t#S256":"AAAA""#,
            r#""zip":"DEF""#,
            r#""cty":"JWT""#,
            r#""enc":"A256GCM""#,
            r#""epk":{}"#,
            r#""p2c":1000000000"#,
            r#""iss":"https://auth.example""#,
            r#""":"""#,
            r#""ALG":"none""#,
        ] {
            hostile.push(format!("{{{plain},{extra}}}"));
        }
        hostile.push(format!(r#"{{{plain},"jwk":{jwk}}}"#));
        for header in hostile {
            target.repels(&signed(key, &header, claims().to_string()), &header);
        }
        let torn = [br#"{"typ":"at+jwt","alg":"#.as_slice(), b"\"\xff\"}"].concat();
        target.repels(&signed(key, torn, claims().to_string()), "no UTF-8");
    }
}

#[test]
fn names_in_a_header_are_exact() {
    let target = Target::new();
    for key in &target.keys {
        let good = json!({"typ": "at+jwt", "alg": key.algorithm.name(), "kid": key.kid});
        let kid = key.kid.as_str();
        let lower = key.algorithm.name().to_lowercase();
        let mut table = Vec::new();
        for alg in [
            "none", "None", "NONE", "nOnE", "", " ", &lower, "ES256 ", "ES256\0", "ES256K",
            "ES384", "ES512", "PS256", "RS384", "RS512", "HS384", "HS512", "Ed25519", "dir",
            "RSA-OAEP",
        ] {
            table.push(("alg", json!(alg)));
        }
        for typ in ["", "JWT", "jwt", "AT+JWT", "application/at+jwt", "at+jwt ", "refresh", "JWS"] {
            table.push(("typ", json!(typ)));
        }
        for kid in [
            "",
            "0",
            "unknown",
            "../../../dev/null",
            "/dev/null",
            "' OR '1'='1",
            "*",
            "\0",
            "%00",
            "https://evil.example/key",
            &format!("{kid} "),
            &format!("{kid}\0"),
            &kid[1..],
            &"k".repeat(2000),
        ] {
            table.push(("kid", json!(kid)));
        }
        for field in ["alg", "typ", "kid"] {
            for value in [json!(null), json!(0), json!(true), json!([good[field]]), json!({})] {
                table.push((field, value));
            }
        }
        for (field, value) in table {
            let mut header = good.clone();
            header[field] = value;
            target.repels(&signed(key, header.to_string(), claims().to_string()), &header);
        }
    }
}

#[test]
fn a_key_counts_for_its_own_algorithm_and_its_own_name() {
    let target = Target::new();
    for (mine, other) in
        target.keys.iter().flat_map(|mine| target.keys.iter().map(move |it| (mine, it)))
    {
        if mine.kid == other.kid {
            continue;
        }
        for header in [
            header_of(other.algorithm.name(), &mine.kid),
            header_of(mine.algorithm.name(), &other.kid),
            header(other),
        ] {
            target.repels(&signed(mine, &header, claims().to_string()), &header);
        }
    }
}

#[test]
fn signatures_that_prove_nothing_are_refused() {
    let target = Target::new();
    for key in &target.keys {
        let token = genuine(key);
        let (message, signature) = token.rsplit_once('.').unwrap();
        let right = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let length = right.len();
        let mut wrong = vec![
            Vec::new(),
            vec![0],
            vec![0; length],
            vec![1; length],
            vec![0xff; length],
            right[..length - 1].to_vec(),
            right[1..].to_vec(),
            [&right[..], &[0]].concat(),
            [&[0], &right[..]].concat(),
            [&right[..], &right[..]].concat(),
            right.iter().rev().copied().collect(),
            vec![7; 3000],
        ];
        for place in [0, length / 2, length - 1] {
            let mut changed = right.clone();
            changed[place] ^= 1;
            wrong.push(changed);
        }
        if key.algorithm == SigningAlgorithm::Es256 {
            let (r, s) = right.split_at(32);
            let (zero, one) = ([0; 32], [[0; 31].as_slice(), &[1]].concat());
            for (r, s) in [
                (r, &zero[..]),
                (&zero[..], s),
                (r, &ORDER),
                (&ORDER, s),
                (&ORDER, &ORDER),
                (&one, &zero),
                (&one, &one),
                (s, r),
            ] {
                wrong.push([r, s].concat());
            }
            wrong.push(der(r, s));
        }
        for signature in wrong {
            target.repels(&format!("{message}.{}", encode(&signature)), format!("{signature:?}"));
        }
    }
}

/// Returns the signature in DER, as in certificates. Tokens use the other form.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| [&[2, 33, 0], number].concat();
    let both = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(both.len()).unwrap()], &both[..]].concat()
}

/// ECDSA signatures are malleable: from one, a second for the same message can be computed. So
/// nothing may depend on the text of a token; revocation is by session.
#[test]
fn the_mirrored_signature_says_nothing_else() {
    let target = Target::new();
    let token = genuine(target.key(SigningAlgorithm::Es256));
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut mirrored = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut borrow = 0;
    for place in (0..32).rev() {
        let digit = i16::from(ORDER[place]) - i16::from(mirrored[32 + place]) - borrow;
        borrow = i16::from(digit < 0);
        mirrored[32 + place] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    let mirrored = format!("{message}.{}", encode(&mirrored));
    assert_ne!(mirrored, token);
    target.admits(&mirrored);
    let (now, id) = (UtcTime::from_seconds(NOW), SessionId("s".into()));
    let reason = Some(crate::domain::EndReason::LoggedOut);
    let ended = crate::domain::EndedSession { id, user_id: UserId(7), at: now, reason };
    target.access_tokens.revocations.add([ended], now);
    assert_eq!(target.verdict(&mirrored).err(), Some(TokenError::Revoked));
}

#[test]
fn every_claim_is_there_once_and_of_its_type() {
    let target = Target::new();
    let key = target.key(SigningAlgorithm::Es256);
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e300),
        json!(1_800_000_300.0),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(""),
        json!("7"),
        json!("1800000300"),
        json!("true"),
        json!([]),
        json!([7]),
        json!(["pwd", 7]),
        json!([ISSUER]),
        json!([ISSUER, "https://evil.example"]),
        json!({}),
        json!({"0": 7}),
    ];
    let good = claims();
    for (name, right) in good.as_object().unwrap() {
        let mut without = good.clone();
        without.as_object_mut().unwrap().shift_remove(name);
        target.repels(&signed(key, header(key), without.to_string()), &without);
        for value in &values {
            let same_type = match (right, value) {
                (Value::Number(_), Value::Number(number)) => number.is_i64(),
                (Value::Array(_), Value::Array(items)) => items.iter().all(Value::is_string),
                _ => std::mem::discriminant(right) == std::mem::discriminant(value),
            };
            let free = matches!(name.as_str(), "jti" | "sid" | "username" | "email" | "auth_time")
                || matches!(name.as_str(), "email_verified" | "is_staff" | "amr");
            let mut hostile = good.clone();
            hostile[name] = value.clone();
            let token = signed(key, header(key), hostile.to_string());
            // One audience or several (RFC 7519 section 4.1.3).
            let names_us =
                |value: &Value| value.as_array().is_some_and(|it| it.contains(&json!(ISSUER)));
            if same_type && free || value == right || name == "aud" && names_us(value) {
                target.admits(&token);
            } else if name == "exp" && same_type && value.as_i64() != Some(i64::MIN) {
                // Of the right type, and another time: refused, whichever way.
                assert!(target.verdict(&token).is_err(), "{hostile}");
            } else {
                target.repels(&token, &hostile);
            }
        }
        let body = good.to_string();
        let body = body.trim_start_matches('{').trim_end_matches('}');
        let spelt = format!("\\u{:04x}{}", name.as_bytes()[0], &name[1..]);
        for twice in [
            format!(r#"{{{body},"{name}":{right}}}"#),
            format!(r#"{{"{name}":null,{body}}}"#),
            format!(r#"{{{body},"{spelt}":{right}}}"#),
        ] {
            target.repels(&signed(key, header(key), &twice), &twice);
        }
    }
    let array: Vec<&Value> = good.as_object().unwrap().values().collect();
    let text = good.to_string();
    for hostile in [
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
        json!(array).to_string(),
        json!([good]).to_string(),
        json!(text).to_string(),
        format!("{text}{text}"),
        format!(" {text}"),
        format!("\u{feff}{text}"),
        text.replace("1800000300", "1e999"),
        text.replace("1800000300", &"9".repeat(400)),
        text.replace("1800000300", "NaN"),
        text.replace("1800000300", "01800000300"),
        text.replace("\"u\"", "\"\\ud800\""),
        text.replace('"', "'"),
    ] {
        target.repels(&signed(key, header(key), &hostile), &hostile);
    }
}

#[test]
fn a_token_of_tomorrow_does_not_count_today() {
    let target = Target::new();
    for key in &target.keys {
        let with = |nbf: Value| {
            let mut claims = claims();
            claims["nbf"] = nbf;
            signed(key, header(key), claims.to_string())
        };
        for past in [NOW, NOW - 3600, 0] {
            target.admits(&with(past.into()));
        }
        for hostile in [json!(NOW + 3600), json!(i64::MAX), json!("x"), json!(null), json!([NOW])] {
            target.repels(&with(hostile.clone()), hostile);
        }
    }
}

#[test]
fn a_token_has_one_size_and_one_spelling() {
    let target = Target::new();
    for key in &target.keys {
        let claims_of = |padding: usize| {
            let mut claims = claims();
            claims["padding"] = "p".repeat(padding).into();
            claims.to_string()
        };
        let signature = genuine(key).rsplit_once('.').unwrap().1.len();
        let size = |padding: usize| {
            format!("{}.{}.", encode(header(key)), encode(claims_of(padding))).len() + signature
        };
        let shortest = (0..MAX_LENGTH).find(|padding| size(*padding) > MAX_LENGTH).unwrap();
        target.admits(&signed(key, header(key), claims_of(shortest - 1)));
        target.repels(&signed(key, header(key), claims_of(shortest)), "too long by a byte or two");

        let (head, body) = (header(key), claims().to_string());
        // Rightly signed, but another text of the same bytes.
        for message in [
            format!("{}.{}", URL_SAFE.encode(padded(&head)), encode(&body)),
            format!("{}.{}", encode(&head), URL_SAFE.encode(padded(&body))),
            format!("{}.{}=", encode(&head), encode(&body)),
            format!("{}\n.{}", encode(&head), encode(&body)),
            format!("{} .{}", encode(&head), encode(&body)),
            format!("{}.\t{}", encode(&head), encode(&body)),
            format!(
                "{}.{}",
                encode(&head),
                STANDARD_NO_PAD.encode(body.replace("\"u\"", "\"ÿþ~?>\""))
            ),
            format!("{}.{}.", encode(&head), encode(&body)),
            format!("{}.{}.{}", encode(&head), encode(&body), encode(&body)),
            format!(".{}.{}", encode(&head), encode(&body)),
            format!("{}.", encode(&head)),
            format!(".{}", encode(&body)),
            encode(&head),
            head.clone() + "." + &body,
        ] {
            target.repels(&sealed(key, &message), &message);
        }
        let token = genuine(key);
        let (message, signature) = token.rsplit_once('.').unwrap();
        for form in [
            String::new(),
            "..".to_owned(),
            "a.b.c".to_owned(),
            format!("{message}."),
            respelt(&token),
            token.replace('.', "\u{ff0e}"),
            token.replace('.', "%2e"),
            format!("{token}\0"),
            format!("\u{feff}{token}"),
            format!("Bearer {token}"),
            format!("{message}..{signature}"),
            format!("{message}.{signature}.{signature}"),
            format!("{message}.{signature}="),
            format!("{message}.{signature}A"),
            format!("{message}.{}", signature.to_lowercase()),
            format!(r#"{{"payload":"{}","signature":"{signature}"}}"#, encode(&body)),
            ".".repeat(MAX_LENGTH),
            ".".repeat(2_000_000),
            format!("{token}{}", ".".repeat(2_000_000)),
            format!("{}{token}", "A.".repeat(1000)),
        ] {
            target.repels(&form, format!("{form:.120}"));
        }
    }
}

/// Returns the signature in another spelling of the same bytes: the last character has unused bits.
fn respelt(token: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = token.split_at(token.len() - 1);
    let other = alphabet.find(last).unwrap() ^ 1;
    format!("{rest}{}", &alphabet[other..=other])
}

/// Returns `text`, with a space at its end if its base64 would need no padding.
fn padded(text: &str) -> String {
    if text.len().is_multiple_of(3) { format!("{text} ") } else { text.to_owned() }
}
