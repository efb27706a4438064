//! The client secret of Sign in with Apple: a JWT that the client signs ("Creating a client
//! secret").

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::{AppleKey, ProviderError};
use crate::domain::UtcTime;

/// The life of a secret, which is made for each request. Apple allows six months.
const LIFETIME: Duration = Duration::from_mins(5);

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
    exp: i64,
    aud: &'a str,
    sub: &'a str,
}

impl AppleKey {
    /// Returns a client secret for `client_id` at `issuer`.
    pub(super) fn client_secret(
        &self,
        client_id: &str,
        issuer: &str,
        now: UtcTime,
    ) -> Result<String, ProviderError> {
        let key = self.signing_key().map_err(ProviderError::Key)?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        let claims = Claims {
            iss: &self.team_id,
            iat: now.seconds(),
            exp: now.after(LIFETIME).seconds(),
            aud: issuer,
            sub: client_id,
        };
        jsonwebtoken::encode(&header, &claims, &key).map_err(ProviderError::Key)
    }

    /// Returns whether the private key is one that can sign.
    pub fn is_usable(&self) -> bool {
        let now = UtcTime::from_seconds(0);
        self.client_secret("", "", now).is_ok()
    }

    fn signing_key(&self) -> jsonwebtoken::errors::Result<EncodingKey> {
        EncodingKey::from_ec_pem(self.private_key.expose())
    }
}
