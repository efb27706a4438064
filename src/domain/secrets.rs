//! Keys derived from `HALLPASS_SECRET`, and the tokens, codes and names derived with them.

pub mod guessable;
#[cfg(test)]
mod tests;
pub mod text;

use std::sync::Arc;

use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Counter;
use super::token::{PlainToken, TokenHash};

/// The secret of the service and all keys derived from it, possibly with a second secret during its
/// replacement (`HALLPASS_SECRET_PREVIOUS`). New values are derived from the first; values of both
/// are accepted.
#[derive(Clone)]
pub struct Secrets {
    current: Arc<Derived>,
    previous: Option<Arc<Derived>>,
}

/// Keys derived from one secret.
///
/// Each purpose has its own key (HKDF-SHA-256, RFC 5869), so a value for one purpose is never valid
/// for another. All instances share the secret and derive the same keys.
struct Derived {
    refresh: hmac::Key,
    first_refresh: hmac::Key,
    one_time: hmac::Key,
    code: hmac::Key,
    counters: hmac::Key,
    decoy_users: hmac::Key,
    sealing: [u8; 32],
    django: [u8; 32],
}

struct KeyLength;

impl hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        32
    }
}

impl Derived {
    /// Derives all keys from a secret.
    ///
    /// # Panics
    /// Never: 32 bytes are a valid length for HKDF.
    fn of(secret: &[u8]) -> Self {
        let root = hkdf::Salt::new(hkdf::HKDF_SHA256, b"hallpass v1").extract(secret);
        let key = |purpose: &str| {
            let mut bytes = [0; 32];
            #[expect(clippy::expect_used, reason = "32 bytes are always within HKDF's limit")]
            root.expand(&[purpose.as_bytes()], KeyLength)
                .and_then(|okm| okm.fill(&mut bytes))
                .expect("HKDF gives 32 bytes");
            bytes
        };
        let mac = |purpose: &str| hmac::Key::new(hmac::HMAC_SHA256, &key(purpose));
        // The labels are part of the keys: a changed label invalidates everything derived from it.
        Self {
            refresh: mac("refresh token successor"),
            first_refresh: mac("refresh token of a registration"),
            one_time: mac("one-time token of a mail"),
            code: mac("code of a mail"),
            counters: mac("names of counters"),
            decoy_users: mac("stand-ins for nobody"),
            sealing: key("sealing of signing keys"),
            django: key("tokens of the Django face"),
        }
    }

    fn successor(&self, presented: &PlainToken) -> PlainToken {
        let tag = hmac::sign(&self.refresh, presented.expose().as_bytes());
        PlainToken::encode(PlainToken::REFRESH_PREFIX, tag.as_ref())
    }

    /// Returns the successive replacements of `presented`.
    fn successors(&self, presented: &PlainToken) -> impl Iterator<Item = PlainToken> {
        let next = |token: &PlainToken| Some(self.successor(token));
        std::iter::successors(next(presented), next)
    }

    fn first_tokens(&self, challenge: &str) -> FirstTokens {
        let sign = |text: &str| hmac::sign(&self.first_refresh, text.as_bytes());
        let (refresh, device) = (sign(challenge), sign(&format!("device:{challenge}")));
        FirstTokens {
            refresh: PlainToken::encode(PlainToken::REFRESH_PREFIX, refresh.as_ref()),
            device: PlainToken::encode(PlainToken::DEVICE_PREFIX, device.as_ref()),
        }
    }

    fn code_hash(&self, bound_to: &str, code: &PlainToken) -> TokenHash {
        let tag = hmac::sign(&self.code, format!("hash:{bound_to}:{}", code.expose()).as_bytes());
        TokenHash(tag.as_ref().to_vec())
    }
}

/// The tokens that a client receives when it signs in.
#[derive(Clone, Debug)]
pub struct FirstTokens {
    /// The first refresh token of the session.
    pub refresh: PlainToken,
    /// The device token, unless the client already has one of the user.
    pub device: PlainToken,
}

impl FirstTokens {
    /// Generates random tokens.
    pub fn random() -> Self {
        Self {
            refresh: PlainToken::random(PlainToken::REFRESH_PREFIX),
            device: PlainToken::random(PlainToken::DEVICE_PREFIX),
        }
    }
}

impl Secrets {
    /// Derives all keys from `HALLPASS_SECRET`.
    pub fn derive(secret: &[u8]) -> Self {
        Self { current: Arc::new(Derived::of(secret)), previous: None }
    }

    /// Does the same, with `previous` as the second secret.
    #[must_use]
    pub fn accepting(self, previous: &[u8]) -> Self {
        Self { previous: Some(Arc::new(Derived::of(previous))), ..self }
    }

