//! The redirect of a provider back to the service, which passes it on to the front end.

use url::Url;

use crate::domain::{PlainToken, SocialFlow, UtcTime};
use crate::flows::{Error, Flows, Result};
use crate::social::{ProviderError, ProviderErrorKind};
use crate::store::social_flows;
use crate::telemetry::REFUSALS;

/// The authorization response of a provider (RFC 6749 section 4.1.2, RFC 9207).
#[derive(Debug)]
pub struct ProviderResponse {
    /// `state`.
    pub state: PlainToken,
    /// `code`.
    pub code: Option<String>,
    /// `iss`.
    pub issuer: Option<String>,
    /// `error`.
    pub error: Option<String>,
}

/// Errors of providers that are passed on by name (RFC 6749 section 4.1.2.1, OpenID Connect Core
/// section 3.1.2.6). The text of any other is the provider's own and is not passed on.
const ERRORS: [&str; 8] = [
    "access_denied",
    "account_selection_required",
    "consent_required",
    "interaction_required",
    "invalid_scope",
    "login_required",
    "temporarily_unavailable",
    "unauthorized_client",
];
/// Error of some providers if the user cancels (Apple, Facebook).
const CANCELLED: [&str; 3] = ["user_cancelled_authorize", "user_cancelled_login", "user_denied"];

impl Flows {
    /// Returns the URL that the browser is redirected to: the page that the flow was started with,
    /// with `code` or `error`. Changes nothing.
    ///
    /// # Errors
    /// [`Error::OneTimeTokenInvalid`] if the `state` is of no flow at this provider: then no page
    /// is known to return to.
    pub fn pass_provider_response_on(
        &self,
        provider: &str,
        response: &ProviderResponse,
    ) -> Result<String> {
        let state = response.state.hash();
        let flow = self.db.read(|conn| social_flows::find_by_state(conn, &state))?;
        // A response to a flow at another provider is a mix-up (RFC 9700 section 4.4).
        let flow = flow.filter(|flow| flow.provider == provider);
        let flow = flow.ok_or(Error::OneTimeTokenInvalid)?;
        let mut url = Url::parse(&flow.return_to)
            .map_err(|error| Error::Internal(format!("{}: {error}", flow.return_to)))?;
        {
            let mut query = url.query_pairs_mut();
            match self.check_response(&flow, response, self.now()) {
                Ok(code) => {
                    query.append_pair("code", code);
                    if let Some(issuer) = &response.issuer {
                        query.append_pair("iss", issuer);
                    }
                }
                Err(error) => {
                    query.append_pair("error", error);
                }
            }
            query.append_pair("state", response.state.expose());
        }
        // An empty fragment takes the place of the provider's: browsers carry the fragment of a URL
        // over to the target of its redirect, unless that has one (RFC 9110 section 10.2.2).
        // Facebook appends `#_=_`, and an attacker can have an authorization response put there.
        url.set_fragment(Some(""));
        Ok(url.into())
    }

    /// Returns the code of a response, or the error that the front end is told.
    fn check_response<'a>(
        &self,
        flow: &SocialFlow,
        response: &'a ProviderResponse,
        now: UtcTime,
    ) -> std::result::Result<&'a str, &'static str> {
        if flow.challenge.has_expired(now) {
            return Err("flow_expired");
        }
        let issuer = response.issuer.as_deref();
        let provider = self.social.provider(&flow.provider).map_err(|_| "provider_unavailable")?;
        provider.check_response_issuer(issuer, now).map_err(|error| issuer_fault(&error))?;
        if let Some(error) = response.error.as_deref() {
            tracing::info!(target: REFUSALS, provider = provider.id(), "a provider sent an error");
            if CANCELLED.contains(&error) {
                return Err("access_denied");
            }
            return Err(ERRORS.into_iter().find(|it| *it == error).unwrap_or("server_error"));
        }
        response.code.as_deref().ok_or("server_error")
    }
}

fn issuer_fault(error: &ProviderError) -> &'static str {
    match error.kind() {
        ProviderErrorKind::Unavailable => "provider_unavailable",
        ProviderErrorKind::Refused => {
            tracing::warn!(target: REFUSALS, %error, "a provider's redirect was refused");
            "invalid_issuer"
        }
    }
}
