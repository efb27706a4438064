//! Settings of access tokens, and the claims that they determine.

use std::time::Duration;

use serde_json::{Map, Value};

use super::MAX_LENGTH;
use super::claims::{Audience, Claims};
use crate::domain::claim_mapping::{ClaimMapping, custom_claims};
use crate::domain::{TokenId, User, UtcTime};

/// Longest header and signature, in characters: RS256 has the longest signature.
const AROUND_CLAIMS: usize = 128 + 342 + 2;
/// Reserve for longer names and addresses, in bytes of JSON.
const SPARE: usize = 256;
/// Length of a session id, and of another authentication method.
const OF_SESSION: usize = 64;

/// The settings of access tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The issuer.
    pub issuer: String,
    /// The audiences; the issuer if empty.
    pub audience: Vec<String>,
    /// The client that tokens are issued to.
    pub client_id: String,
    /// Lifetime of an access token.
    pub lifetime: Duration,
    /// Claims from the metadata of accounts.
    pub custom_claims: Vec<ClaimMapping>,
}

impl TokenSettings {
    /// Returns settings whose audience is the issuer.
    pub fn new(issuer: &str, client_id: &str, lifetime: Duration) -> Self {
        Self {
            issuer: issuer.to_owned(),
            audience: Vec::new(),
            client_id: client_id.to_owned(),
            lifetime,
            custom_claims: Vec::new(),
        }
    }

    /// Returns the audiences of tokens.
    pub fn audiences(&self) -> &[String] {
        if self.audience.is_empty() { std::slice::from_ref(&self.issuer) } else { &self.audience }
    }

    /// Returns whether a token is for an audience of this service. The issuer counts as well: it is
    /// the audience of tokens that were issued before the setting was changed.
    pub(super) fn is_for_us(&self, audience: &Audience) -> bool {
        audience.names().iter().any(|name| *name == self.issuer || self.audience.contains(name))
    }

    /// Returns the claims of an access token of `user`, issued at `now`, without those of the
    /// session.
    pub fn claims_of(&self, user: &User, now: UtcTime) -> Claims {
        Claims {
            iss: self.issuer.clone(),
            aud: Audience::of(self.audiences()),
            sub: user.id.to_string(),
            client_id: self.client_id.clone(),
            iat: now.seconds(),
            nbf: 0,
            exp: now.after(self.lifetime).seconds(),
            jti: TokenId::new(now).0,
            sid: String::new(),
            user_id: user.id.0,
            username: user.username.as_str().to_owned(),
            email: user.email_text().to_owned(),
            email_verified: user.email_verified,
            is_staff: user.is_staff,
            roles: user.roles.names().to_vec(),
            scope: user.roles.to_text(),
            amr: Vec::new(),
            auth_time: now.seconds(),
            rights: user.rights_changed_at.micros(),
            custom: custom_claims(&self.custom_claims, user),
        }
    }

    /// Returns whether a token can be longer than permitted. Names and roles are bounded where they
    /// are set; claims from the metadata also come from a setting that is newer than the metadata.
    pub fn may_outgrow(&self) -> bool {
        !self.custom_claims.is_empty()
    }

    /// Returns whether access tokens of `user` stay within the permitted length, with a reserve for
    /// longer names.
    pub fn fits(&self, user: &User, now: UtcTime) -> bool {
        let claims =
            serde_json::to_vec(&self.claims_of(user, now)).map_or(usize::MAX, |it| it.len());
        let json = claims.saturating_add(OF_SESSION + SPARE);
        json.saturating_mul(4) / 3 + AROUND_CLAIMS <= MAX_LENGTH
    }

    /// Returns the claims that only staff and services can change.
    pub fn claims_of_staff(&self, user: &User) -> Map<String, Value> {
        let of_staff = self.custom_claims.iter().filter(|it| !it.is_of_user());
        custom_claims(of_staff, user)
    }

    /// Returns whether users can change some of the claims.
    pub fn has_claims_of_users(&self) -> bool {
        self.custom_claims.iter().any(ClaimMapping::is_of_user)
    }
}
