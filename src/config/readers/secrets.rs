//! Secrets.

use super::mode::Mode;
use crate::config::source::Source;
use crate::domain::SecretText;
use crate::domain::secrets::guessable::is_guessable_secret;
use crate::security::keys::SigningAlgorithm;

/// Minimum length of a secret outside development, in bytes.
pub const MIN_SECRET_LENGTH: usize = 32;

/// Minimum length of a Django site's key outside development, in bytes: an attacker can try keys on
/// a token.
const MIN_SITE_KEY_LENGTH: usize = 16;

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
    secret.len() < MIN_SECRET_LENGTH || std::str::from_utf8(secret).is_ok_and(is_guessable_secret)
}

/// Reads the secret of the service.
pub fn read_service_secret(s: &mut Source, mode: Mode) -> Option<SecretText> {
    read_secret(s, "HALLPASS_SECRET", outside_development(mode, MIN_SECRET_LENGTH))
}

/// Reads the secret before. It may be one that would be refused today: that is a reason to replace
/// it.
pub fn read_previous_secret(s: &mut Source) -> Option<SecretText> {
    read_secret(s, "HALLPASS_SECRET_PREVIOUS", None)
}

/// Reads the key of HMAC tokens. With another algorithm of access tokens it is the `SECRET_KEY` of a
/// Django site, whose length is given.
pub fn read_jwt_secret(
    s: &mut Source,
    algorithm: SigningAlgorithm,
    mode: Mode,
) -> Option<SecretText> {
    let signs = algorithm == SigningAlgorithm::Hs256;
    let min_length = if signs { MIN_SECRET_LENGTH } else { MIN_SITE_KEY_LENGTH };
    read_secret(s, "HALLPASS_JWT_SECRET", outside_development(mode, min_length))
}

fn outside_development(mode: Mode, min_length: usize) -> Option<usize> {
    (mode == Mode::Production).then_some(min_length)
}

/// Reads a secret, with at least `min_length` bytes and not guessable, if there is such a bound.
fn read_secret(s: &mut Source, name: &str, min_length: Option<usize>) -> Option<SecretText> {
    let secret = s.secret(name)?;
    if secret.is_empty() {
        s.fault(name, "is empty");
    } else if is_template(&secret) {
        s.fault(name, "is the name of a value, which was not put in its place");
    } else if let Some(min_length) = min_length {
        if secret.len() < min_length {
            s.fault(name, format!("must have at least {min_length} bytes outside development"));
        } else if is_guessable_secret(&secret) {
            let advice = "is a placeholder or made of words, series and repetitions: set random bytes, for \
                          example from `openssl rand -base64 32`";
            s.fault(name, advice);
        }
    }
    Some(secret.into())
}
