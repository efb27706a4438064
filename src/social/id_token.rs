//! Verification of id tokens (OpenID Connect Core section 3.1.3.7, RFC 8725).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;

use super::email_claims::EmailClaims;
use super::key_set::{KeySet, ProviderKey};
use super::settings::TENANT;
use super::{IdTokenError, IssuerName};
use crate::domain::{IdentityKey, UtcTime};

const MAX_LENGTH: usize = 16 * 1024;
/// Tolerated difference between the clocks of provider and service, in seconds.
const LEEWAY: i64 = 60;

/// Values that an id token must have.
pub(super) struct Expected<'a> {
    pub issuer: &'a IssuerName,
    /// The client ids that it may be for.
    pub audiences: &'a [String],
    /// The nonces that it may have.
    pub nonces: &'a [&'a str],
    pub now: UtcTime,
}

/// A verified id token.
pub(super) struct VerifiedIdToken {
    pub key: IdentityKey,
    pub email: EmailClaims,
    /// The end of its life, with the leeway.
    pub accepted_until: UtcTime,
}

/// The header. `jwk`, `jku`, `x5c` and `x5u` are ignored: keys come from the provider's key set
/// only.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<Value>,
}

/// Claims. No claim that is used may occur twice: serde refuses that for structs.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    tid: Option<String>,
    name: Option<String>,
    email: Option<String>,
    email_verified: Option<Value>,
    hd: Option<String>,
    xms_edov: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

/// A token that is parsed but not verified yet.
pub(super) struct IdToken<'a> {
    message: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
    claims: Claims,
}

impl<'a> IdToken<'a> {
    /// Parses a token and checks its header.
    pub(super) fn parse(token: &'a str) -> Result<Self, IdTokenError> {
        let parts = token.rsplit_once('.').filter(|_| token.len() <= MAX_LENGTH);
        let (message, signature) = parts.ok_or(IdTokenError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(IdTokenError::Malformed)?;
        let header: Header = decode_part(header)?;
        let algorithm = match header.alg.as_str() {
            "RS256" => Algorithm::RS256,
            "ES256" => Algorithm::ES256,
            "EdDSA" | "Ed25519" => Algorithm::EdDSA,
            _ => return Err(IdTokenError::Algorithm),
        };
        // An access token or a log-out token is not an id token (RFC 8725 section 3.11).
        let is_jwt = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
        if header.crit.is_some() || !is_jwt {
            return Err(IdTokenError::Header);
        }
        let claims = decode_part(claims)?;
        Ok(Self { message, signature, algorithm, kid: header.kid, claims })
    }

    /// Returns whether a key of the set may have signed the token.
    pub(super) fn is_known(&self, keys: &KeySet) -> bool {
        !keys.find(self.kid.as_deref(), self.algorithm).is_empty()
    }

    /// Verifies signature and claims.
    pub(super) fn verify(
        self,
        keys: &KeySet,
        expected: &Expected<'_>,
    ) -> Result<VerifiedIdToken, IdTokenError> {
        let candidates = keys.find(self.kid.as_deref(), self.algorithm);
        if candidates.is_empty() {
            return Err(IdTokenError::UnknownKey);
        }
        let signer = candidates.into_iter().find(|key| self.is_signed_by(key));
        let signer = signer.ok_or(IdTokenError::Signature)?;
        let claims = self.claims;
        let issuer = check_issuer(&claims, signer, expected.issuer)?;
        check_audience(&claims, expected.audiences)?;
        check_times(&claims, expected.now)?;
        if !claims.nonce.as_deref().is_some_and(|nonce| expected.nonces.contains(&nonce)) {
            return Err(IdTokenError::Nonce);
        }
        let key = IdentityKey::new(issuer, &claims.sub).ok_or(IdTokenError::Subject)?;
        let email = EmailClaims {
            name: claims.name,
            email: claims.email,
            email_verified: claims.email_verified,
            hosted_domain: claims.hd,
            domain_owner_verified: claims.xms_edov,
        };
        let accepted_until = UtcTime::from_seconds(claims.exp.saturating_add(LEEWAY));
        Ok(VerifiedIdToken { key, email, accepted_until })
    }

    fn is_signed_by(&self, key: &ProviderKey) -> bool {
        let message = self.message.as_bytes();
        jsonwebtoken::crypto::verify(self.signature, message, &key.decoding, self.algorithm)
            .unwrap_or(false)
    }
}

/// Returns the issuer of the identity.
fn check_issuer<'a>(
    claims: &'a Claims,
    signer: &ProviderKey,
    expected: &'a IssuerName,
) -> Result<&'a str, IdTokenError> {
    let canonical = expected.canonical(&claims.iss);
    let of_tenant = |template: &str| {
        let tenant = claims.tid.as_deref().filter(|tid| uuid::Uuid::parse_str(tid).is_ok());
        tenant.map(|tenant| template.replace(TENANT, tenant))
    };
    let is_issuer = match expected {
        IssuerName::Fixed(issuer) | IssuerName::Aliased { issuer, .. } => canonical == issuer,
        IssuerName::Tenants { template, .. } => of_tenant(template).as_ref() == Some(&claims.iss),
    };
    let may_sign = match signer.issuer.as_deref() {
        Some(template) if template.contains(TENANT) => {
            of_tenant(template) == Some(claims.iss.clone())
        }
        Some(issuer) => issuer == claims.iss,
        None => true,
    };
    if is_issuer && may_sign { Ok(canonical) } else { Err(IdTokenError::Issuer) }
}

fn check_audience(claims: &Claims, accepted: &[String]) -> Result<(), IdTokenError> {
    let audiences = claims.aud.all();
    if audiences.is_empty() || !audiences.iter().all(|it| accepted.contains(it)) {
        return Err(IdTokenError::Audience);
    }
    match &claims.azp {
        None if audiences.len() > 1 => Err(IdTokenError::AuthorizedParty),
        Some(party) if !accepted.contains(party) => Err(IdTokenError::AuthorizedParty),
        _ => Ok(()),
    }
}

fn check_times(claims: &Claims, now: UtcTime) -> Result<(), IdTokenError> {
    let now = now.seconds();
    if now >= claims.exp.saturating_add(LEEWAY) || claims.exp <= claims.iat {
        return Err(IdTokenError::Expired);
    }
    if claims.iat.max(claims.nbf.unwrap_or(claims.iat)) > now.saturating_add(LEEWAY) {
        return Err(IdTokenError::NotYetValid);
    }
    Ok(())
}

/// Decodes a part that is a JSON object; serde would fill a struct from an array as well.
fn decode_part<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, IdTokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenError::Malformed)?;
    if json.first() != Some(&b'{') {
        return Err(IdTokenError::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| IdTokenError::Malformed)
}
