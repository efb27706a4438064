//! Fuzz targets: every reader of untrusted input. Each function takes any bytes, may
//! not panic, holds what was accepted against what the reader promises, and says whether anything
//! was.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Duration;

use actix_web::cookie::SameSite;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, ORIGIN};
use actix_web::test::TestRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hallpass::domain::{
    Email, Locale, PasswordPolicy, PlainPassword, SealedKey, Transport, Username, UtcTime,
};
use hallpass::drf::http as django;
use hallpass::drf::token::{DrfTokens, Lifetimes};
use hallpass::http::browsers::{Browsers, Origins};
use hallpass::http::request::{client, strict_json};
use hallpass::mail::smtp::settings::SmtpSettings;
use hallpass::security::access_token::{AccessTokens, Claims, TokenSettings};
use hallpass::security::key_set::KeySet;
use hallpass::security::keys::SigningAlgorithm;
use hallpass::security::revocations::Revocations;
use hallpass::security::sealing;
use ipnet::IpNet;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::Value;

const SECRET: &[u8] = b"a secret of the fuzzer, of 32 bytes and more";
const SEALING_KEY: [u8; 32] = [7; 32];
const ISSUER: &str = "https://auth.example";
const NOW: i64 = 1_800_000_000;

/// What the files of the corpus name: the algorithm and the key of [`SECRET`].
const SHARED_ALGORITHM: &str = "HS256";
const SHARED_KID: &str = "i-NhvnGsIylt";

/// A key that the gate believes, in the hands of the fuzzer.
struct Key {
    algorithm: Algorithm,
    name_of_algorithm: &'static str,
    kid: String,
    encoding: EncodingKey,
}

/// A gate that believes keys of several kinds, and these keys, the shared secret first.
static SIEGE: LazyLock<(AccessTokens, Vec<Key>)> = LazyLock::new(|| {
    let (lifetime, now) = (Duration::from_secs(300), UtcTime::from_seconds(NOW));
    let stored = [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa].map(|algorithm| {
        SealedKey::generate(algorithm, &SEALING_KEY, now, now).expect("a key is made")
    });
    let (ring, _) = KeySet::empty(SigningAlgorithm::Es256).renewed(&stored, &[&SEALING_KEY]);
    let private = stored.each_ref().map(|key| {
        sealing::open(&SEALING_KEY, &key.kid, &key.sealed_private_key).expect("it opens")
    });
    let [es256, eddsa] = stored;
    let keys = vec![
        Key {
            algorithm: Algorithm::HS256,
            name_of_algorithm: SHARED_ALGORITHM,
            kid: SHARED_KID.to_owned(),
            encoding: EncodingKey::from_secret(SECRET),
        },
        Key {
            algorithm: Algorithm::ES256,
            name_of_algorithm: "ES256",
            kid: es256.kid,
            encoding: EncodingKey::from_ec_der(&private[0]),
        },
        Key {
            algorithm: Algorithm::EdDSA,
            name_of_algorithm: "EdDSA",
            kid: eddsa.kid,
            encoding: EncodingKey::from_ed_der(&private[1]),
        },
    ];
    let revocations = Revocations::new(lifetime, lifetime);
    revocations.sync(&[], &[], now);
    (
        AccessTokens::new(
            TokenSettings::new(ISSUER, "hallpass", lifetime),
            ring.with_shared(SECRET),
            revocations,
        ),
        keys,
    )
});

static DJANGO: LazyLock<DrfTokens> =
    LazyLock::new(|| DrfTokens::new(&[SECRET], Lifetimes::default()));

/// The two parts, a line each, signed by one key and with the name of a key, perhaps another one.
fn signed(data: &[u8], named: &Key, signer: &Key) -> String {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (header, claims) = (&data[..line], data.get(line + 1..).unwrap_or_default());
    let header = match std::str::from_utf8(header) {
        Ok(text) => text
            .replace(SHARED_KID, &named.kid)
            .replace(SHARED_ALGORITHM, named.name_of_algorithm)
            .into_bytes(),
        Err(_) => header.to_owned(),
    };
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &signer.encoding, signer.algorithm)
            .expect("a key signs");
    format!("{message}.{signature}")
}

