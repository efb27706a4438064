//! The cache of verified tokens (docs/adr/0017-cache-of-verified-tokens.md). It saves the signature
//! and the parsing; [`super::AccessTokens::check`] repeats all checks whose result can change.

use std::sync::Arc;

use aws_lc_rs::digest;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::claims::Claims;
use crate::domain::UtcTime;

/// Largest size of all cached tokens in bytes, about 5,000 of them. Beyond, the least used are
/// evicted.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of a token besides its texts: the entry, its key and its allocations.
const OVERHEAD: usize = size_of::<VerifiedToken>() + 256;

/// An access token whose signature and unchanging claims were found valid.
#[derive(Debug)]
pub struct VerifiedToken {
    /// The claims.
    pub claims: Claims,
    /// The claims as JSON.
    pub claims_json: String,
    /// The id of the key that signed it.
    pub(super) kid: String,
}

/// The SHA-256 digest of a token. It covers the signature: another signature is another token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct TokenDigest([u8; 32]);

impl TokenDigest {
    pub(super) fn of(token: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

/// Tokens by their digests, shared by all threads.
pub(super) struct VerifiedTokens(Cache<TokenDigest, Arc<VerifiedToken>, Bytes>);

#[derive(Clone)]
struct Bytes;

impl Weighter<TokenDigest, Arc<VerifiedToken>> for Bytes {
    fn weight(&self, _: &TokenDigest, token: &Arc<VerifiedToken>) -> u64 {
        // The claims are stored twice: parsed and as JSON.
        let bytes = OVERHEAD + 2 * token.claims_json.len();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self::of(MAX_BYTES)
    }

    fn of(max_bytes: u64) -> Self {
        let each = OVERHEAD + 2 * 512;
        let tokens = usize::try_from(max_bytes).unwrap_or(usize::MAX) / each;
        Self(Cache::with_weighter(tokens, max_bytes, Bytes))
    }

    pub(super) fn get(&self, token: &TokenDigest) -> Option<Arc<VerifiedToken>> {
        self.0.get(token)
    }

    pub(super) fn insert(&self, digest: TokenDigest, token: Arc<VerifiedToken>) {
        self.0.insert(digest, token);
    }

    /// Drops the tokens that expired before `now`.
    pub(super) fn drop_expired(&self, now: UtcTime) {
        self.0.retain(|_, token| token.claims.exp >= now.seconds());
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn token(number: usize, exp: i64) -> (TokenDigest, Arc<VerifiedToken>) {
        let claims = json!({
            "iss": "i", "aud": "i", "sub": "7", "iat": 0, "exp": exp, "jti": "j", "sid": "s",
            "user_id": 7, "username": "u", "email": "", "email_verified": false,
            "is_staff": false, "amr": ["pwd"], "auth_time": 0
        });
        let claims_json = claims.to_string();
        let claims = serde_json::from_value(claims).unwrap();
        let token = VerifiedToken { claims, claims_json, kid: "k".into() };
        (TokenDigest::of(&number.to_string()), Arc::new(token))
    }

    #[test]
    fn a_flood_of_tokens_stays_within_the_bound_and_leaves_one_that_is_asked_for() {
        let tokens = VerifiedTokens::of(256 * 1024);
        let (popular, verified) = token(0, 100);
        tokens.insert(popular, verified);
        for number in 1..10_000 {
            assert!(tokens.get(&popular).is_some(), "gone after {number}");
            let (digest, verified) = token(number, 100);
            tokens.insert(digest, verified);
        }
        assert!(tokens.0.weight() <= 256 * 1024, "{}", tokens.0.weight());
        assert!(tokens.len() > 50, "{}", tokens.len());
    }

    #[test]
    fn what_has_expired_is_dropped() {
        let tokens = VerifiedTokens::new();
        for number in 0..10 {
            let (digest, verified) = token(number, i64::try_from(number).unwrap());
            tokens.insert(digest, verified);
        }
        tokens.drop_expired(UtcTime::from_seconds(7));
        assert_eq!(tokens.len(), 3);
        assert!(tokens.get(&TokenDigest::of("6")).is_none());
    }
}
