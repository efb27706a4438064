//! The secrets of one authorization code flow.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::{PlainToken, TokenHash};

/// The token that the browser keeps from the start of a log-in at a provider to its end. `state`,
/// `nonce` and the PKCE verifier are derived from it, so the database holds its hash and that of
/// the `state` only, and a code is useless without the browser that started the flow (log-in CSRF,
/// code injection).
#[derive(Clone, Debug)]
pub struct FlowToken(PlainToken);

impl FlowToken {
    /// The first characters of a flow token, for secret scanners.
    pub const PREFIX: &'static str = "hps_";

    /// Returns a new token.
    pub fn random() -> Self {
        Self(PlainToken::random(Self::PREFIX))
    }

    /// Returns a token as a client presented it.
    pub fn presented(text: impl Into<String>) -> Self {
        Self(PlainToken::presented(text))
    }

    /// Returns the text, for the one response that hands it out.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// Returns the hash by which the flow is stored.
    pub fn hash(&self) -> TokenHash {
        self.0.hash()
    }

    /// Returns the `state` of the authorization request. The token does not follow from it.
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

    fn derive(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.expose().as_bytes());
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, purpose.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secrets_of_a_flow_differ_and_come_back_from_its_token() {
        let token = FlowToken::random();
        let again = FlowToken::presented(token.expose());
        let all = [
            token.state().expose().to_owned(),
            token.nonce(),
            token.code_verifier(),
            FlowToken::random().nonce(),
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
}
