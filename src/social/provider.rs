//! A provider: the requests of the authorization code flow, and the responses.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use super::cached::Cached;
use super::discovery::{METADATA, Metadata};
use super::email_claims::EmailClaims;
use super::id_token::{Expected, IdToken, VerifiedIdToken};
use super::key_set::{KEY_SET, KeySet};
use super::profile::{PROFILE, Profile, ProfileReader};
use super::request::{AuthorizationRequest, CodeResponse};
use super::token_endpoint::TokenEndpoint;
use super::{IdTokenError, ProfileFormat, ProviderError, ProviderSettings, SocialSettings};
use crate::domain::{Identity, IdentityKey, UtcTime};
use crate::outgoing::{CallGuard, CallLimit, Client, Reply, Targets};

/// The longest body that is read.
const MAX_BODY: u64 = 256 * 1024;
/// Calls to one provider at once.
const MAX_CALLS: usize = 16;
/// Repeated requests at once that wait for the call of the first one.
const MAX_REPETITIONS: usize = 16;

type Result<T> = std::result::Result<T, ProviderError>;

/// The configured providers.
pub struct Providers(Vec<Provider>);

impl Providers {
    /// Returns the providers. Makes no calls.
    pub fn new(settings: &SocialSettings) -> Self {
        Self(settings.providers.iter().map(|it| Provider::new(it.clone(), settings)).collect())
    }

    /// Returns the provider of that name.
    pub fn find(&self, id: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.id() == id)
    }

    /// Returns whether identities of `issuer` come from one of these. The name of the provider that
    /// an identity was linked at does not count: it may mean another issuer today.
    pub fn have_identities_of(&self, issuer: &str) -> bool {
        self.0.iter().any(|provider| provider.settings.issuer.has_identities_of(issuer))
    }

    /// Returns all providers in the order of the settings.
    pub fn list(&self) -> &[Provider] {
        &self.0
    }
}

/// A provider with its cached metadata and keys, and the calls in progress.
pub struct Provider {
    settings: ProviderSettings,
    client: Client,
    targets: Targets,
    metadata: Cached<Metadata>,
    keys: Cached<KeySet>,
    calls: CallLimit,
    repetitions: CallLimit,
}

/// The endpoints of a flow.
struct Endpoints {
    authorization: String,
    token: String,
    profile: Option<String>,
    uses_basic: bool,
    takes_s256: bool,
}

impl Provider {
    /// Returns a provider. Makes no calls.
    pub fn new(settings: ProviderSettings, social: &SocialSettings) -> Self {
        let targets = if social.allow_private { Targets::Any } else { Targets::Public };
        Self {
            settings,
            client: Client::new(targets, social.timeout, MAX_BODY),
            targets,
            metadata: Cached::new(METADATA),
            keys: Cached::new(KEY_SET),
            calls: CallLimit::new(MAX_CALLS),
            repetitions: CallLimit::new(MAX_REPETITIONS),
        }
    }

    /// Returns the name in paths.
    pub fn id(&self) -> &str {
        &self.settings.id
    }

    /// Returns the name for display.
    pub fn display_name(&self) -> &str {
        &self.settings.display_name
    }

    /// Returns whether the provider issues id tokens.
    pub fn is_openid(&self) -> bool {
        self.settings.is_openid()
    }

    /// Returns whether native apps may present id tokens.
    pub fn accepts_id_tokens(&self) -> bool {
        !self.settings.native_client_ids.is_empty()
    }

