//! Settings of access tokens, and the claims that they determine.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::MAX_LENGTH;
use super::claims::{Audience, Claims};
use crate::domain::claim_mapping::{ClaimMapping, custom_claims};
use crate::domain::{Email, TokenId, User, Username, UtcTime};

/// Longest header and signature, in characters: RS256 has the longest signature.
const AROUND_CLAIMS: usize = 128 + 342 + 2;
/// Greatest length of the claims, in bytes of JSON, of which base64 makes four thirds.
const MAX_CLAIMS: usize = (MAX_LENGTH - AROUND_CLAIMS) / 4 * 3;
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

    /// Returns whether the account `before` may become `after`; a new account has no `before`. The
    /// access tokens of `after` have to stay within the permitted length whatever user name and
    /// e-mail address it gets later. Where they did not before, for example since the issuer is
    /// longer, they may become no longer, or get a name and an address with which they fit.
    pub fn has_room(&self, before: Option<&User>, after: &User, now: UtcTime) -> bool {
        let with_reserve = |user: &User| self.length(user, now).saturating_add(reserve(user));
        let (length, reserved) = (self.length(after, now), with_reserve(after));
        reserved <= MAX_CLAIMS
            || before.is_some_and(|before| {
                length <= self.length(before, now)
                    || (length <= MAX_CLAIMS && reserved <= with_reserve(before))
            })
    }

    /// Returns the room for user name, e-mail address and roles in access tokens, in bytes of JSON;
    /// `None` if there are claims from the metadata, which take room too.
    pub(super) fn room_for_names(&self) -> Option<i64> {
        if !self.custom_claims.is_empty() {
            return None;
        }
        let around = Claims {
            iss: self.issuer.clone(),
            aud: Audience::of(self.audiences()),
            sub: i64::MAX.to_string(),
            client_id: self.client_id.clone(),
            iat: i64::MAX,
            nbf: 0,
            exp: i64::MAX,
            jti: TokenId::new(UtcTime::from_micros(0)).0,
            sid: String::new(),
            user_id: i64::MAX,
            username: String::new(),
            email: String::new(),
            email_verified: false,
            is_staff: false,
            roles: vec![String::new()],
            scope: " ".to_owned(),
            amr: Vec::new(),
            auth_time: i64::MAX,
            rights: i64::MAX,
            custom: Map::new(),
        };
        let around = json_length(&around).saturating_add(OF_SESSION);
        i64::try_from(MAX_CLAIMS.saturating_sub(around)).ok()
    }

    /// Returns the length of the claims of an access token of `user`, in bytes of JSON. Its rights
    /// may change, and its address may be verified or not.
    fn length(&self, user: &User, now: UtcTime) -> usize {
        let claims = Claims {
            email_verified: false,
            is_staff: false,
            rights: i64::MAX,
            ..self.claims_of(user, now)
        };
        json_length(&claims).saturating_add(OF_SESSION)
    }

    /// Returns the claims that only staff and services can change.
    pub fn claims_of_staff(&self, user: &User) -> Map<String, Value> {
        let of_staff = self.custom_claims.iter().filter(|it| !it.is_of_user());
        custom_claims(of_staff, user)
    }
}

/// Returns by how many bytes of JSON the user name and the e-mail address can become longer.
fn reserve(user: &User) -> usize {
    let rest =
        |text: &str, longest: usize| (longest + "\"\"".len()).saturating_sub(json_length(&text));
    rest(user.username.as_str(), Username::MAX_BYTES) + rest(user.email_text(), Email::MAX_LENGTH)
}

/// Returns the length of the JSON of `value` in bytes.
fn json_length(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
