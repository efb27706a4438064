//! Format of stored passwords: `$bcrypt-sha256$v=2,t=2b,r=12$SALT$DIGEST`, the second format of
//! passlib. bcrypt runs over base64(HMAC-SHA-256(key = the salt's text, password)), so that every
//! byte of the password counts; bcrypt alone ignores bytes after the 72nd.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};

use crate::domain::token::random_bytes;
use crate::domain::{PasswordHash, PlainPassword};

const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::BCRYPT, NO_PAD);
const SALT_LENGTH: usize = 22;
const DIGEST_LENGTH: usize = 31;

/// Highest cost that is verified: at 16 a hash takes some four seconds.
pub(super) const MAX_COST: u32 = 16;

struct Stored<'a> {
    cost: u32,
    salt: &'a str,
    digest: &'a str,
}

fn parse(hash: &PasswordHash) -> Option<Stored<'_>> {
    let rest = hash.expose().strip_prefix("$bcrypt-sha256$v=2,t=2b,r=")?;
    let mut parts = rest.split('$');
    let (cost, salt, digest) = (parts.next()?, parts.next()?, parts.next()?);
    let cost = cost.parse().ok().filter(|cost| (4..=MAX_COST).contains(cost))?;
    let complete = salt.len() == SALT_LENGTH && digest.len() == DIGEST_LENGTH;
    (complete && parts.next().is_none()).then_some(Stored { cost, salt, digest })
}

fn prehash(password: &PlainPassword, salt: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    STANDARD.encode(hmac::sign(&key, password.expose().as_bytes()))
}

/// Hashes with a new salt.
pub fn hash(password: &PlainPassword, cost: u32) -> Result<PasswordHash, bcrypt::BcryptError> {
    let salt = random_bytes::<16>();
    let salt_text = BCRYPT_BASE64.encode(salt);
    let parts = bcrypt::hash_with_salt(prehash(password, &salt_text), cost, salt)?;
    let text = parts.format_for_version(bcrypt::Version::TwoB);
    let digest = &text[text.len() - DIGEST_LENGTH..];
    Ok(PasswordHash::stored(format!("$bcrypt-sha256$v=2,t=2b,r={cost}${salt_text}${digest}")))
}

/// Returns a well-formed hash that no password matches, for a log-in without an account. It costs
/// as much to verify as a real one.
pub fn dummy(cost: u32) -> PasswordHash {
    let salt = BCRYPT_BASE64.encode(random_bytes::<16>());
    let digest = BCRYPT_BASE64.encode(random_bytes::<23>());
    PasswordHash::stored(format!("$bcrypt-sha256$v=2,t=2b,r={cost}${salt}${digest}"))
}

/// Returns whether `password` matches `hash`; `None` if `hash` has an unknown format.
pub fn verify(password: &PlainPassword, hash: &PasswordHash) -> Option<bool> {
    let Stored { cost, salt, digest } = parse(hash)?;
    bcrypt::verify(prehash(password, salt), &format!("$2b${cost:02}${salt}{digest}")).ok()
}

/// Returns whether [`verify`] supports `hash`.
pub fn is_known(hash: &PasswordHash) -> bool {
    parse(hash).is_some()
}

/// Returns whether `hash` differs in format or cost from a new one.
pub fn is_outdated(hash: &PasswordHash, cost: u32) -> bool {
    parse(hash).is_none_or(|stored| stored.cost != cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> PlainPassword {
        PlainPassword::parse(text).unwrap()
    }

    #[test]
    fn hashes_of_passlib_verify() {
        // From passlib 1.7.4: bcrypt_sha256.using(rounds=5).hash(...)
        for (text, hash) in include!("passlib_vectors.in") {
            let hash = PasswordHash::stored(hash);
            assert_eq!(verify(&password(text), &hash), Some(true), "{text}");
            assert_eq!(verify(&password("something else"), &hash), Some(false));
        }
    }

    #[test]
    fn every_byte_of_a_long_password_counts() {
        let long = "x".repeat(1023);
        let hash = hash(&password(&format!("{long}a")), 4).unwrap();
        assert_eq!(verify(&password(&format!("{long}a")), &hash), Some(true));
        assert_eq!(verify(&password(&format!("{long}b")), &hash), Some(false));
        let nul = super::hash(&password("P\0P"), 4).unwrap();
        assert_eq!(verify(&password("P"), &nul), Some(false));
        assert_eq!(verify(&password("P\0P"), &nul), Some(true));
    }

    #[test]
    fn a_dummy_is_well_formed_and_matches_nothing() {
        assert_eq!(verify(&password("password"), &dummy(4)), Some(false));
        assert!(!is_outdated(&dummy(4), 4));
        assert!(is_outdated(&dummy(4), 5));
    }

    #[test]
    fn foreign_and_costly_hashes_are_not_verified() {
        for hash in ["", "!", "plain", "$bcrypt-sha256$v=2,t=2b,r=31$abcdefghijklmnopqrstuu$x"] {
            assert_eq!(verify(&password("password"), &PasswordHash::stored(hash)), None, "{hash}");
        }
    }
}
