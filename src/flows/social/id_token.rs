//! Log-in of a native app with the id token of a provider.

use super::log_in::{IdentityLogIn, OneTimeUse};
use crate::domain::secrets::FirstTokens;
use crate::domain::{
    Amr, Challenge, ChallengeKind, Counted, Counter, Email, Locale, PlainToken, Transport,
};
use crate::flows::{Error, Flows, LogInOrVerification, LoginContext, Result};
use crate::social::ProviderErrorKind;

/// An id token of a provider.
#[derive(Debug)]
pub struct IdTokenRequest {
    /// The name of the provider.
    pub provider: String,
    /// The id token.
    pub id_token: PlainToken,
    /// The nonce that the app gave to the provider.
    pub nonce: String,
    /// The e-mail address that the user typed, for a provider that gives none.
    pub email: Option<Email>,
    /// The language of mail of a new account.
    pub locale: Locale,
    /// The client.
    pub client: LoginContext,
}

impl Flows {
    /// Logs in with an id token, once.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: no app is configured for this provider.
    /// - [`Error::OneTimeTokenInvalid`]: the id token is not valid, or was used before.
    pub fn log_in_with_id_token(&self, request: IdTokenRequest) -> Result<LogInOrVerification> {
        let network = &request.client.device.network;
        let attempts = vec![Counter::new(Counted::AttemptsOfNetwork, network)];
        let outcome = self.count(attempts, || self.check_id_token(request));
        self.count_log_in(&outcome, |_| "succeeded");
        outcome
    }

    fn check_id_token(&self, request: IdTokenRequest) -> Result<LogInOrVerification> {
        let provider = self.social.provider(&request.provider)?;
        if !provider.accepts_id_tokens() {
            return Err(Error::NotFound);
        }
        let now = self.now();
        let verified = provider.verify_id_token(request.id_token.expose(), &request.nonce, now);
        let (identity, expires_at) = verified.map_err(|error| match error.kind() {
            ProviderErrorKind::Unavailable => Error::from(error),
            ProviderErrorKind::Refused => {
                tracing::info!(target: crate::telemetry::REFUSALS, %error, "an id token was refused");
                Error::OneTimeTokenInvalid
            }
        })?;
        // What is signed: of one signature there can be two (ECDSA), which would pass for two
        // tokens.
        let signed = request.id_token.expose().rsplit_once('.').map_or("", |(signed, _)| signed);
        let challenge = Challenge {
            holder_hash: Some(PlainToken::presented(signed).hash()),
            expires_at,
            ..Challenge::new(ChallengeKind::SocialLogin, None, now)
        };
        let log_in = IdentityLogIn {
            one_time_use: OneTimeUse::IdToken(challenge),
            provider: provider.id().to_owned(),
            provider_name: provider.display_name().to_owned(),
            typed_email: request.email,
            locale: request.locale,
            registration_token: PlainToken::random(PlainToken::REGISTRATION_PREFIX),
            sign_in: self.sign_in(
                Amr::federated(),
                request.client,
                Transport::Body,
                FirstTokens::random(),
                now,
            ),
        };
        self.log_in_with_identity(log_in, identity)
    }
}
