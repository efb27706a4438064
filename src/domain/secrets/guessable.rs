//! Secrets that are long enough but can be guessed.

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD,
};

use crate::domain::user::guessable::{count_unknown, is_pattern};
use crate::domain::user::password::compared_form;

/// Fewest characters that a guesser must have to find out: about 70 bits, or six random words.
const MIN_UNKNOWN: usize = 12;
/// Fewest different bytes of a secret. Sixty-four random hexadecimal digits have more.
const MIN_DIFFERENT_BYTES: usize = 8;
/// Words of placeholders, and of texts about secrets.
const PLACEHOLDERS: [&str; 4] = ["changeme", "replaceme", "placeholder", "yoursecret"];
const WORDS_OF_TEMPLATES: [&str; 76] = [
    "a",
    "an",
    "and",
    "app",
    "application",
    "at",
    "auth",
    "base",
    "base64",
    "before",
    "bit",
    "bits",
    "byte",
    "bytes",
    "change",
    "char",
    "characters",
    "chars",
    "default",
    "deploy",
    "dev",
    "development",
    "django",
    "dummy",
    "example",
    "for",
    "from",
    "generate",
    "hallpass",
    "here",
    "hex",
    "in",
    "insecure",
    "insert",
    "is",
    "it",
    "jwt",
    "key",
    "launch",
    "least",
    "local",
    "long",
    "my",
    "not",
    "of",
    "only",
    "openssl",
    "or",
    "output",
    "please",
    "private",
    "production",
    "project",
    "rand",
    "random",
    "real",
    "replace",
    "secret",
    "server",
    "service",
    "set",
    "signing",
    "string",
    "super",
    "test",
    "the",
    "this",
    "to",
    "todo",
    "use",
    "valid",
    "value",
    "very",
    "which",
    "with",
    "your",
];

/// Beginnings of texts that only refer to a secret, and of JSON web tokens.
const NO_SECRETS: [&str; 8] =
    ["arn:", "eyjhbgci", "file:", "http://", "https://", "op://", "projects/", "vault:"];
/// UUIDs and keys that documentation has as examples, their letters and digits in lower case: of
/// RFC 9562, of libraries, of AWS, of FIPS 197 and of RFC 7515.
const PUBLISHED: [&str; 9] = [
    "123e4567e89b12d3a456426614174000",
    "550e8400e29b41d4a716446655440000",
    "6ba7b8109dad11d180b400c04fd430c8",
    "9b1deb4d3b7d4bad9bdd2b0d7b3dcb6d",
    "wjalrxutnfemik7mdengbpxrficy",
    "2b7e151628aed2a6abf7158809cf4f3c",
    "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
    "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
    "aym1sysppbydfgzld3umj1qzkobwvmkoqqestjqlrt1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9caow",
];

/// Texts whose digests are used as secrets, since they look random.
const HASHED: [&str; 29] = [
    "",
    "0",
    "1",
    "1234",
    "12345",
    "123456",
    "12345678",
    "123456789",
    "abc",
    "admin",
    "changeme",
    "default",
    "django",
    "example",
    "foo",
    "hallpass",
    "hello",
    "hello world",
    "jwt",
    "key",
    "letmein",
    "password",
    "password1",
    "qwerty",
    "root",
    "secret",
    "test",
    "token",
    "user",
];
/// MD5 digests of some of these texts.
const MD5_DIGESTS: [&str; 15] = [
    "d41d8cd98f00b204e9800998ecf8427e",
    "5f4dcc3b5aa765d61d8327deb882cf99",
    "098f6bcd4621d373cade4e832627b4f6",
    "21232f297a57a5a743894a0e4a801fc3",
    "5ebe2294ecd0e0f08eab7690d2a6ee69",
    "e10adc3949ba59abbe56e057f20f883e",
    "25d55ad283aa400af464c76d713c07ad",
    "4cb9c8a8048fd02294477fcb1a41191a",
    "5d41402abc4b2a76b9719d911017c592",
    "d8578edf8458ce06fbc5bb76a58c5ca4",
    "63a9f0ea7bb98050796b649e85481845",
    "3c6e0b8a9c15224a8228b9a98ca1531d",
    "7c6a180b36896a0a8c02787eeafb0e4c",
    "81dc9bdb52d04dc20036dbd8313ed055",
    "900150983cd24fb0d6963f7d28e17f72",
];

