//! Password hashes of an import, in the formats of Django. They are accepted until their user logs
//! in; then a hash of our own format replaces them.

use std::num::NonZeroU32;

use argon2::{Algorithm, Argon2, Version};
use aws_lc_rs::{constant_time, digest, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use super::password_format::MAX_COST;
use crate::domain::{PasswordHash, PlainPassword};

// Limits of the cost of a stored hash: several times today's defaults of Django. An import must not
// occupy the hashing threads for hours or exhaust the memory.
const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;
const MAX_MEMORY_KIB: u64 = 256 * 1024;
/// Memory that one hash fills, counted for each pass.
const MAX_FILLED_KIB: u64 = 2 * 1024 * 1024;
const DIGEST_LENGTHS: std::ops::RangeInclusive<usize> = 16..=64;
const MAX_SALT_LENGTH: usize = 128;

/// bcrypt ignores bytes beyond these and its own NUL.
const BCRYPT_MAX_BYTES: usize = 71;
const BCRYPT_LENGTH: usize = 60;

/// A stored hash that can be verified at an acceptable cost.
enum Foreign<'a> {
    Pbkdf2 {
        algorithm: pbkdf2::Algorithm,
        iterations: NonZeroU32,
        salt: &'a str,
        digest: Vec<u8>,
    },
    Bcrypt(&'a str),
    /// bcrypt over the SHA-256 of the password, in hexadecimal digits.
    BcryptSha256(&'a str),
    Argon2 {
        argon2: Argon2<'static>,
        salt: Vec<u8>,
        digest: Vec<u8>,
    },
    Scrypt {
        parameters: scrypt::Params,
        salt: &'a str,
        digest: Vec<u8>,
    },
}

/// Returns whether `password` matches `hash`; `None` if `hash` has an unknown format or costs too
/// much. Django hashes the text as received, composed or not, so both forms are tried.
pub fn verify(password: &PlainPassword, hash: &PasswordHash) -> Option<bool> {
    let foreign = parse(hash.expose())?;
    // Both in any case, for constant time.
    Some(password.forms().fold(false, |any, form| foreign.matches(form.as_bytes()) | any))
}

/// Returns whether [`verify`] supports `hash`.
pub fn is_known(hash: &PasswordHash) -> bool {
    parse(hash.expose()).is_some()
}

fn parse(text: &str) -> Option<Foreign<'_>> {
    let (scheme, rest) = text.split_once('$')?;
    match scheme {
        "pbkdf2_sha256" => {
            parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA256, digest::SHA256_OUTPUT_LEN, rest)
        }
        "pbkdf2_sha1" => {
            let length = digest::SHA1_FOR_LEGACY_USE_ONLY.output_len();
            parse_pbkdf2(pbkdf2::PBKDF2_HMAC_SHA1, length, rest)
        }
        "bcrypt" => parse_bcrypt(rest).map(Foreign::Bcrypt),
        "bcrypt_sha256" => parse_bcrypt(rest).map(Foreign::BcryptSha256),
        "argon2" => parse_argon2(rest),
        "scrypt" => parse_scrypt(rest),
        _ => None,
    }
}

/// Returns the parts between the dollar signs, if their number is as expected.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('$').collect::<Vec<_>>().try_into().ok()
}

fn parse_pbkdf2(algorithm: pbkdf2::Algorithm, length: usize, rest: &str) -> Option<Foreign<'_>> {
    let [iterations, salt, digest] = parts(rest)?;
    let iterations: NonZeroU32 = iterations.parse().ok()?;
    let digest = STANDARD.decode(digest).ok()?;
    let bearable = iterations.get() <= MAX_PBKDF2_ITERATIONS && salt.len() <= MAX_SALT_LENGTH;
    (bearable && digest.len() == length).then_some(Foreign::Pbkdf2 {
        algorithm,
        iterations,
        salt,
        digest,
    })
}

/// Returns the hash of bcrypt itself, `$2b$12$...`.
fn parse_bcrypt(rest: &str) -> Option<&str> {
    let ["", version, cost, digest] = parts(rest)? else { return None };
    let cost = cost.parse().ok().filter(|cost| (4..=MAX_COST).contains(cost));
    let complete = rest.len() == BCRYPT_LENGTH && digest.is_ascii();
    (cost.is_some() && complete && matches!(version, "2a" | "2b" | "2y")).then_some(rest)
}

