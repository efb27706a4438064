//! Checks Hallpass's access tokens locally: signature and claims with the public keys (JWKS),
//! log-outs with the revocation list. `docs/checking-tokens.md` gives the reasons.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use reqwest::header::{ETAG, HeaderValue, IF_NONE_MATCH};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;

/// The only accepted algorithm: that of `HALLPASS_JWT_ALGORITHM`.
const ALGORITHM: Algorithm = Algorithm::ES256;
const LEEWAY: u64 = 5;
const KEYS_MAX_AGE: Duration = Duration::from_mins(10);
const COOLDOWN: Duration = Duration::from_secs(10);
const COOLDOWN_AFTER_FAILURE: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// Claims that services use. All are required, with the right JSON type.
#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "listing iss, aud, jti and others makes them required")]
pub struct Claims {
    pub iss: String,
    pub aud: Audience,
    pub sub: String,
    pub iat: u64,
    pub exp: u64,
    pub jti: String,
    pub sid: String,
    pub user_id: i64,
    pub username: String,
}

/// One audience, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "the library compares the audience")]
pub enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Reasons for the refusal of a token.
#[derive(Debug)]
pub enum Refusal {
    /// An invalid token: 401. The code is one of Hallpass's.
    Refused(&'static str),
    /// Keys or revocation list are out of date, so validity is unknown: 503.
    Unavailable,
}

/// Validates tokens with keys and a revocation list that are kept up to date.
pub struct Verifier {
    issuer: String,
    audience: String,
    http: Client,
    max_staleness: Duration,
    keys: ArcSwapOption<Keys>,
    next_fetch: Mutex<Option<Instant>>,
    revocations: ArcSwap<Revocations>,
}

struct Keys {
    by_kid: HashMap<String, DecodingKey>,
    fetched: Instant,
}

/// A snapshot of the revocation list.
#[derive(Default)]
struct Revocations {
    ended: Arc<Ended>,
    etag: Option<HeaderValue>,
    as_of: Option<Instant>,
}

/// Sessions and users revoked within the lifetime of an access token.
#[derive(Default)]
struct Ended {
    sessions: HashSet<String>,
    users: HashMap<i64, u64>,
}

#[derive(Deserialize)]
struct Listed {
    sessions: Vec<EndedSession>,
    users: Vec<EndedUser>,
}

#[derive(Deserialize)]
struct EndedSession {
    session_id: String,
}

#[derive(Deserialize)]
struct EndedUser {
    user_id: i64,
    revoked_at: u64,
}

impl Verifier {
    /// Starts to poll the revocation list every second, until the last `Arc` is dropped. `issuer` is
    /// `HALLPASS_PUBLIC_URL`; `audience` is one of `HALLPASS_AUDIENCE`, or `None` for the issuer where
    /// that is not set; `max_staleness` is the maximum age of the list.
    pub fn start(
        issuer: &str,
        audience: Option<&str>,
        max_staleness: Duration,
    ) -> reqwest::Result<Arc<Self>> {
        let verifier = Arc::new(Self {
            issuer: issuer.to_owned(),
            audience: audience.unwrap_or(issuer).to_owned(),
            http: Client::builder().timeout(TIMEOUT).build()?,
            max_staleness,
            keys: ArcSwapOption::default(),
            next_fetch: Mutex::default(),
            revocations: ArcSwap::default(),
        });
        tokio::spawn(poll_for_ever(Arc::downgrade(&verifier)));
        Ok(verifier)
    }

    /// Returns the claims of a valid token.
    pub async fn verify(&self, token: &str) -> Result<Claims, Refusal> {
        let claims = self.signed(token).await?;
        self.check_revocations(&claims)?;
        Ok(claims)
    }

    async fn signed(&self, token: &str) -> Result<Claims, Refusal> {
        let invalid = Refusal::Refused("token_invalid");
        let Ok(header) = decode_header(token) else { return Err(invalid) };
        let (Some("at+jwt"), Some(kid)) = (header.typ.as_deref(), header.kid) else {
            return Err(invalid);
        };
        let keys = self.keys_with(&kid).await?;
        let Some(key) = keys.by_kid.get(&kid) else { return Err(invalid) };
        let mut validation = Validation::new(ALGORITHM);
        validation.leeway = LEEWAY;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        let claims = decode::<Claims>(token, key, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => Refusal::Refused("token_expired"),
                _ => Refusal::Refused("token_invalid"),
            })?
            .claims;
        // The library does not check it.
        if claims.iat > jsonwebtoken::get_current_timestamp() + LEEWAY {
            return Err(invalid);
        }
        Ok(claims)
    }