    /// Returns the URL that the browser is sent to.
    pub fn authorization_url(
        &self,
        request: &AuthorizationRequest<'_>,
        now: UtcTime,
    ) -> Result<String> {
        let _call = self.begin_call()?;
        let endpoints = self.endpoints(now)?;
        let mut url = Url::parse(&endpoints.authorization)
            .map_err(|error| ProviderError::malformed(METADATA, error.to_string()))?;
        {
            let mut query = url.query_pairs_mut();
            query
                .append_pair("response_type", "code")
                .append_pair("client_id", &self.settings.client_id)
                .append_pair("redirect_uri", request.redirect_uri)
                .append_pair("state", request.state);
            if !self.settings.scopes.is_empty() {
                query.append_pair("scope", &self.settings.scopes);
            }
            if self.settings.is_openid() {
                query.append_pair("nonce", request.nonce);
            }
            if endpoints.takes_s256 {
                let challenge = digest(&SHA256, request.code_verifier.as_bytes());
                query
                    .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(challenge))
                    .append_pair("code_challenge_method", "S256");
            }
            if let Some(mode) = self.settings.response_mode {
                query.append_pair("response_mode", mode);
            }
        }
        Ok(url.into())
    }

    /// Checks the `iss` parameter of an authorization response (RFC 9207): a mix-up of two
    /// providers is noticed before the code goes to one of them.
    pub fn check_response_issuer(&self, issuer: Option<&str>, now: UtcTime) -> Result<()> {
        let _call = self.begin_call()?;
        let is_required = self.settings.endpoints.is_none()
            && self.metadata(now)?.authorization_response_iss_parameter_supported;
        let is_right = match issuer {
            Some(issuer) => self.settings.sends_responses_as(issuer),
            None => !is_required,
        };
        if is_right { Ok(()) } else { Err(ProviderError::ResponseIssuer) }
    }

    /// Exchanges a code and returns the identity of the user who gave it. Tokens of the provider
    /// are dropped.
    pub fn redeem(&self, response: &CodeResponse<'_>, now: UtcTime) -> Result<Identity> {
        let _call = self.begin_call()?;
        let endpoints = self.endpoints(now)?;
        let token_endpoint = TokenEndpoint {
            client: &self.client,
            settings: &self.settings,
            url: &endpoints.token,
            uses_basic: endpoints.uses_basic,
            takes_verifier: endpoints.takes_s256,
        };
        let reply = token_endpoint.exchange(response, now)?;
        let access_token = reply.access_token.as_deref();
        if !self.settings.is_openid() {
            let profile = self.profile(&endpoints, access_token)?;
            let key = IdentityKey::new(self.settings.issuer.advertised(), &profile.subject);
            return Ok(self.identity(key.ok_or(ProviderError::Subject)?, &profile.email));
        }
        let id_token = reply.id_token.as_deref().ok_or(IdTokenError::Missing)?;
        let audiences = std::slice::from_ref(&self.settings.client_id);
        let verified = self.verify(id_token, audiences, &[response.request.nonce], now)?;
        let needs_profile = self.settings.profile != ProfileFormat::OpenId
            || verified.email.is_incomplete(&self.settings.email_trust);
        if !needs_profile || endpoints.profile.is_none() {
            return Ok(self.identity(verified.key, &verified.email));
        }
        let profile = match self.profile(&endpoints, access_token) {
            // The scopes do not allow it: the id token has said who the user is.
            Err(ProviderError::Status { status: 401 | 403, .. }) => {
                return Ok(self.identity(verified.key, &verified.email));
            }
            profile => profile?,
        };
        // OpenID Connect Core section 5.3.2.
        if profile.subject != verified.key.subject {
            return Err(ProviderError::Subject);
        }
        let claims = if profile.email.email.is_some() { &profile.email } else { &verified.email };
        Ok(self.identity(verified.key, claims))
    }

    /// Verifies an id token that a native app presents. The nonce is the one that the app gave to
    /// the provider, or to a library that handed the provider its SHA-256, in hexadecimal (common
    /// for Sign in with Apple). Returns the time too from which the token is not accepted any more.
    pub fn verify_id_token(
        &self,
        id_token: &str,
        nonce: &str,
        now: UtcTime,
    ) -> Result<(Identity, UtcTime)> {
        let _call = self.begin_call()?;
        let digest = digest(&SHA256, nonce.as_bytes());
        let hashed =
            digest.as_ref().iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let audiences = &self.settings.native_client_ids;
        let verified = self.verify(id_token, audiences, &[nonce, &hashed], now)?;
        Ok((self.identity(verified.key, &verified.email), verified.accepted_until))
    }

    /// Fetches metadata and keys and returns what an operator should know.
    pub fn diagnose(&self, now: UtcTime) -> Result<Vec<String>> {
        if self.settings.endpoints.is_some() {
            return Ok(Vec::new());
        }
        let metadata = self.metadata(now)?;
        self.keys.get(now, || self.fetch_keys(&metadata))?;
        Ok(metadata.remarks())
    }

    /// Takes a place for a request that waits for the result of the same request.
    ///
    /// # Errors
    /// [`ProviderError::Busy`] if too many wait.
    pub fn begin_repetition(&self) -> Result<CallGuard<'_>> {
        self.repetitions.begin().ok_or(ProviderError::Busy)
    }

    fn begin_call(&self) -> Result<CallGuard<'_>> {
        self.calls.begin().ok_or(ProviderError::Busy)
    }

    fn identity(&self, key: IdentityKey, claims: &EmailClaims) -> Identity {
        let email = claims.address();
        let email_verified =
            email.as_ref().is_some_and(|it| claims.is_trusted(it, &self.settings.email_trust));
        Identity { key, email, email_verified, name: claims.name.clone() }
    }

    fn verify(
        &self,
        id_token: &str,
        audiences: &[String],
        nonces: &[&str],
        now: UtcTime,
    ) -> Result<VerifiedIdToken> {
        let token = IdToken::parse(id_token)?;
        let metadata = self.metadata(now)?;
        let mut keys = self.keys.get(now, || self.fetch_keys(&metadata))?;
        if !token.is_known(&keys)
            && let Some(newer) = self.keys.refresh(now, || self.fetch_keys(&metadata))
        {
            keys = newer;
        }
        let expected = Expected { issuer: &self.settings.issuer, audiences, nonces, now };
        Ok(token.verify(&keys, &expected)?)
    }

    fn profile(&self, endpoints: &Endpoints, access_token: Option<&str>) -> Result<Profile> {
        let missing = |what: &str| ProviderError::malformed(PROFILE, format!("no {what}"));
        let reader = ProfileReader {
            client: &self.client,
            url: endpoints.profile.as_deref().ok_or_else(|| missing("endpoint"))?,
            access_token: access_token.ok_or_else(|| missing("access token"))?,
            client_secret: &self.settings.client_secret,
        };
        reader.read(self.settings.profile)
    }

    fn endpoints(&self, now: UtcTime) -> Result<Endpoints> {
        let profile = self.settings.profile_url.clone();
        if let Some(fixed) = &self.settings.endpoints {
            return Ok(Endpoints {
                authorization: fixed.authorization.clone(),
                token: fixed.token.clone(),
                profile,
                uses_basic: false,
                takes_s256: true,
            });
        }
        let metadata = self.metadata(now)?;
        Ok(Endpoints {
            authorization: metadata.authorization_endpoint.clone(),
            token: metadata.token_endpoint.clone(),
            profile: profile.or_else(|| metadata.userinfo_endpoint.clone()),
            uses_basic: metadata.uses_basic(),
            takes_s256: metadata.takes_s256(),
        })
    }

    fn metadata(&self, now: UtcTime) -> Result<Arc<Metadata>> {
        let issuer = &self.settings.issuer;
        self.metadata.get(now, || {
            let body = self.get(METADATA, &Metadata::url(issuer))?;
            Metadata::read(&body, issuer, self.targets)
        })
    }

    fn fetch_keys(&self, metadata: &Metadata) -> Result<KeySet> {
        KeySet::read(&self.get(KEY_SET, &metadata.jwks_uri)?)
    }

    fn get(&self, endpoint: &'static str, url: &str) -> Result<Vec<u8>> {
        let reply = self.client.get(url, &[("Accept", "application/json")]);
        match reply.map_err(|source| ProviderError::Call { endpoint, source })? {
            Reply { status: 200, body } => Ok(body),
            Reply { status, .. } => Err(ProviderError::Status { endpoint, status }),
        }
    }
}
