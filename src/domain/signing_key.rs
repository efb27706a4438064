//! Signing keys at rest.

use super::UtcTime;

/// A key pair as the database holds it: the private key is sealed under the service's secret.
#[derive(Clone)]
pub struct SealedKey {
    /// Its name: the thumbprint of the public key (RFC 7638).
    pub kid: String,
    /// Its JWS algorithm (RFC 7518) by name; a newer version may know more of them.
    pub algorithm: String,
    /// The private key under the sealing key.
    pub sealed_private_key: Vec<u8>,
    /// The public key as a JWK (RFC 7517).
    pub public_jwk: String,
    /// Time of creation and publication.
    pub created_at: UtcTime,
    /// Time from which it signs.
    pub signs_from: UtcTime,
}
