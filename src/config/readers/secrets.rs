//! Secrets, and the detection of guessable ones.

use std::collections::HashSet;

use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD,
};

use crate::config::source::Source;
use crate::domain::SecretText;
use crate::domain::user::guessable::count_unknown;
use crate::domain::user::password::compared_form;

/// Minimum length of a secret outside development, in bytes.
pub const MIN_SECRET_LENGTH: usize = 32;

/// Minimum length of a Django site's key outside development, in bytes: an attacker can try keys on
/// a token.
pub const MIN_SITE_KEY_LENGTH: usize = 16;
/// Fewest characters that an attacker has to guess: about 70 bits, or six random words.
const MIN_UNKNOWN: usize = 12;
/// Fewest different bytes of a secret. Sixty-four random hexadecimal digits have more.
const MIN_DIFFERENT_BYTES: usize = 8;
/// Words of placeholders, and of texts about secrets.
const PLACEHOLDERS: [&str; 4] = ["changeme", "replaceme", "placeholder", "yoursecret"];
const WORDS_OF_TEMPLATES: [&str; 56] = [
    "a",
    "an",
    "and",
    "at",
    "base64",
    "before",
    "byte",
    "bytes",
    "change",
    "default",
    "deploy",
    "dev",
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
    "openssl",
    "or",
    "output",
    "please",
    "production",
    "rand",
    "random",
    "real",
    "secret",
    "set",
    "super",
    "test",
    "the",
    "this",
    "to",
    "todo",
    "use",
    "value",
    "very",
    "with",
    "your",
];

/// Returns whether a value is a placeholder that some program should have replaced.
fn is_template(value: &str) -> bool {
    let value = value.trim();
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let between = |open: &str, close: &str| {
        value.strip_prefix(open).is_some_and(|rest| rest.ends_with(close))
    };
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">")].iter().any(|(a, b)| between(a, b))
        || value.strip_prefix('$').is_some_and(is_name)
        || value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')).is_some_and(is_name)
}

/// Returns whether a secret is short or can be guessed.
pub fn is_weak(secret: &SecretText) -> bool {
    let secret = secret.expose();
    secret.len() < MIN_SECRET_LENGTH || std::str::from_utf8(secret).is_ok_and(is_guessable)
}

/// Returns whether a secret of full length can be guessed all the same: it is a placeholder, or
/// made of words, series and repetitions, literally or decoded.
fn is_guessable(secret: &str) -> bool {
    is_guessable_text(secret)
        || encoded_texts(secret).iter().any(|decoded| is_guessable_text(decoded))
}

fn is_guessable_text(text: &str) -> bool {
    let lower = compared_form(text);
    let letters: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let different: HashSet<u8> = text.bytes().collect();
    PLACEHOLDERS.iter().any(|word| letters.contains(word))
        || different.len() < MIN_DIFFERENT_BYTES
        || count_unknown(&lower, &WORDS_OF_TEMPLATES) < MIN_UNKNOWN
}

/// Returns the texts that the secret encodes in base64 or hexadecimal digits. Random bytes are no
/// text.
fn encoded_texts(secret: &str) -> Vec<String> {
    let bare = secret.trim_end_matches('=');
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let decoded = [
        STANDARD_NO_PAD.decode(bare).ok(),
        URL_SAFE_NO_PAD.decode(bare).ok(),
        secret.as_bytes().chunks(2).map(digits).collect::<Option<Vec<u8>>>(),
    ];
    let texts = decoded.into_iter().flatten().filter_map(|it| String::from_utf8(it).ok());
    texts.filter(|text| !text.chars().any(char::is_control)).collect()
}

/// Reads a secret, with at least `min_length` bytes and not guessable, if there is such a bound.
pub fn read_secret(s: &mut Source, name: &str, min_length: Option<usize>) -> Option<SecretText> {
    let secret = s.secret(name)?;
    if secret.is_empty() {
        s.fault(name, "is empty");
    } else if is_template(&secret) {
        s.fault(name, "is the name of a value, which was not put in its place");
    } else if let Some(min_length) = min_length {
        if secret.len() < min_length {
            s.fault(name, format!("must have at least {min_length} bytes outside development"));
        } else if is_guessable(&secret) {
            let advice = "is a placeholder or made of words, series and repetitions: set random bytes, for \
                          example from `openssl rand -base64 32`";
            s.fault(name, advice);
        }
    }
    Some(secret.into())
}