    /// The public keys: fetched when first needed, again after ten minutes, and for an unknown
    /// `kid`, but then not more often than the cooldown allows.
    async fn keys_with(&self, kid: &str) -> Result<Arc<Keys>, Refusal> {
        if self.known_keys().is_none_or(|keys| !keys.by_kid.contains_key(kid)) {
            let mut next_fetch = self.next_fetch.lock().await;
            let known = self.known_keys().is_some_and(|keys| keys.by_kid.contains_key(kid));
            if !known && next_fetch.is_none_or(|at| at <= Instant::now()) {
                let asked = Instant::now();
                // After a failure, the existing keys are used until they are too old.
                let cooldown = match self.fetch_keys(asked).await {
                    Ok(()) => COOLDOWN,
                    Err(_) => COOLDOWN_AFTER_FAILURE,
                };
                *next_fetch = Some(asked + cooldown);
            }
        }
        self.known_keys().ok_or(Refusal::Unavailable)
    }

    fn known_keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full().filter(|keys| keys.fetched.elapsed() <= KEYS_MAX_AGE)
    }

    async fn fetch_keys(&self, fetched: Instant) -> reqwest::Result<()> {
        let url = format!("{}/.well-known/jwks.json", self.issuer);
        let set: JwkSet = self.http.get(url).send().await?.error_for_status()?.json().await?;
        let usable = set
            .keys
            .iter()
            .filter_map(|jwk| Some((jwk.common.key_id.clone()?, DecodingKey::from_jwk(jwk).ok()?)));
        let keys = Keys { by_kid: usable.collect(), fetched };
        self.keys.store(Some(Arc::new(keys)));
        Ok(())
    }

    fn check_revocations(&self, claims: &Claims) -> Result<(), Refusal> {
        let revocations = self.revocations.load();
        let Ended { sessions, users } = &*revocations.ended;
        let user_ended = users.get(&claims.user_id).is_some_and(|at| claims.iat <= *at);
        if user_ended || sessions.contains(&claims.sid) {
            return Err(Refusal::Refused("token_revoked"));
        }
        match revocations.as_of {
            Some(as_of) if as_of.elapsed() <= self.max_staleness => Ok(()),
            _ => Err(Refusal::Unavailable),
        }
    }

    async fn poll(&self) -> reqwest::Result<()> {
        // Time of the request: later revocations may be missing from the response.
        let as_of = Some(Instant::now());
        let known = self.revocations.load_full();
        let mut request = self.http.get(format!("{}/v1/revocations", self.issuer));
        if let Some(etag) = &known.etag {
            request = request.header(IF_NONE_MATCH, etag);
        }
        let answer = request.send().await?.error_for_status()?;
        let (ended, etag) = if answer.status() == StatusCode::NOT_MODIFIED {
            (Arc::clone(&known.ended), known.etag.clone())
        } else {
            let etag = answer.headers().get(ETAG).cloned();
            (Arc::new(answer.json::<Listed>().await?.into()), etag)
        };
        self.revocations.store(Arc::new(Revocations { ended, etag, as_of }));
        Ok(())
    }
}

impl From<Listed> for Ended {
    fn from(listed: Listed) -> Self {
        Self {
            sessions: listed.sessions.into_iter().map(|it| it.session_id).collect(),
            users: listed.users.into_iter().map(|it| (it.user_id, it.revoked_at)).collect(),
        }
    }
}

async fn poll_for_ever(verifier: Weak<Verifier>) {
    while let Some(verifier) = verifier.upgrade() {
        // The next poll may succeed. Each check compares the age of the list with its limit.
        let _ = verifier.poll().await;
        drop(verifier);
        tokio::time::sleep(POLL_EVERY).await;
    }
}
