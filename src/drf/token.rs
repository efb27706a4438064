//! Tokens of the Django REST adapter: HS256 JWTs (RFC 7515, RFC 7519) as `djangorestframework-jwt`
//! issues and accepts them, so that both can run on one shared secret. Where that library accepts
//! what RFC 8725 warns of, or fails, the token is refused.

mod python_json;

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Number, Value, json};

use crate::domain::{User, UserId, UtcTime};
use crate::security::token_times::LEEWAY;

/// Lifetimes of these tokens. They must be those of the Django site.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Lifetime of a token: `JWT_EXPIRATION_DELTA`.
    pub token: Duration,
    /// Time from the log-in until the last refresh: `JWT_REFRESH_EXPIRATION_DELTA`.
    pub refresh: Duration,
}

impl Default for Lifetimes {
    /// Returns the lifetimes of the reference.
    fn default() -> Self {
        Self { token: Duration::from_mins(5), refresh: Duration::from_hours(7 * 24) }
    }
}

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;
const MAX_LENGTH: usize = 4096;

/// Reasons to refuse a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The token is malformed, or signed with another key.
    Undecodable,
    /// The token can be decoded, but is not acceptable here.
    Unacceptable,
    /// The token has expired.
    Expired,
}

/// Reasons why a valid token cannot be refreshed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshError {
    /// The token lacks the time of the log-in.
    NoOrigin,
    /// The log-in is too long ago.
    TooOld,
    /// The time of the log-in is not a number of seconds.
    Undecodable,
}

/// Claims of a valid token.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims(Map<String, Value>);

/// The time of the log-in in whole seconds, the claim `orig_iat`. It is copied from token to token
/// unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin(Number);

impl Origin {
    /// Returns the origin of a log-in at `now`.
    pub fn at(now: UtcTime) -> Self {
        Self(now.seconds().into())
    }
}

/// The last generation of accounts whose tokens were not revoked since their import. Their tokens
/// of the replaced stack are valid.
const NEVER: UtcTime = UtcTime::from_micros(0);

/// The claim that holds the token generation of the account. Tokens of the replaced stack have
/// none.
const GENERATION: &str = "gen";

impl Claims {
    /// Returns the user name of the account.
    pub fn username(&self) -> Option<String> {
        match self.0.get("username")? {
            value if is_empty(value) => None,
            Value::String(name) => Some(name.clone()),
            Value::Bool(_) => Some("True".to_owned()),
            // A list or an object becomes a name that no account can have.
            other => Some(other.to_string()),
        }
    }

    /// Returns whether the token names the account of `id`, or no user id.
    fn names(&self, id: UserId) -> bool {
        self.0.get("user_id").is_none_or(|claim| claim.as_i64() == Some(id.0))
    }

    fn has_user_id(&self) -> bool {
        self.0.contains_key("user_id")
    }
}

/// Issues and validates these tokens.
#[derive(Clone)]
pub struct DrfTokens {
    /// The first one signs, all validate.
    keys: Vec<hmac::Key>,
    lifetimes: Lifetimes,
}