/// Parses `argon2id$v=19$m=102400,t=2,p=8$SALT$DIGEST`. The first version of Argon2 wrote no `v=`.
fn parse_argon2(rest: &str) -> Option<Foreign<'_>> {
    let (version, [kind, costs, salt, digest]) = match parts::<5>(rest) {
        Some([kind, "v=19", rest @ ..]) => (Version::V0x13, [kind, rest[0], rest[1], rest[2]]),
        Some([kind, "v=16", rest @ ..]) => (Version::V0x10, [kind, rest[0], rest[1], rest[2]]),
        Some(_) => return None,
        None => (Version::V0x10, parts(rest)?),
    };
    let kind = match kind {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        "argon2d" => Algorithm::Argon2d,
        _ => return None,
    };
    let [memory, passes, lanes] = costs.split(',').collect::<Vec<_>>().try_into().ok()?;
    let number = |text: &str, name: &str| text.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes) = (number(memory, "m=")?, number(passes, "t=")?);
    let lanes = number(lanes, "p=")?;
    let (salt, digest) = (STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(digest).ok()?);
    let (memory_kib, filled_kib) = (u64::from(memory), u64::from(memory) * u64::from(passes));
    let bearable = memory_kib <= MAX_MEMORY_KIB
        && filled_kib <= MAX_FILLED_KIB
        && u64::from(lanes) * 8 <= memory_kib
        && (8..=MAX_SALT_LENGTH).contains(&salt.len());
    if !bearable || !DIGEST_LENGTHS.contains(&digest.len()) {
        return None;
    }
    let params = argon2::Params::new(memory, passes, lanes, Some(digest.len())).ok()?;
    Some(Foreign::Argon2 { argon2: Argon2::new(kind, version, params), salt, digest })
}

/// Parses `16384$SALT$8$5$DIGEST`: work factor, block size, parallelism.
fn parse_scrypt(rest: &str) -> Option<Foreign<'_>> {
    let [work, salt, block, parallelism, digest] = parts(rest)?;
    let (work, block): (u32, u32) = (work.parse().ok()?, block.parse().ok()?);
    let parallelism: u32 = parallelism.parse().ok()?;
    let digest = STANDARD.decode(digest).ok()?;
    let kib = |factors: [u32; 2]| {
        factors.iter().try_fold(1_u64, |all, it| all.checked_mul(u64::from(*it))).map(|it| it / 8)
    };
    let memory_kib = kib([work, block])?;
    let filled_kib = memory_kib.checked_mul(u64::from(parallelism))?;
    let bearable = work.is_power_of_two()
        && memory_kib <= MAX_MEMORY_KIB
        && filled_kib <= MAX_FILLED_KIB
        && kib([parallelism, block])? <= MAX_MEMORY_KIB
        && salt.len() <= MAX_SALT_LENGTH;
    if !bearable || !DIGEST_LENGTHS.contains(&digest.len()) {
        return None;
    }
    let log = u8::try_from(work.trailing_zeros()).ok()?;
    let parameters = scrypt::Params::new(log, block, parallelism).ok()?;
    Some(Foreign::Scrypt { parameters, salt, digest })
}