fn object(part: &str) -> Value {
    let bytes = URL_SAFE_NO_PAD.decode(part).expect("an accepted part is base64");
    let value: Value = serde_json::from_slice(&bytes).expect("an accepted part is JSON");
    assert!(value.is_object(), "{value}");
    value
}

/// A token as it came, and a header and claims with signatures, right and of another key. Accepted
/// is what every key can sign.
pub fn access_token(data: &[u8]) -> bool {
    let (access_tokens, keys) = &*SIEGE;
    let now = UtcTime::from_seconds(NOW);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(access_tokens.check(text, now).is_err(), "a forged token");
    }
    let mut accepted = 0;
    for named in keys {
        for signer in keys {
            let token = signed(data, named, signer);
            let Ok(verified) = access_tokens.check(&token, now) else { continue };
            assert_eq!(named.kid, signer.kid, "a token that another key has signed");
            keeps_what_the_gate_promises(&token, &verified.claims, named);
            accepted += 1;
        }
    }
    accepted == keys.len()
}

fn keeps_what_the_gate_promises(token: &str, claims: &Claims, key: &Key) {
    assert!(token.len() <= 4096);
    let mut parts = token.split('.');
    let header = object(parts.next().unwrap_or_default());
    let names: Vec<&String> = header.as_object().expect("an object").keys().collect();
    assert_eq!(names.len(), 3, "{header}");
    assert_eq!((&header["alg"], &header["typ"]), (&key.name_of_algorithm.into(), &"at+jwt".into()));
    assert_eq!(header["kid"], key.kid.as_str());
    let written = object(parts.next().unwrap_or_default());
    for (name, value) in
        serde_json::to_value(claims).expect("claims are JSON").as_object().expect("claims")
    {
        // Tokens of earlier versions lack these.
        let is_filled_in = name == "client_id" && written.get(name).is_none_or(|it| it == "")
            || name == "roles" && written.get(name).is_none();
        assert!(is_filled_in || &written[name] == value, "{name} is read as it stands");
    }
    assert_eq!(claims.iss, ISSUER);
    assert!(claims.aud.names().iter().any(|name| name == ISSUER));
    assert!(claims.exp + 5 > NOW && claims.iat <= NOW + 5 && claims.exp - claims.iat <= 900);
}

/// The same for the Django REST adapter.
pub fn django_token(data: &[u8]) -> bool {
    let now = UtcTime::from_seconds(NOW);
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(DJANGO.check(text, now).is_err(), "a forged token");
    }
    let shared = &SIEGE.1[0];
    let token = signed(data, shared, shared);
    let Ok(claims) = DJANGO.check(&token, now) else { return false };
    let mut parts = token.split('.');
    assert_eq!(object(parts.next().unwrap_or_default())["alg"], "HS256");
    let written = object(parts.next().unwrap_or_default());
    assert!(written.get("aud").is_none() && written.get("exp").is_some(), "{written}");
    let _name = claims.username();
    let _origin = DJANGO.origin(&claims, now);
    true
}

/// The body of a request to `/v1`.
pub fn json_body(data: &[u8]) -> bool {
    let Some(read) = strict_json::parse_object(data) else { return false };
    let lenient = serde_json::from_slice::<serde::de::IgnoredAny>(data);
    assert!(lenient.is_ok(), "what is strict is JSON");
    let again = serde_json::to_vec(&read).expect("JSON is written");
    assert!(strict_json::parse_object(&again).is_some(), "and read once more");
    true
}