impl DrfTokens {
    /// Returns tokens with these secrets, of which the first one signs and all validate.
    pub fn new(secrets: &[&[u8]], lifetimes: Lifetimes) -> Self {
        let key = |secret: &&[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self { keys: secrets.iter().map(key).collect(), lifetimes }
    }

    /// Issues a token for `user`, who logged in at `origin`.
    pub fn issue(&self, user: &User, origin: &Origin, now: UtcTime) -> String {
        let claims = json!({
            "user_id": user.id.0,
            "username": user.username.as_str(),
            "exp": now.after(self.lifetimes.token).seconds(),
            "email": user.email_text(),
            "orig_iat": origin.0,
            GENERATION: user.tokens_from.micros(),
        });
        let message = format!("{}.{}", encode(HEADER), encode(&claims.to_string()));
        let signature = hmac::sign(&self.keys[0], message.as_bytes());
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Validates form, header, signature and claims, in this order.
    pub fn check(&self, token: &str, now: UtcTime) -> Result<Claims, TokenError> {
        let parts = Parts::read(token).ok_or(TokenError::Undecodable)?;
        if parts.header.get("alg") != Some(&json!("HS256")) || parts.header.contains_key("crit") {
            return Err(TokenError::Unacceptable);
        }
        let is_signed_with =
            |key: &hmac::Key| hmac::verify(key, parts.message.as_bytes(), &parts.signature).is_ok();
        if !self.keys.iter().any(is_signed_with) {
            return Err(TokenError::Undecodable);
        }
        check_times(&parts.claims, now)?;
        if parts.claims.contains_key("aud") {
            return Err(TokenError::Unacceptable);
        }
        Ok(Claims(parts.claims))
    }

    /// Returns whether the token belongs to `user`: it has the user id, and the tokens of the
    /// account were not revoked since. Our own tokens contain the generation of the account's
    /// tokens, which needs no clock. Tokens of the replaced stack are accepted after a revocation
    /// if they contain the user id and a second of issue that is later, but not in the future.
    pub fn belongs_to(&self, claims: &Claims, user: &User, now: UtcTime) -> bool {
        let revoked = user.tokens_from;
        let is_current = if let Some(generation) = claims.0.get(GENERATION) {
            generation.as_i64() == Some(revoked.micros())
        } else {
            let issued = issued_at(claims);
            let is_after =
                |it: i64| it > revoked.seconds() && !is_future(it, now) && claims.has_user_id();
            revoked <= NEVER || issued.is_some_and(is_after)
        };
        claims.names(user.id) && is_current
    }

    /// Returns the time of the log-in, if it is recent enough for a refresh.
    pub fn origin(&self, claims: &Claims, now: UtcTime) -> Result<Origin, RefreshError> {
        let claim = claims.0.get("orig_iat").filter(|value| !is_empty(value));
        let claim = claim.ok_or(RefreshError::NoOrigin)?;
        let seconds = whole_seconds(claim).ok_or(RefreshError::Undecodable)?;
        if is_future(seconds, now) {
            return Err(RefreshError::Undecodable);
        }
        if now.seconds() > UtcTime::from_seconds(seconds).after(self.lifetimes.refresh).seconds() {
            return Err(RefreshError::TooOld);
        }
        match claim {
            Value::Number(number) => Ok(Origin(number.clone())),
            _ => Err(RefreshError::Undecodable),
        }
    }
}

/// Returns the second of the log-in, or of the issue if the token lacks it.
fn issued_at(claims: &Claims) -> Option<i64> {
    let seconds = |name| claims.0.get(name).filter(|it| !is_empty(it)).and_then(whole_seconds);
    seconds("orig_iat").or_else(|| seconds("iat"))
}

struct Parts<'token> {
    message: &'token str,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signature: Vec<u8>,
}

impl<'token> Parts<'token> {
    fn read(token: &'token str) -> Option<Self> {
        if token.len() > MAX_LENGTH {
            return None;
        }
        let (message, signature) = token.rsplit_once('.')?;
        let (header, claims) = message.split_once('.')?;
        Some(Self {
            message,
            header: decode(header)?,
            claims: decode(claims)?,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }
}

fn encode(json: &str) -> String {
    URL_SAFE_NO_PAD.encode(json)
}

/// Decodes a part that is a JSON object. The base64 is strict, so that a token has one spelling
/// only.
fn decode(part: &str) -> Option<Map<String, Value>> {
    python_json::object(str::from_utf8(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?)
}

fn check_times(claims: &Map<String, Value>, now: UtcTime) -> Result<(), TokenError> {
    if let Some(claim) = claims.get("iat") {
        let issued = seconds_or_text(claim).ok_or(TokenError::Unacceptable)?;
        if is_future(issued, now) {
            return Err(TokenError::Unacceptable);
        }
    }
    if let Some(claim) = claims.get("nbf") {
        let unread =
            if claim.is_string() { TokenError::Undecodable } else { TokenError::Unacceptable };
        if seconds_or_text(claim).ok_or(unread)? > now.seconds() {
            return Err(TokenError::Unacceptable);
        }
    }
    match claims.get("exp") {
        Some(Value::String(_)) => Err(TokenError::Undecodable),
        Some(claim) => match whole_seconds(claim) {
            None => Err(TokenError::Unacceptable),
            Some(end) if end < now.seconds() => Err(TokenError::Expired),
            Some(_) => Ok(()),
        },
        None => Err(TokenError::Unacceptable),
    }
}

fn is_future(seconds: i64, now: UtcTime) -> bool {
    seconds > now.after(LEEWAY).seconds()
}

/// Returns whether the value is false in Python.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

/// Returns `int()` of Python for a value that is not a text: fractions are cut off, true is one.
fn whole_seconds(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Number(number) => number.as_i64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as it should")]
            number.as_f64().map(|seconds| seconds as i64)
        }),
        _ => None,
    }
}

fn seconds_or_text(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.trim().parse().ok(),
        other => whole_seconds(other),
    }
}

#[cfg(test)]
mod tests;