    /// Returns the keys of each secret, first those that issue new values.
    fn all(&self) -> impl Iterator<Item = &Derived> {
        std::iter::once(&self.current).chain(&self.previous).map(Arc::as_ref)
    }

    /// Returns whether there is a second secret.
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// Returns the refresh token that replaces `presented`. It is derived, so that repeated
    /// requests within the grace period get the same one while only hashes are stored. An instance
    /// with the other secret may have replaced the token, so there is one for each secret; the
    /// first is for new rows.
    pub fn refresh_successors(&self, presented: &PlainToken) -> Vec<PlainToken> {
        self.all().map(|derived| derived.successor(presented)).collect()
    }

    /// Returns every token that the next `steps` exchanges of `presented` can have issued. The
    /// secret may have changed once in between, in either direction.
    pub fn later_refresh_tokens(&self, presented: &PlainToken, steps: usize) -> Vec<PlainToken> {
        let Some(previous) = &self.previous else {
            return self.current.successors(presented).take(steps).collect();
        };
        let changing = |before: &Derived, after: &Derived| -> Vec<PlainToken> {
            let start = std::iter::once(presented.clone());
            let unchanged: Vec<PlainToken> =
                start.chain(before.successors(presented)).take(steps + 1).collect();
            let changed = unchanged
                .iter()
                .enumerate()
                .flat_map(|(step, token)| after.successors(token).take(steps - step));
            let changed: Vec<PlainToken> = changed.collect();
            unchanged.into_iter().skip(1).chain(changed).collect()
        };
        [changing(previous, &self.current), changing(&self.current, previous)].concat()
    }

    /// Returns the tokens of the session that a challenge opens, for each secret; the first are for
    /// new rows.
    pub fn first_tokens(&self, challenge: &str) -> Vec<FirstTokens> {
        self.all().map(|derived| derived.first_tokens(challenge)).collect()
    }

    /// Returns the one-time token of the mail `mail_id`. It is derived, so that a retry of the mail
    /// has the same one.
    pub fn mail_token(&self, mail_id: &str) -> PlainToken {
        PlainToken::encode("", hmac::sign(&self.current.one_time, mail_id.as_bytes()).as_ref())
    }

    /// Returns the six-digit code of the mail `mail_id`.
    pub fn mail_code(&self, mail_id: &str) -> PlainToken {
        let tag = hmac::sign(&self.current.code, format!("digits:{mail_id}").as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&tag.as_ref()[..8]);
        // 2^64 is so much larger than 10^6 that the bias of the remainder cannot be exploited.
        PlainToken::presented(format!("{:06}", u64::from_be_bytes(first) % 1_000_000))
    }

    /// Returns the keyed hash of a code for storage. Six digits have almost no entropy. The key,
    /// and the challenge that the hash is bound to, prevent guessing from the database alone.
    pub fn code_hash(&self, bound_to: &str, code: &PlainToken) -> TokenHash {
        self.current.code_hash(bound_to, code)
    }

    /// Returns whether `stored` is the hash of `code`.
    pub fn is_code(&self, bound_to: &str, code: &PlainToken, stored: &TokenHash) -> bool {
        self.all().any(|derived| derived.code_hash(bound_to, code).matches(stored))
    }

    /// Returns the stored name of a counter. It does not reveal the address to a reader of the
    /// table.
    pub fn counter_name(&self, counter: &Counter) -> String {
        let kind = counter.counted.name();
        let tag =
            hmac::sign(&self.current.counters, format!("{kind}:{}", counter.subject).as_bytes());
        format!("{kind}:{}", URL_SAFE_NO_PAD.encode(&tag.as_ref()[..16]))
    }

    /// Returns the key that selects the decoy user for an unknown name.
    pub fn decoy_key(&self, name: &str) -> u32 {
        let tag = hmac::sign(&self.current.decoy_users, name.as_bytes());
        let mut first = [0; 4];
        first.copy_from_slice(&tag.as_ref()[..4]);
        u32::from_be_bytes(first)
    }

    /// Returns the keys that open private signing keys. The first one seals new ones.
    pub fn sealing_keys(&self) -> Vec<&[u8; 32]> {
        self.all().map(|derived| &derived.sealing).collect()
    }

    /// Returns the keys for tokens of the Django REST adapter without a shared
    /// `HALLPASS_JWT_SECRET`. The first one signs.
    pub fn adapter_keys(&self) -> Vec<&[u8]> {
        self.all().map(|derived| derived.django.as_slice()).collect()
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(..)")
    }
}
