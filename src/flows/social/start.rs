//! The start of a log-in at a provider.

use std::time::Duration;

use crate::domain::{
    Challenge, ChallengeKind, Counted, Counter, Device, Fault, FlowToken, SocialFlow, Transport,
};
use crate::flows::{Claims, Error, Flows, Result};
use crate::social::AuthorizationRequest;
use crate::store::social_flows;
use crate::telemetry::REFUSALS;

/// A request for a log-in at a provider.
#[derive(Debug)]
pub struct StartRequest {
    /// The name of the provider.
    pub provider: String,
    /// The page that the browser shall return to.
    pub return_to: String,
    /// Transport of the refresh token.
    pub transport: Transport,
    /// The client.
    pub device: Device,
    /// The user who links an identity; `None` for a log-in.
    pub claims: Option<Claims>,
}

/// A flow that has begun.
#[derive(Debug)]
pub struct StartedFlow {
    /// The URL that the browser goes to.
    pub authorization_url: String,
    /// The token that the browser keeps.
    pub flow_token: FlowToken,
    /// Time in which the flow must be finished.
    pub expires_in: Duration,
}

impl Flows {
    /// Starts a log-in at a provider, or the linking of an identity, which needs a recent log-in.
    pub fn start_social_flow(&self, request: StartRequest) -> Result<StartedFlow> {
        let network = &request.device.network;
        let attempts = vec![Counter::new(Counted::AttemptsOfNetwork, network)];
        self.count(attempts, || self.open_flow(request))
    }

    fn open_flow(&self, request: StartRequest) -> Result<StartedFlow> {
        let StartRequest { provider, return_to, transport, device, claims } = request;
        let provider = self.social.provider(&provider)?;
        if !self.social.return_urls.contains(&return_to) {
            tracing::info!(
                target: REFUSALS,
                provider = provider.id(),
                setting = "HALLPASS_SOCIAL_RETURN_URLS",
                "a page that a log-in cannot return to: the setting does not name it exactly"
            );
            return Err(Error::invalid("return_to", Fault::InvalidFormat));
        }
        let user = claims.map(|claims| self.check_again(&claims, None, &device)).transpose()?;
        let now = self.now();
        let flow_token = FlowToken::random(transport);
        let state = flow_token.state();
        let authorization_url = provider.authorization_url(
            &AuthorizationRequest {
                redirect_uri: &self.social.redirect_uri(provider, &return_to),
                state: state.expose(),
                nonce: &flow_token.nonce(),
                code_verifier: &flow_token.code_verifier(),
            },
            now,
        )?;
        let kind = ChallengeKind::SocialLogin;
        let flow = SocialFlow {
            challenge: Challenge {
                holder_hash: Some(flow_token.hash()),
                ..Challenge::new(kind, user.map(|user| user.id), now)
            },
            provider: provider.id().to_owned(),
            return_to,
            outcome: None,
        };
        self.db.write(move |conn| {
            social_flows::insert_flow(conn, &flow, &state.hash()).map_err(Error::from)
        })?;
        Ok(StartedFlow { authorization_url, flow_token, expires_in: kind.lifetime() })
    }
}