impl Foreign<'_> {
    fn matches(&self, password: &[u8]) -> bool {
        match self {
            Self::Pbkdf2 { algorithm, iterations, salt, digest } => {
                pbkdf2::verify(*algorithm, *iterations, salt.as_bytes(), password, digest).is_ok()
            }
            Self::Bcrypt(text) => {
                // The work is done in any case, so that its time does not depend on the input.
                let matches = bcrypt::verify(password, text).unwrap_or(false);
                // bcrypt would truncate such a password, so a match is no evidence.
                matches && password.len() <= BCRYPT_MAX_BYTES && !password.contains(&0)
            }
            Self::BcryptSha256(text) => {
                let prehash = hexadecimal(digest::digest(&digest::SHA256, password).as_ref());
                bcrypt::verify(prehash, text).unwrap_or(false)
            }
            Self::Argon2 { argon2, salt, digest } => {
                let mut computed = vec![0; digest.len()];
                argon2.hash_password_into(password, salt, &mut computed).is_ok()
                    && constant_time::verify_slices_are_equal(&computed, digest).is_ok()
            }
            Self::Scrypt { parameters, salt, digest } => {
                let mut computed = vec![0; digest.len()];
                scrypt::scrypt(password, salt.as_bytes(), parameters, &mut computed).is_ok()
                    && constant_time::verify_slices_are_equal(&computed, digest).is_ok()
            }
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(password: &str, hash: &str) -> Option<bool> {
        verify(&PlainPassword::parse(password).unwrap(), &PasswordHash::stored(hash))
    }

    #[test]
    fn hashes_of_django_verify() {
        // Written by tests/django_users/record.py.
        let vectors: &[(&str, &str)] = &include!("django_vectors.in");
        assert!(vectors.len() > 20);
        for (password, hash) in vectors {
            assert_eq!(check(password, hash), Some(true), "{password} {hash}");
            assert_eq!(check("something else", hash), Some(false), "{hash}");
            let cut = &hash[..hash.len() - 1];
            assert_ne!(check(password, cut), Some(true), "{cut}");
        }
    }

    #[test]
    fn both_forms_of_a_decomposed_password_are_tried() {
        // Of Django, for the decomposed and for the composed text.
        let decomposed = "pbkdf2_sha256$1000$salt$lRx3AyCX6SPxTRq0QjnecVF4RIXz2A8JM7V+6T/Ws2g=";
        let composed = "pbkdf2_sha256$1000$salt$7/SLHTZBrKW3PFb7yY7nN3g9/BOfO0LjyVdxoE10L7w=";
        assert_eq!(check("Ame\u{301}lie", decomposed), Some(true));
        assert_eq!(check("Ame\u{301}lie", composed), Some(true));
        assert_eq!(check("Am\u{e9}lie", composed), Some(true));
        assert_eq!(check("Am\u{e9}lie", decomposed), Some(false));
    }

    #[test]
    fn plain_bcrypt_takes_no_more_than_it_looks_at() {
        let hash = |password: &[u8]| {
            let parts = bcrypt::hash_with_salt(password, 4, [7; 16]).unwrap();
            format!("bcrypt${}", parts.format_for_version(bcrypt::Version::TwoB))
        };
        let (whole, cut) = ("x".repeat(71), "x".repeat(72));
        assert_eq!(check(&whole, &hash(whole.as_bytes())), Some(true));
        assert_eq!(check(&cut, &hash(cut.as_bytes())), Some(false));
        assert_eq!(check("P\0P", &hash(b"P")), Some(false));
        assert_eq!(check("P", &hash(b"P")), Some(true));
    }

    #[test]
    fn what_asks_for_hours_or_gigabytes_is_not_begun() {
        let (salt, digest) = ("c2FsdHNhbHRzYWx0", "A".repeat(43));
        let (digest_32, digest_64) = (format!("{digest}="), format!("{}==", "A".repeat(86)));
        let of_cost = |cost: u32| format!("bcrypt$$2b${cost:02}${}", "a".repeat(53));
        let argon2 = |costs: &str| format!("argon2$argon2id$v=19${costs}${salt}${digest}");
        for (bearable, costly) in [
            (
                format!("pbkdf2_sha256$10000000$salt${digest_32}"),
                format!("pbkdf2_sha256$10000001$salt${digest_32}"),
            ),
            (of_cost(16), of_cost(17)),
            (argon2("m=262144,t=8,p=1"), argon2("m=262145,t=1,p=1")),
            (argon2("m=8,t=262144,p=1"), argon2("m=8,t=262145,p=1")),
            (argon2("m=64,t=1,p=8"), argon2("m=63,t=1,p=8")),
            (
                format!("scrypt$262144$salt$8$8${digest_64}"),
                format!("scrypt$262144$salt$8$9${digest_64}"),
            ),
            (
                format!("scrypt$16384$salt$8$5${digest_64}"),
                format!("scrypt$16384$salt$1073741824$5${digest_64}"),
            ),
            (
                format!("scrypt$2$salt$8$1${digest_64}"),
                format!("scrypt$2$salt$1$4294967295${digest_64}"),
            ),
        ] {
            assert!(is_known(&PasswordHash::stored(&*bearable)), "{bearable}");
            assert!(!is_known(&PasswordHash::stored(&*costly)), "{costly}");
        }
    }

    #[test]
    fn other_texts_are_no_hashes() {
        for text in [
            "",
            "!",
            "!KS3QNvRVbIrkyHpCbJ03wCz6crREhWisnuETOy66",
            "plain",
            "$",
            "md5$salt$5f4dcc3b5aa765d61d8327deb882cf99",
            "pbkdf2_sha256$1$salt$",
            "pbkdf2_sha256$0$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "pbkdf2_sha256$-1$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "pbkdf2_sha1$1$salt$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "bcrypt$$2b$12$short",
            "argon2$argon2id$v=18$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "argon2$argon2id$v=19$m=64,t=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            "scrypt$16383$salt$8$1$AAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert_eq!(check("password", text), None, "{text}");
        }
    }
}
