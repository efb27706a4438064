//! Access tokens (RFC 9068, RFC 8725): the one place that signs and validates them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Header;
use serde::{Deserialize, Serialize};

pub use self::cache::VerifiedToken;
use self::cache::{TokenDigest, VerifiedTokens};
pub use self::claims::{Audience, Claims};
pub use self::settings::TokenSettings;
use super::key_set::KeySet;
use super::keys::{KeyError, SigningKey};
use super::revocations::Revocations;
use super::token_times::{LEEWAY, MAX_LIFETIME};
use crate::domain::UtcTime;

/// The `typ` header of an access token (RFC 9068 section 2.1).
const TOKEN_TYPE: &str = "at+jwt";
const MAX_LENGTH: usize = 4096;

/// Reasons to refuse an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token was not issued by this service.
    Invalid,
    /// The token has expired.
    Expired,
    /// The session of the token was ended.
    Revoked,
    /// The revocation list is stale, so the token cannot be checked.
    RevocationsStale,
}

/// The permitted fields of a header. All others are refused, such as `crit`, `jwk`, `jku` and
/// `x5u`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownHeader {
    alg: String,
    typ: String,
    kid: String,
}

/// Issues and validates access tokens.
pub struct AccessTokens {
    settings: Arc<TokenSettings>,
    room_for_names: Option<i64>,
    keys: ArcSwap<KeySet>,
    verified: VerifiedTokens,
    /// Sessions and users that were revoked within the lifetime of an access token.
    pub revocations: Revocations,
}

impl AccessTokens {
    /// Returns access tokens that are signed with the active key of `keys` and validated with all
    /// of them.
    pub fn new(settings: TokenSettings, keys: KeySet, revocations: Revocations) -> Self {
        let keys = ArcSwap::from_pointee(keys);
        let verified = VerifiedTokens::new();
        let room_for_names = settings.room_for_names();
        Self { settings: Arc::new(settings), room_for_names, keys, verified, revocations }
    }

    /// Returns the key set.
    pub fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Replaces the key set, from the next token on.
    pub fn set_keys(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    /// Returns the settings.
    pub fn settings(&self) -> &Arc<TokenSettings> {
        &self.settings
    }

    /// Returns the room for user name, e-mail address and roles, in bytes of JSON; `None` if there
    /// are claims from the metadata, which take room too.
    pub fn room_for_names(&self) -> Option<i64> {
        self.room_for_names
    }

    /// Returns the public keys, the active one first.
    pub fn public_keys(&self, now: UtcTime) -> Vec<serde_json::Value> {
        self.keys.load().public_keys(now)
    }

    /// Returns the algorithms of the keys that validate tokens, the one that signs first.
    pub fn algorithms(&self, now: UtcTime) -> Vec<&'static str> {
        self.keys.load().algorithms(now)
    }

    /// Signs `claims` with the key that is active at `now`.
    pub fn sign(&self, claims: &Claims, now: UtcTime) -> Result<String, KeyError> {
        let keys = self.keys.load();
        let key = keys.active(now).ok_or(KeyError::Missing)?;
        let message = message(key, claims)?;
        let signature = key.sign(message.as_bytes())?;
        let token = format!("{message}.{signature}");
        require_length(token.len(), claims)?;
        Ok(token)
    }

    /// Checks that a token with `claims` would not be too long, without signing it.
    ///
    /// # Errors
    /// [`KeyError::TokenTooLong`].
    pub fn check_length(&self, claims: &Claims, now: UtcTime) -> Result<(), KeyError> {
        let keys = self.keys.load();
        let key = keys.active(now).ok_or(KeyError::Missing)?;
        let signature = 1 + key.algorithm.signature_length();
        require_length(message(key, claims)?.len() + signature, claims)
    }

    /// Validates a token: form, header, signature, claims, time, revocation, in this order. The
    /// parts that cannot change are cached; the others are checked each time.
    pub fn check(&self, token: &str, now: UtcTime) -> Result<Arc<VerifiedToken>, TokenError> {
        if token.len() > MAX_LENGTH {
            return Err(TokenError::Invalid);
        }
        let digest = TokenDigest::of(token);
        if let Some(known) = self.verified.get(&digest) {
            return self.check_now(&known, now).map(|()| known);
        }
        let verified = Arc::new(self.verify(token, now).ok_or(TokenError::Invalid)?);
        self.check_now(&verified, now)?;
        self.verified.insert(digest, Arc::clone(&verified));
        Ok(verified)
    }