/// A `Content-Type`, a line break, and a body of the Django REST adapter; and the first line once
/// more as `Authorization`.
pub fn django_body(data: &[u8]) -> bool {
    let line = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (head, body) = (&data[..line], data.get(line + 1..).unwrap_or_default());
    let submitted = django::body::read(body, &String::from_utf8_lossy(head));
    for takes_basic in [true, false] {
        let _credentials =
            django::authentication::read(Some(head), django::Schemes::Both, takes_basic);
    }
    let _indent = django::negotiation::negotiate(std::str::from_utf8(head).ok(), None);
    submitted.is_ok()
}

/// What a person types.
pub fn names(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let email = Email::parse(text);
    if let Ok(email) = &email {
        let shown = email.as_str();
        assert!(shown.is_ascii() && shown.len() <= 254, "{shown}");
        assert!(
            shown.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>,;:\\()[]".contains(&byte)),
            "{shown}"
        );
        assert_eq!(shown.matches('@').count(), 1, "{shown}");
        let again = Email::parse(shown).expect("an address is one once more");
        assert_eq!(again.normalised(), email.normalised());
    }
    if let Ok(name) = Username::parse(text) {
        let shown = name.as_str();
        assert!(!shown.is_empty() && shown.chars().count() <= 150 && !shown.contains('@'));
        assert!(!shown.chars().any(|it| it.is_control() || it.is_whitespace()), "{shown:?}");
        assert_eq!(Username::normalise(name.normalised()), name.normalised());
    }
    if let Ok(locale) = Locale::parse(text) {
        assert_eq!(locale.as_str(), text);
    }
    if let Ok(password) = PlainPassword::parse(text) {
        assert!(password.expose().len() <= PlainPassword::MAX_BYTES);
        let _verdict = PasswordPolicy::default().check(&password, None, Some(text));
    }
    email.is_ok()
}

/// A header.
pub fn accept_language(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let locale = Locale::from_accept_language(text);
    assert!(Locale::parse(locale.as_str()).is_ok());
    locale != Locale::default()
}

/// A setting, which an operator wrote, and whose fault is shown.
pub fn smtp_url(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Err(advice) = SmtpSettings::parse(text) else { return true };
    // The password of some files of the corpus.
    assert!(!advice.contains("canary"), "{advice}");
    false
}

/// Lines of `X-Forwarded-For`.
pub fn forwarded_for(data: &[u8]) -> bool {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static("x-forwarded-for"), value);
        }
    }
    let proxies: [IpNet; 2] = ["10.0.0.0/8", "::1/128"].map(|it| it.parse().expect("a network"));
    let (proxy, stranger) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 7]));
    assert_eq!(client::client_address(stranger, &headers, &proxies), stranger);
    assert_eq!(client::client_address(proxy, &headers, &[]), proxy);
    client::client_address(proxy, &headers, &proxies) != proxy
}

/// Lines `name: value` of a request with cookies.
pub fn browsers(data: &[u8]) -> bool {
    let own = "https://auth.example.com";
    let allowed = "https://app.example.com";
    let browsers = Browsers {
        own_origin: own.to_owned(),
        other_origins: Origins { named: vec![allowed.to_owned()], loopback: false },
        headers: Vec::new(),
        same_site: SameSite::Strict,
    };
    let mut request = TestRequest::post();
    let mut count: HashMap<HeaderName, u32> = HashMap::new();
    for line in data.split(|byte| *byte == b'\n').take(32) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            *count.entry(name.clone()).or_default() += 1;
            request = request.append_header((name, value));
        }
    }
    let request = request.to_http_request();
    let origins = count.get(&ORIGIN).copied().unwrap_or_default();
    let origin = request.headers().get(ORIGIN).and_then(|it| it.to_str().ok());
    let is_known = origins == 1 && origin.is_some_and(|it| it == own || it == allowed);
    if origins > 0 && !is_known {
        assert!(browsers.check(&request, Transport::Cookie).is_err());
        assert!(!browsers.may_forward(request.headers()));
    }
    let _tokens = (
        hallpass::http::browsers::refresh_cookies(&request),
        hallpass::http::browsers::device_cookie(&request),
    );
    is_known && browsers.check(&request, Transport::Cookie).is_ok()
}
