//! Random tokens, and their stored hashes.

use aws_lc_rs::{constant_time, digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Returns bytes from the operating system's generator.
///
/// # Panics
/// Only if the operating system has no randomness, where continuing would be worse.
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    #[expect(clippy::expect_used, reason = "without randomness no secret is safe")]
    rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A secret in clear. It has no `Display`, and [`Self::expose`] is the only way to its text.
#[derive(Clone)]
pub struct PlainToken(String);

impl PlainToken {
    /// Prefix of refresh tokens, by which secret scanners recognise them.
    pub const REFRESH_PREFIX: &'static str = "hpr_";
    /// Prefix of device tokens.
    pub const DEVICE_PREFIX: &'static str = "hpd_";
    /// Prefix of API keys.
    pub const API_KEY_PREFIX: &'static str = "hpk_";
    /// Prefix of registration tokens.
    pub const REGISTRATION_PREFIX: &'static str = "hpg_";

    /// A token as a client presented it.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns 32 random bytes in base64url after a prefix.
    pub fn random(prefix: &str) -> Self {
        Self::encode(prefix, &random_bytes::<32>())
    }

    /// Returns a token of these bytes in base64url after a prefix.
    pub(super) fn encode(prefix: &str, bytes: &[u8]) -> Self {
        Self(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// Returns the SHA-256 hash that is stored. The tokens have 256 random bits, so no slow hash is
    /// needed.
    pub fn hash(&self) -> TokenHash {
        TokenHash(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref().to_vec())
    }

    /// The text, for the one response or mail that contains it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for PlainToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlainToken(..)")
    }
}

/// Stored hash of a token, computed from a plain token or read from the database.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenHash(pub Vec<u8>);

impl TokenHash {
    /// Returns the hash as text, for use in a name.
    pub fn to_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(&self.0)
    }

    /// Compares in constant time.
    pub fn matches(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_do_not_print() {
        let token = PlainToken::presented("hpr_very-secret");
        assert!(!format!("{token:?} {:?}", token.hash()).contains("secret"));
    }
}
