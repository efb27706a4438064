//! Signing keys: generation, sealing for the database, signatures.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::key_schedule::KeyDates;
use super::sealing;
use crate::domain::{SealedKey, UtcTime};

/// Algorithms that sign access tokens (RFC 7518, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256, the default.
    Es256,
    /// Ed25519.
    EdDsa,
    /// RSA 2048 with PKCS #1 v1.5.
    Rs256,
    /// HMAC with a secret shared with the services that check tokens.
    Hs256,
}

impl SigningAlgorithm {
    /// Every algorithm, for the settings.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Hs256];

    /// The name in token headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Hs256 => "HS256",
        }
    }

    /// Returns the algorithm of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// The length of a signature in a token.
    pub(super) const fn signature_length(self) -> usize {
        match self {
            Self::Es256 | Self::EdDsa => 86,
            Self::Rs256 => 342,
            Self::Hs256 => 43,
        }
    }

    pub(super) const fn jws(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
            Self::Rs256 => Algorithm::RS256,
            Self::Hs256 => Algorithm::HS256,
        }
    }
}

/// Reasons why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The crypto library returned an error.
    #[error("the key cannot be made or read")]
    Crypto,
    /// The sealed key does not open with the service's secret.
    #[error(
        "the signing keys in the database were sealed under another HALLPASS_SECRET (in development \
         it is the file `secret` of the data folder: HALLPASS_SECRET_FILE can name it)"
    )]
    WrongSecret,
    /// The key in the database has a form that this version does not know.
    #[error("the signing key {0} in the database is not known to this version")]
    Unknown(String),
    /// No key can sign.
    #[error("there is no signing key")]
    Missing,
    /// The token would be longer than services accept.
    #[error(
        "the access token of user {user_id} would have {length} bytes, more than 4096: shorten the roles of \
         the account, or the members that HALLPASS_CLAIMS names"
    )]
    TokenTooLong {
        /// The user.
        user_id: i64,
        /// The length of the token.
        length: usize,
    },
}

/// An opened key.
pub struct SigningKey {
    pub(super) kid: String,
    pub(super) algorithm: SigningAlgorithm,
    pub(super) encoding: EncodingKey,
    /// The same, parsed once for all signatures; ES256 only.
    key_pair: Option<EcdsaKeyPair>,
    pub(super) decoding: DecodingKey,
    /// The public key for the JWKS; `None` for a shared secret.
    pub public_jwk: Option<serde_json::Value>,
}

impl SealedKey {
    /// Generates a key pair.
    pub fn generate(
        algorithm: SigningAlgorithm,
        sealing_key: &[u8; 32],
        created_at: UtcTime,
        signs_from: UtcTime,
    ) -> Result<Self, KeyError> {
        let private = generate_private_key(algorithm)?;
        let encoding = encoding_key(algorithm, &private)?;
        let mut jwk =
            Jwk::from_encoding_key(&encoding, algorithm.jws()).map_err(|_| KeyError::Crypto)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(|_| KeyError::Crypto)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self {
            algorithm: algorithm.name().to_owned(),
            sealed_private_key: sealing::seal(sealing_key, &kid, &private)
                .map_err(|_| KeyError::Crypto)?,
            public_jwk: serde_json::to_string(&jwk).map_err(|_| KeyError::Crypto)?,
            kid,
            created_at,
            signs_from,
        })
    }

    /// Returns its id, algorithm and times.
    pub fn dates(&self) -> KeyDates {
        KeyDates {
            kid: self.kid.clone(),
            algorithm: self.algorithm.clone(),
            created_at: self.created_at,
            signs_from: self.signs_from,
        }
    }

    /// Opens it with one of the sealing keys.
    pub fn open(&self, sealing_keys: &[&[u8; 32]]) -> Result<SigningKey, KeyError> {
        let unknown = || KeyError::Unknown(self.kid.clone());
        let algorithm = SigningAlgorithm::from_name(&self.algorithm).ok_or_else(unknown)?;
        let private = self.private_key(sealing_keys)?;
        let jwk: Jwk = serde_json::from_str(&self.public_jwk).map_err(|_| unknown())?;
        Ok(SigningKey {
            kid: self.kid.clone(),
            algorithm,
            encoding: encoding_key(algorithm, &private)?,
            key_pair: key_pair(algorithm, &private)?,
            decoding: DecodingKey::from_jwk(&jwk).map_err(|_| unknown())?,
            public_jwk: serde_json::from_str(&self.public_jwk).ok(),
        })
    }
}

