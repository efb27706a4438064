//! The secrets of one authorization code flow.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::{Challenge, IdentityKey, PlainToken, TokenHash, Transport};

/// The token that the browser keeps from the start of a log-in at a provider to its end. `state`,
/// `nonce` and the PKCE verifier are derived from it, and the database holds only hashes. A code is
/// useless without the browser that started the flow (log-in CSRF, code injection).
#[derive(Clone, Debug)]
pub struct FlowToken(PlainToken);

impl FlowToken {
    /// The first characters of a flow token, for secret scanners.
    pub const PREFIX: &'static str = "hps_";
    /// The first characters of a flow token whose session uses cookies.
    const COOKIE_PREFIX: &'static str = "hps_cookie_";

    /// Returns a new token for a flow with this transport of its refresh tokens.
    pub fn random(transport: Transport) -> Self {
        Self(PlainToken::random(match transport {
            Transport::Body => Self::PREFIX,
            Transport::Cookie => Self::COOKIE_PREFIX,
        }))
    }

    /// Returns a token as a client presented it.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(PlainToken::presented(text))
    }

    /// Returns the text, for the one response that hands it out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the transport that the flow was started with. A client cannot change it: the token
    /// would have another hash.
    pub fn transport(&self) -> Transport {
        if self.expose().starts_with(Self::COOKIE_PREFIX) {
            Transport::Cookie
        } else {
            Transport::Body
        }
    }

    /// Returns the hash by which the flow is stored.
    pub fn hash(&self) -> TokenHash {
        self.0.hash()
    }

    /// Returns the `state` of the authorization request. The token cannot be derived from it.
    pub fn state(&self) -> PlainToken {
        PlainToken::presented(self.derive("state"))
    }

    /// Returns the `nonce` of the id token.
    pub fn nonce(&self) -> String {
        self.derive("nonce")
    }

    /// Returns the PKCE code verifier (RFC 7636 section 4.1).
    pub fn code_verifier(&self) -> String {
        self.derive("code verifier")
    }

    /// Returns the token of the registration that the flow may lead to. It is derived, so that a
    /// repeated request gets the same one.
    pub fn registration_token(&self) -> PlainToken {
        let derived = self.derive("registration");
        PlainToken::presented(format!("{}{derived}", PlainToken::REGISTRATION_PREFIX))
    }

    fn derive(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes()))
    }
}

/// The result of a finished flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowOutcome {
    /// A session of the user of the challenge.
    LoggedIn,
    /// A registration that waits for the verification of its e-mail address.
    VerificationSent,
    /// The identity was linked to the account of the challenge.
    Linked,
    /// The identity or its e-mail address belongs to another account.
    IdentityConflict,
    /// The account is disabled.
    AccountDisabled,
    /// The identity has no account, and users may not create one.
    RegistrationClosed,
    /// Any other refusal.
    Refused,
}

impl FlowOutcome {
    const ALL: [Self; 7] = [
        Self::LoggedIn,
        Self::VerificationSent,
        Self::Linked,
        Self::IdentityConflict,
        Self::AccountDisabled,
        Self::RegistrationClosed,
        Self::Refused,
    ];

    /// Returns the name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoggedIn => "logged_in",
            Self::VerificationSent => "verification_sent",
            Self::Linked => "linked",
            Self::IdentityConflict => "identity_conflict",
            Self::AccountDisabled => "account_disabled",
            Self::RegistrationClosed => "registration_closed",
            Self::Refused => "refused",
        }
    }

    /// Parses the stored name. A name of a later version counts as a refusal.
    pub fn from_stored(name: &str) -> Self {
        Self::ALL.into_iter().find(|it| it.name() == name).unwrap_or(Self::Refused)
    }
}

/// A log-in at a provider, from the redirect to the response. Its challenge has the hash of the
/// flow token as holder, that of the `state` as link, and that of the authorization code as code
/// once one was presented. A flow that links an identity has a user from the beginning.
#[derive(Clone, Debug)]
pub struct SocialFlow {
    /// The challenge, of the kind `social_login`.
    pub challenge: Challenge,
    /// The name of the provider.
    pub provider: String,
    /// The page that the browser returns to.
    pub return_to: String,
    /// The result, once there is one.
    pub outcome: Option<FlowOutcome>,
}

impl SocialFlow {
    /// Returns whether the flow links an identity to an account instead of logging in.
    pub fn links(&self) -> bool {
        self.challenge.user_id.is_some() && self.outcome != Some(FlowOutcome::LoggedIn)
    }
}

/// An identity at a provider, linked to an account at once, or when the e-mail address of a
/// registration is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// The name of the provider.
    pub provider: String,
    /// Issuer and subject.
    pub key: IdentityKey,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_a_flow_differ_and_come_back_from_its_token() {
        let token = FlowToken::random(Transport::Body);
        let again = FlowToken::presented(token.expose());
        let all = [
            token.state().expose().to_owned(),
            token.nonce(),
            token.code_verifier(),
            FlowToken::random(Transport::Body).nonce(),
        ];
        assert_eq!(again.nonce(), token.nonce());
        assert_eq!(again.code_verifier(), token.code_verifier());
        assert!(again.state().hash().matches(&token.state().hash()));
        for (place, one) in all.iter().enumerate() {
            // RFC 7636: 43 to 128 characters.
            assert_eq!(one.len(), 43);
            assert!(!all[..place].contains(one));
        }
    }

    #[test]
    fn a_token_tells_the_transport_that_its_flow_was_started_with() {
        for transport in [Transport::Body, Transport::Cookie] {
            let token = FlowToken::random(transport);
            assert_eq!(FlowToken::presented(token.expose()).transport(), transport);
            assert!(token.expose().starts_with(FlowToken::PREFIX));
        }
    }

    #[test]
    fn outcomes_are_read_by_their_names() {
        for outcome in FlowOutcome::ALL {
            assert_eq!(FlowOutcome::from_stored(outcome.name()), outcome);
        }
        assert_eq!(FlowOutcome::from_stored("teleported"), FlowOutcome::Refused);
    }
}