/// Number of nested encodings that are decoded.
const DEPTH: usize = 2;
/// Decoded bytes are checked from this length on: shorter ones have few differences anyway.
const SHORTEST_BYTES: usize = 12;

/// Returns whether a secret can be guessed: it is a placeholder, made of words, series and
/// repetitions, or the digest of a common text. It is checked as it is, and decoded.
pub fn is_guessable_secret(secret: &str) -> bool {
    is_guessable_within(secret, DEPTH)
}

fn is_guessable_within(secret: &str, depth: usize) -> bool {
    let is_digest = MD5_DIGESTS.contains(&secret.to_ascii_lowercase().as_str());
    let is_guessable = |bytes: Vec<u8>| {
        is_guessable_bytes(&bytes)
            || depth > 0
                && String::from_utf8(bytes).is_ok_and(|text| {
                    !text.chars().any(char::is_control) && is_guessable_within(&text, depth - 1)
                })
    };
    is_digest || is_guessable_text(secret) || decoded(secret).into_iter().any(is_guessable)
}

fn is_guessable_text(text: &str) -> bool {
    let lower = compared_form(text);
    let letters: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let different: HashSet<u8> = text.bytes().collect();
    PLACEHOLDERS.iter().any(|word| letters.contains(word))
        || NO_SECRETS.iter().any(|start| lower.starts_with(start))
        || PUBLISHED.iter().any(|known| letters.contains(known))
        || different.len() < MIN_DIFFERENT_BYTES
        || count_unknown(&lower, &WORDS_OF_TEMPLATES) < MIN_UNKNOWN
        || is_pattern(&lower)
}

/// Returns whether bytes have equal steps, have few different values, or are the digest of a common
/// text.
fn is_guessable_bytes(bytes: &[u8]) -> bool {
    let mut steps: HashMap<u8, usize> = HashMap::new();
    for pair in bytes.windows(2) {
        *steps.entry(pair[1].wrapping_sub(pair[0])).or_default() += 1;
    }
    let most = steps.into_values().max().unwrap_or(0);
    let different: HashSet<&u8> = bytes.iter().collect();
    let is_digest = |text: &str| {
        let algorithms = [&SHA1_FOR_LEGACY_USE_ONLY, &SHA256, &SHA384, &SHA512];
        let sized = algorithms.into_iter().filter(|it| it.output_len() == bytes.len());
        sized.into_iter().any(|algorithm| digest(algorithm, text.as_bytes()).as_ref() == bytes)
    };
    bytes.len() >= SHORTEST_BYTES
        && (most * 4 >= bytes.len() * 3
            || different.len() < MIN_DIFFERENT_BYTES
            || HASHED.into_iter().any(is_digest))
}

/// Returns the bytes that the secret may encode in base64, base32 or hexadecimal digits.
fn decoded(secret: &str) -> Vec<Vec<u8>> {
    let bare = secret.trim_end_matches('=');
    let hex = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let decoded = [
        STANDARD_NO_PAD.decode(bare).ok(),
        URL_SAFE_NO_PAD.decode(bare).ok(),
        secret.as_bytes().chunks(2).map(hex).collect::<Option<Vec<u8>>>(),
        decoded_base32(bare),
    ];
    decoded.into_iter().flatten().collect()
}

/// Decodes base32 (RFC 4648 section 6) without padding, in letters of any case.
fn decoded_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u16, 0);
    for character in text.bytes() {
        let value = match character.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            number @ b'2'..=b'7' => number - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u16::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_bytes_are_not_guessable_in_any_encoding() {
        for number in 0..50_u8 {
            let random = digest(&SHA256, &[number, 77, number]);
            let random = random.as_ref();
            let hex = random.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
            for text in
                [&STANDARD_NO_PAD.encode(random), &URL_SAFE_NO_PAD.encode(random), &hex, &hex[..32]]
            {
                assert!(!is_guessable_secret(text), "{text}");
            }
        }
    }

    #[test]
    fn base32_is_read() {
        assert_eq!(decoded_base32("MNUGC3THMVWWK").unwrap(), b"changeme");
        assert_eq!(decoded_base32("mnugc3thmvwwk").unwrap(), b"changeme");
        assert_eq!(decoded_base32("MNUGC3THMVWW0"), None);
    }
}
