//! The public keys of a provider (JWK Set, RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use super::ProviderError;

/// The name of the key set in errors.
pub(super) const KEY_SET: &str = "key set";
/// More keys than any provider has.
const MAX_KEYS: usize = 100;
/// NIST SP 800-131A: 2,048 bits.
const MIN_MODULUS_BYTES: usize = 256;

/// A key that id tokens are verified with.
pub(super) struct ProviderKey {
    kid: Option<String>,
    algorithm: Algorithm,
    pub decoding: DecodingKey,
    /// The issuer that the key is restricted to; Microsoft's key sets name one.
    pub issuer: Option<String>,
}

/// The keys of a provider that have a type for an accepted algorithm.
pub(super) struct KeySet(Vec<ProviderKey>);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    issuer: Option<String>,
}

impl KeySet {
    /// Reads a key set. Keys of other types, for other uses or too weak are left out.
    pub(super) fn read(body: &[u8]) -> Result<Self, ProviderError> {
        let document: Document = serde_json::from_slice(body)
            .map_err(|error| ProviderError::malformed(KEY_SET, error.to_string()))?;
        let jwks = document.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<ProviderKey> =
            jwks.filter_map(|jwk| provider_key(serde_json::from_value(jwk).ok()?)).collect();
        if keys.is_empty() {
            return Err(ProviderError::malformed(KEY_SET, "has no key for RS256, ES256 or EdDSA"));
        }
        Ok(Self(keys))
    }

    /// Returns the keys for an algorithm that a `kid` may name. Without `kid`, the only one is
    /// meant.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&ProviderKey> {
        let fits = |key: &&ProviderKey| {
            key.algorithm == algorithm && (kid.is_none() || key.kid.as_deref() == kid)
        };
        let found: Vec<&ProviderKey> = self.0.iter().filter(fits).collect();
        if kid.is_none() && found.len() > 1 { Vec::new() } else { found }
    }
}

/// Returns the key if its type determines an accepted algorithm, and `alg`, `use` and `key_ops` do
/// not contradict (RFC 8725 section 3.1, RFC 7517 section 4).
fn provider_key(jwk: Jwk) -> Option<ProviderKey> {
    let (algorithm, decoding) = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", None) => {
            let modulus = jwk.n.as_deref()?;
            if URL_SAFE_NO_PAD.decode(modulus).ok()?.len() < MIN_MODULUS_BYTES {
                return None;
            }
            (Algorithm::RS256, DecodingKey::from_rsa_components(modulus, jwk.e.as_deref()?))
        }
        ("EC", Some("P-256")) => {
            let (x, y) = (jwk.x.as_deref()?, jwk.y.as_deref()?);
            (Algorithm::ES256, DecodingKey::from_ec_components(x, y))
        }
        ("OKP", Some("Ed25519")) => {
            (Algorithm::EdDSA, DecodingKey::from_ed_components(jwk.x.as_deref()?))
        }
        _ => return None,
    };
    let name = algorithm_name(algorithm);
    // RFC 9864 names the curve instead.
    let is_name = |it: &str| it == name || (name == "EdDSA" && it == "Ed25519");
    let contradicts = jwk.alg.as_deref().is_some_and(|it| !is_name(it))
        || jwk.usage.as_deref().is_some_and(|it| it != "sig")
        || jwk.key_ops.is_some_and(|all| !all.iter().any(|it| it == "verify"));
    if contradicts {
        return None;
    }
    Some(ProviderKey { kid: jwk.kid, algorithm, decoding: decoding.ok()?, issuer: jwk.issuer })
}

fn algorithm_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::ES256 => "ES256",
        Algorithm::EdDSA => "EdDSA",
        _ => "RS256",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ec(kid: &str) -> Value {
        json!({"kty": "EC", "crv": "P-256", "kid": kid,
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    }

    fn with(mut key: Value, name: &str, value: &str) -> Value {
        key[name] = json!(value);
        key
    }

    fn with_operations(mut key: Value, operations: &[&str]) -> Value {
        key["key_ops"] = json!(operations);
        key
    }

    fn read(keys: &[Value]) -> Result<KeySet, ProviderError> {
        KeySet::read(&serde_json::to_vec(&json!({ "keys": keys })).unwrap())
    }

    #[test]
    fn a_key_counts_for_the_algorithm_of_its_type_only() {
        let short = json!({"kty": "RSA", "kid": "s", "n": "AQAB", "e": "AQAB"});
        let secret = json!({"kty": "oct", "kid": "o", "k": "AQAB"});
        let others = [
            short,
            secret,
            with(ec("e"), "use", "enc"),
            with(ec("a"), "alg", "RS256"),
            with(ec("c"), "crv", "P-384"),
            with_operations(ec("o"), &["encrypt", "wrapKey"]),
            with_operations(ec("n"), &[]),
            json!("no key"),
        ];
        assert!(read(&others).is_err());
        let good = with_operations(with(ec("good"), "alg", "ES256"), &["verify"]);
        let all = [&others[..], &[good]].concat();
        let keys = read(&all).unwrap();
        assert_eq!(keys.find(Some("good"), Algorithm::ES256).len(), 1);
        assert!(keys.find(Some("good"), Algorithm::RS256).is_empty());
        assert!(keys.find(Some("e"), Algorithm::ES256).is_empty());
    }

    #[test]
    fn without_a_key_id_only_a_single_key_is_meant() {
        assert_eq!(read(&[ec("a")]).unwrap().find(None, Algorithm::ES256).len(), 1);
        assert!(read(&[ec("a"), ec("b")]).unwrap().find(None, Algorithm::ES256).is_empty());
    }
}