impl SealedKey {
    fn private_key(&self, sealing_keys: &[&[u8; 32]]) -> Result<Vec<u8>, KeyError> {
        let open = |key: &&[u8; 32]| sealing::open(key, &self.kid, &self.sealed_private_key).ok();
        sealing_keys.iter().find_map(open).ok_or(KeyError::WrongSecret)
    }

    /// Returns the private key sealed with the first sealing key; `None` if it already is.
    pub fn sealed_anew(&self, sealing_keys: &[&[u8; 32]]) -> Result<Option<Vec<u8>>, KeyError> {
        let (first, _) = sealing_keys.split_first().ok_or(KeyError::WrongSecret)?;
        if self.private_key(&[*first]).is_ok() {
            return Ok(None);
        }
        let private = self.private_key(sealing_keys)?;
        sealing::seal(first, &self.kid, &private).map(Some).map_err(|_| KeyError::Crypto)
    }
}

impl SigningKey {
    /// Returns the key of a secret that is shared with the services that check tokens.
    pub fn shared(secret: &[u8]) -> Self {
        let name = digest::digest(&digest::SHA256, &[b"hallpass kid:", secret].concat());
        Self {
            kid: URL_SAFE_NO_PAD.encode(&name.as_ref()[..9]),
            algorithm: SigningAlgorithm::Hs256,
            encoding: EncodingKey::from_secret(secret),
            key_pair: None,
            decoding: DecodingKey::from_secret(secret),
            public_jwk: None,
        }
    }

    /// Signs the message of a JWS, and returns the signature as base64url.
    pub(super) fn sign(&self, message: &[u8]) -> Result<String, KeyError> {
        let Some(pair) = &self.key_pair else {
            let signature =
                jsonwebtoken::crypto::sign(message, &self.encoding, self.algorithm.jws());
            return signature.map_err(|_| KeyError::Crypto);
        };
        let signature = pair.sign(&SystemRandom::new(), message).map_err(|_| KeyError::Crypto)?;
        Ok(URL_SAFE_NO_PAD.encode(signature))
    }
}

fn key_pair(algorithm: SigningAlgorithm, private: &[u8]) -> Result<Option<EcdsaKeyPair>, KeyError> {
    if algorithm != SigningAlgorithm::Es256 {
        return Ok(None);
    }
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private);
    pair.map(Some).map_err(|_| KeyError::Crypto)
}

fn generate_private_key(algorithm: SigningAlgorithm) -> Result<Vec<u8>, KeyError> {
    match algorithm {
        SigningAlgorithm::Es256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(|_| KeyError::Crypto)?;
            Ok(key.as_ref().to_vec())
        }
        SigningAlgorithm::EdDsa => {
            let key = Ed25519KeyPair::generate()
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(|_| KeyError::Crypto)?;
            Ok(key.as_ref().to_vec())
        }
        SigningAlgorithm::Rs256 => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| KeyError::Crypto)?;
            let key: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| KeyError::Crypto)?;
            Ok(key.as_ref().to_vec())
        }
        // A shared secret is a setting, not generated here.
        SigningAlgorithm::Hs256 => Err(KeyError::Crypto),
    }
}

/// Returns the key for `private`, a PKCS #8 document, or the bytes of a shared secret.
fn encoding_key(algorithm: SigningAlgorithm, private: &[u8]) -> Result<EncodingKey, KeyError> {
    match algorithm {
        SigningAlgorithm::Es256 => Ok(EncodingKey::from_ec_der(private)),
        SigningAlgorithm::EdDsa => Ok(EncodingKey::from_ed_der(private)),
        SigningAlgorithm::Rs256 => {
            // The DER constructor wants PKCS #1; the PEM one unwraps PKCS #8.
            let body = STANDARD.encode(private);
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n");
            EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|_| KeyError::Crypto)
        }
        SigningAlgorithm::Hs256 => Ok(EncodingKey::from_secret(private)),
    }
}
