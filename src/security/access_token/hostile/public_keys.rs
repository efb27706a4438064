//! Public keys in place of a shared secret: a library accepts these if it lets the token choose the
//! algorithm (RFC 8725 section 2.1). An attacker has them in every form that any tool writes.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::security::sealing;

#[test]
fn a_public_key_is_no_shared_secret() {
    let target = Target::new();
    let shared = target.key(SigningAlgorithm::Hs256);
    for stored in &target.stored {
        let key = target.keys.iter().find(|key| key.kid == stored.kid).unwrap();
        let jwk = key.public_jwk.clone().unwrap();
        let forms = [Vec::new(), vec![0], key.kid.clone().into_bytes()].into_iter();
        for secret in forms.chain(forms_of_jwk(&jwk)).chain(forms_of_certificates(stored)) {
            let mac = hmac::Key::new(hmac::HMAC_SHA256, &secret);
            for header in
                [header_of("HS256", &key.kid), header(key), header_of("HS256", &shared.kid)]
            {
                let message = format!("{}.{}", encode(&header), encode(claims().to_string()));
                let signature = encode(hmac::sign(&mac, message.as_bytes()));
                target.repels(&format!("{message}.{signature}"), &header);
            }
        }
    }
}

/// Returns the published JSON, its parts, and the numbers in these.
fn forms_of_jwk(jwk: &Value) -> Vec<Vec<u8>> {
    let parts = jwk.as_object().unwrap().iter();
    let texts = parts.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let numbers = texts
        .clone()
        .filter(|(name, _)| matches!(*name, "x" | "y" | "n" | "e"))
        .map(|(_, text)| URL_SAFE_NO_PAD.decode(text).unwrap());
    let whole = [jwk.to_string().into_bytes(), serde_json::to_vec_pretty(jwk).unwrap()];
    whole.into_iter().chain(texts.map(|(_, text)| text.into())).chain(numbers).collect()
}

/// Returns the encodings of a public key by OpenSSL and similar tools: as `SubjectPublicKeyInfo`
/// and in the form of its own kind, in DER and as PEM.
fn forms_of_certificates(stored: &SealedKey) -> Vec<Vec<u8>> {
    let private = sealing::open(&SEALING_KEY, &stored.kid, &stored.sealed_private_key).unwrap();
    match stored.algorithm.as_str() {
        "ES256" => {
            let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &private);
            let pair = pair.unwrap();
            let point = pair.public_key().as_ref().to_vec();
            let compressed = [&[2 + (point[64] & 1)], &point[1..33]].concat();
            [forms_of_der("PUBLIC KEY", &info(pair.public_key())), vec![point, compressed]].concat()
        }
        "EdDSA" => {
            let pair = Ed25519KeyPair::from_pkcs8(&private).unwrap();
            forms_of_der("PUBLIC KEY", &info(pair.public_key()))
        }
        "RS256" => {
            let pair = RsaKeyPair::from_pkcs8(&private).unwrap();
            let own = forms_of_der("RSA PUBLIC KEY", pair.public_key().as_ref());
            [forms_of_der("PUBLIC KEY", &info(pair.public_key())), own].concat()
        }
        other => panic!("{other} has no public key"),
    }
}

fn info(key: &impl AsDer<PublicKeyX509Der<'static>>) -> Vec<u8> {
    key.as_der().unwrap().as_ref().to_vec()
}

fn forms_of_der(label: &str, der: &[u8]) -> Vec<Vec<u8>> {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = |body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let usual = pem(&lines.join("\n"));
    let others =
        [usual.trim_end().to_owned(), usual.replace('\n', "\r\n"), pem(&text), text.clone()];
    [usual].into_iter().chain(others).map(String::into_bytes).chain([der.to_vec()]).collect()
}
