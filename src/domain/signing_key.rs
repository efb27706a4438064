//! Signing keys at rest.

use super::UtcTime;

/// A stored key pair: the private key is sealed with the secret of the service.
#[derive(Clone)]
pub struct SealedKey {
    /// Its name: the thumbprint of the public key (RFC 7638).
    pub kid: String,
    /// Its JWS algorithm by name (RFC 7518); a newer version may have more of them.
    pub algorithm: String,
    /// The private key in DER, sealed with the secret of the service.
    pub sealed_private_key: Vec<u8>,
    /// The public key as a JWK (RFC 7517).
    pub public_jwk: String,
    /// Time of creation and publication.
    pub created_at: UtcTime,
    /// Time from which it signs.
    pub signs_from: UtcTime,
}
