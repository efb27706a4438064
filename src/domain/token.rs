//! Random and derived secrets, and their stored hashes.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hkdf, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Counter;

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

    fn encode(prefix: &str, bytes: &[u8]) -> Self {
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

    fn first_tokens(&self, registration: &str) -> FirstTokens {
        let sign = |text: &str| hmac::sign(&self.first_refresh, text.as_bytes());
        let (refresh, device) = (sign(registration), sign(&format!("device:{registration}")));
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

    /// Returns the tokens that may be one of the next `steps` after `presented`. The secret may
    /// have changed once in between, in either direction.
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

    /// Returns the tokens of the session that a verified registration opens, for each secret; the
    /// first are for new rows.
    pub fn first_tokens(&self, registration: &str) -> Vec<FirstTokens> {
        self.all().map(|derived| derived.first_tokens(registration)).collect()
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
        PlainToken(format!("{:06}", u64::from_be_bytes(first) % 1_000_000))
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_successor_is_the_same_every_time_and_differs_by_secret() {
        let secrets = Secrets::derive(b"one secret of sufficient length..");
        let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let successor = |secrets: &Secrets| secrets.refresh_successors(&token).remove(0);
        assert_eq!(successor(&secrets).expose(), successor(&secrets).expose());
        assert_ne!(successor(&secrets).expose(), token.expose());
        let other = Secrets::derive(b"another secret of enough length..");
        assert_ne!(successor(&secrets).expose(), successor(&other).expose());
    }

    #[test]
    fn with_two_secrets_new_things_come_from_the_first_and_both_count() {
        let old = Secrets::derive(b"one secret of sufficient length..");
        let new = Secrets::derive(b"another secret of enough length..");
        let both = new.clone().accepting(b"one secret of sufficient length..");
        let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let texts = |tokens: Vec<PlainToken>| -> Vec<String> {
            tokens.iter().map(|token| token.expose().to_owned()).collect()
        };
        let next =
            |secrets: &Secrets, token: &PlainToken| secrets.refresh_successors(token).remove(0);
        assert_eq!(
            texts(both.refresh_successors(&token)),
            texts(vec![next(&new, &token), next(&old, &token)])
        );
        assert_eq!(both.sealing_keys(), [new.sealing_keys(), old.sealing_keys()].concat());
        assert_eq!(both.adapter_keys(), [new.adapter_keys(), old.adapter_keys()].concat());
        for maker in [&old, &new] {
            let code = maker.mail_code("mail-1");
            assert!(both.is_code("mail-1", &code, &maker.code_hash("mail-1", &code)));
        }
        let stranger = Secrets::derive(b"a third secret of enough length..");
        let code = stranger.mail_code("mail-1");
        assert!(!both.is_code("mail-1", &code, &stranger.code_hash("mail-1", &code)));
    }

    #[test]
    fn a_chain_of_tokens_is_followed_over_one_change_of_the_secret() {
        let secrets = ["one secret of sufficient length..", "another secret of enough length.."];
        let made = secrets.map(|secret| Secrets::derive(secret.as_bytes()));
        let both = made[1].clone().accepting(secrets[0].as_bytes());
        let token = PlainToken::random(PlainToken::REFRESH_PREFIX);
        let found: HashSet<String> = both
            .later_refresh_tokens(&token, 5)
            .iter()
            .map(|token| token.expose().to_owned())
            .collect();
        for (before, after) in [(0, 1), (1, 0)] {
            for change in 0..=5 {
                let mut last = token.clone();
                for step in 0..5 {
                    let maker = if step < change { before } else { after };
                    last = made[maker].refresh_successors(&last).remove(0);
                    assert!(found.contains(last.expose()), "{change} {step}");
                }
                let beyond = made[after].refresh_successors(&last).remove(0);
                assert!(!found.contains(beyond.expose()));
            }
        }
        assert_eq!(made[0].later_refresh_tokens(&token, 5).len(), 5);
    }

    /// Returns whether each bit of equally long texts is set in about half of them.
    fn bits_are_even(tokens: &HashSet<Vec<u8>>) -> bool {
        let bits = tokens.iter().next().map_or(0, Vec::len) * 8;
        (0..bits).all(|bit| {
            let set = tokens.iter().filter(|it| it[bit / 8] >> (bit % 8) & 1 == 1).count();
            (tokens.len() * 2 / 5..tokens.len() * 3 / 5).contains(&set)
        })
    }

    #[test]
    fn tokens_have_32_bytes_and_no_two_are_alike() {
        let secrets = Secrets::derive(b"one secret of sufficient length..");
        let bytes = |token: &PlainToken, prefix: &str| {
            URL_SAFE_NO_PAD.decode(token.expose().strip_prefix(prefix).unwrap()).unwrap()
        };
        let refresh = PlainToken::REFRESH_PREFIX;
        let first = PlainToken::random(refresh);
        let registered = |it: usize| secrets.first_tokens(&format!("r-{it}")).remove(0);
        let kinds: [Vec<Vec<u8>>; 5] = [
            (0..1_000).map(|_| bytes(&PlainToken::random(refresh), refresh)).collect(),
            (0..1_000).map(|it| bytes(&secrets.mail_token(&format!("mail-{it}")), "")).collect(),
            secrets
                .later_refresh_tokens(&first, 1_000)
                .iter()
                .map(|it| bytes(it, refresh))
                .collect(),
            (0..1_000).map(|it| bytes(&registered(it).refresh, refresh)).collect(),
            (0..1_000).map(|it| bytes(&registered(it).device, PlainToken::DEVICE_PREFIX)).collect(),
        ];
        let mut all = HashSet::new();
        for tokens in kinds {
            let tokens: HashSet<Vec<u8>> = tokens.into_iter().collect();
            assert_eq!(tokens.len(), 1_000);
            assert!(tokens.iter().all(|token| token.len() == 32));
            assert!(bits_are_even(&tokens), "a bit is more often one thing than the other");
            all.extend(tokens);
        }
        assert_eq!(all.len(), 5_000, "one kind gives what another gives");
    }

    #[test]
    fn codes_have_six_digits_and_are_bound() {
        let secrets = Secrets::derive(b"one secret of sufficient length..");
        let others = Secrets::derive(b"another secret of enough length..");
        let ids: Vec<String> = (0..2_000).map(|number| format!("mail-{number}")).collect();
        let codes: Vec<String> =
            ids.iter().map(|id| secrets.mail_code(id).expose().to_owned()).collect();
        assert!(codes.iter().all(|it| it.len() == 6 && it.bytes().all(|b| b.is_ascii_digit())));
        // 2,000 draws of a million codes contain two equal ones about twice.
        let distinct: HashSet<&String> = codes.iter().collect();
        assert!(distinct.len() > 1_980, "{} different codes of 2,000", distinct.len());
        for place in 0..6 {
            for digit in b'0'..=b'9' {
                let times = codes.iter().filter(|code| code.as_bytes()[place] == digit).count();
                assert!((130..270).contains(&times), "{times} times {digit} at {place}");
            }
        }
        // A retry of a mail has the same code. No code follows from the mail's id alone.
        assert!(ids.iter().zip(&codes).all(|(id, code)| secrets.mail_code(id).expose() == code));
        let same =
            ids.iter().zip(&codes).filter(|(id, code)| others.mail_code(id).expose() == *code);
        assert!(same.count() < 5);
    }

    #[test]
    fn of_a_code_only_a_keyed_hash_that_is_bound_is_stored() {
        let secrets = Secrets::derive(b"one secret of sufficient length..");
        let others = Secrets::derive(b"another secret of enough length..");
        let code = PlainToken::presented("123456");
        let hash = secrets.code_hash("a", &code);
        assert!(hash.matches(&secrets.code_hash("a", &code)));
        for other in [
            secrets.code_hash("b", &code),
            secrets.code_hash("a", &PlainToken::presented("123457")),
            others.code_hash("a", &code),
            code.hash(),
            PlainToken::presented("a:123456").hash(),
            TokenHash(b"123456".to_vec()),
        ] {
            assert!(!hash.matches(&other));
        }
        assert_eq!(hash.0.len(), 32);
    }

    #[test]
    fn secrets_do_not_print() {
        let token = PlainToken::presented("hpr_very-secret");
        assert!(!format!("{token:?} {:?}", token.hash()).contains("secret"));
    }
}