    /// Frees the memory of cached tokens that have expired.
    pub fn drop_expired(&self, now: UtcTime) {
        self.verified.drop_expired(now.before(LEEWAY));
    }

    /// Checks the parts that can change: key, time, revocations.
    fn check_now(&self, token: &VerifiedToken, now: UtcTime) -> Result<(), TokenError> {
        let claims = &token.claims;
        let leeway = i64::try_from(LEEWAY.as_secs()).unwrap_or(0);
        let has_begun = claims.iat.max(claims.nbf) <= now.seconds() + leeway;
        if !has_begun || self.keys.load().find(&token.kid, now).is_none() {
            return Err(TokenError::Invalid);
        }
        if now.seconds() >= claims.exp.saturating_add(leeway) {
            return Err(TokenError::Expired);
        }
        match self.revocations.revokes(&claims.sid, claims.user_id(), claims.rights, now) {
            Some(false) => Ok(()),
            Some(true) => Err(TokenError::Revoked),
            None => Err(TokenError::RevocationsStale),
        }
    }

    /// Checks the parts that cannot change: the signature, and claims that do not depend on the
    /// time.
    fn verify(&self, token: &str, now: UtcTime) -> Option<VerifiedToken> {
        let (kid, mut claims) = self.check_signature(token, now)?;
        if claims.client_id.is_empty() {
            claims.client_id.clone_from(&self.settings.client_id);
        }
        let longest = i64::try_from(MAX_LIFETIME.as_secs()).unwrap_or(0);
        let lifetime = claims.exp.checked_sub(claims.iat)?;
        let is_plausible = claims.iss == self.settings.issuer
            && self.settings.is_for_us(&claims.aud)
            && claims.sub == claims.user_id.to_string()
            && (0..=longest).contains(&lifetime);
        if !is_plausible {
            return None;
        }
        let claims_json = serde_json::to_string(&claims).ok()?;
        Some(VerifiedToken { claims, claims_json, kid })
    }

    fn check_signature(&self, token: &str, now: UtcTime) -> Option<(String, Claims)> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        let header: KnownHeader = decode_part(header)?;
        let keys = self.keys.load();
        let key = keys.find(&header.kid, now)?;
        if header.alg != key.algorithm.name() || header.typ != TOKEN_TYPE {
            return None;
        }
        // Decoding is strict, so a signature has one spelling only.
        URL_SAFE_NO_PAD.decode(signature).ok()?;
        let genuine = jsonwebtoken::crypto::verify(
            signature,
            message.as_bytes(),
            &key.decoding,
            key.algorithm.jws(),
        );
        if genuine.ok()? { Some((header.kid, decode_part(claims)?)) } else { None }
    }
}

/// Returns the part of a token that is signed.
fn message(key: &SigningKey, claims: &Claims) -> Result<String, KeyError> {
    let mut header = Header::new(key.algorithm.jws());
    header.typ = Some(TOKEN_TYPE.to_owned());
    header.kid = Some(key.kid.clone());
    Ok(format!("{}.{}", encode_part(&header)?, encode_part(claims)?))
}

fn require_length(length: usize, claims: &Claims) -> Result<(), KeyError> {
    if length > MAX_LENGTH {
        return Err(KeyError::TokenTooLong { user_id: claims.user_id, length });
    }
    Ok(())
}

fn encode_part(part: &impl Serialize) -> Result<String, KeyError> {
    let json = serde_json::to_vec(part).map_err(|_| KeyError::Crypto)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// Decodes a part that is a JSON object in the form of this service. serde refuses duplicate keys
/// for structs, but would fill a struct from an array.
fn decode_part<T: for<'a> Deserialize<'a>>(part: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    if json.first() == Some(&b'{') { serde_json::from_slice(&json).ok() } else { None }
}

mod cache;
mod claims;
#[cfg(test)]
mod hostile;
mod settings;
#[cfg(test)]
mod tests;
