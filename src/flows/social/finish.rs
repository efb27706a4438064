//! The end of a log-in at a provider: one exchange of the code, whose result the same request gets
//! again.

use std::thread;
use std::time::{Duration, Instant};

use super::log_in::{IdentityLogIn, OneTimeUse, lock_user_of};
use crate::domain::{
    Amr, Counted, Counter, Email, FlowOutcome, FlowToken, Identity, Locale, PlainToken, SocialFlow,
    Transport, UserId,
};
use crate::flows::sign_in::{Repetition, SignIn, earlier_or_first, sign_in_once};
use crate::flows::{
    Claims, Error, Flows, LogInOrVerification, LogInOutcome, LoginContext, PendingVerification,
    Result,
};
use crate::social::{AuthorizationRequest, CodeResponse, Provider};
use crate::store::challenges::verifications::{self, Found};
use crate::store::social_flows;

/// The time that a repeated request waits for the first one.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(12);
/// The time between two looks at the result of the first one.
const WAIT_INTERVAL: Duration = Duration::from_millis(50);

/// The response of a provider with the secret of its flow, and the client that presents them.
#[derive(Debug)]
pub struct FinishRequest {
    /// The name of the provider.
    pub provider: String,
    /// The token that the browser kept.
    pub flow_token: FlowToken,
    /// The authorization code.
    pub code: PlainToken,
    /// The `state` of the response.
    pub state: PlainToken,
    /// The `iss` of the response.
    pub issuer: Option<String>,
    /// The e-mail address that the user typed, for a provider that gives none.
    pub email: Option<Email>,
    /// The language of mail of a new account.
    pub locale: Locale,
    /// The client.
    pub client: LoginContext,
    /// Transport of the refresh token, if another than at the start.
    pub transport: Option<Transport>,
    /// The user who links an identity.
    pub claims: Option<Claims>,
}

impl FinishRequest {
    /// Returns the transport of the refresh token.
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or_else(|| self.flow_token.transport())
    }
}

/// The result of a flow.
#[derive(Debug)]
pub enum FinishedFlow {
    /// A log-in or a registration.
    LogIn(LogInOrVerification),
    /// The identity was linked.
    Linked,
}

impl Flows {
    /// Exchanges the code of a flow and logs the user in, or links the identity. The same request
    /// gets the same result again; another code is refused.
    ///
    /// # Errors
    /// - [`Error::OneTimeTokenInvalid`], [`Error::OneTimeTokenExpired`]: no such flow of this
    ///   client at this provider.
    /// - [`Error::CodeInvalid`]: the provider does not accept the code, or what comes for it is not
    ///   valid.
    /// - [`Error::ProviderUnavailable`]: the same request may succeed later.
    pub fn finish_social_flow(&self, request: &FinishRequest) -> Result<FinishedFlow> {
        let network = &request.client.device.network;
        let proofs = vec![Counter::new(Counted::ProofsOfNetwork, network)];
        self.count(proofs, || self.finish_once(request))
    }

    fn finish_once(&self, request: &FinishRequest) -> Result<FinishedFlow> {
        let provider = self.social.provider(&request.provider)?;
        let flow = self.flow_of(request)?;
        if flow.links() {
            Self::require_same_user(&flow, request)?;
        }
        let (id, code, now) = (flow.challenge.id.clone(), request.code.hash(), self.now());
        let is_claimed = self.db.write(move |conn| {
            social_flows::claim_flow(conn, &id, &code, now).map_err(Error::from)
        })?;
        if !is_claimed {
            return self.repeat(provider, request);
        }
        let outcome = self
            .redeem(provider, &flow, request)
            .and_then(|identity| self.conclude(provider, &flow, request, identity));
        if let Err(error) = &outcome {
            self.note_failure(&flow, error);
        }
        self.count_log_in(&outcome, |_| "succeeded");
        outcome
    }

    /// Returns the flow that the request may finish.
    fn flow_of(&self, request: &FinishRequest) -> Result<SocialFlow> {
        let token = request.flow_token.hash();
        let flow = self.db.read(|conn| social_flows::find_by_token(conn, &token))?;
        let own_state = request.flow_token.state().hash();
        let flow = flow
            .filter(|flow| flow.provider == request.provider)
            .filter(|_| request.state.hash().matches(&own_state))
            .ok_or(Error::OneTimeTokenInvalid)?;
        if flow.challenge.has_expired(self.now()) {
            return Err(Error::OneTimeTokenExpired);
        }
        Ok(flow)
    }

    fn require_same_user(flow: &SocialFlow, request: &FinishRequest) -> Result<()> {
        let claims = request.claims.as_ref().ok_or(Error::AuthenticationRequired)?;
        if flow.challenge.user_id != Some(claims.user_id()) {
            return Err(Error::OneTimeTokenInvalid);
        }
        Ok(())
    }

    fn redeem(
        &self,
        provider: &Provider,
        flow: &SocialFlow,
        request: &FinishRequest,
    ) -> Result<Identity> {
        let now = self.now();
        provider.check_response_issuer(request.issuer.as_deref(), now)?;
        let (state, nonce) = (request.flow_token.state(), request.flow_token.nonce());
        let code_verifier = request.flow_token.code_verifier();
        let redirect_uri = self.social.redirect_uri(provider, &flow.return_to);
        let response = CodeResponse {
            code: request.code.expose(),
            request: AuthorizationRequest {
                redirect_uri: &redirect_uri,
                state: state.expose(),
                nonce: &nonce,
                code_verifier: &code_verifier,
            },
        };
        Ok(provider.redeem(&response, now)?)
    }

    fn conclude(
        &self,
        provider: &Provider,
        flow: &SocialFlow,
        request: &FinishRequest,
        identity: Identity,
    ) -> Result<FinishedFlow> {
        let log_in = IdentityLogIn {
            one_time_use: OneTimeUse::Flow(flow.clone()),
            provider: provider.id().to_owned(),
            provider_name: provider.display_name().to_owned(),
            typed_email: request.email.clone(),
            locale: request.locale.clone(),
            registration_token: request.flow_token.registration_token(),
            sign_in: self.sign_in_of(flow, request)?,
        };
        match request.claims.as_ref().filter(|_| flow.links()) {
            Some(claims) => self.link_to_user(log_in, claims, identity),
            None => self.log_in_with_identity(log_in, identity).map(FinishedFlow::LogIn),
        }
    }

    fn sign_in_of(&self, flow: &SocialFlow, request: &FinishRequest) -> Result<SignIn> {
        let tokens = self.secrets.first_tokens(flow.challenge.id.as_str());
        let tokens = self.db.read(|conn| earlier_or_first(conn, tokens))?;
        let (client, transport) = (request.client.clone(), request.transport());
        Ok(self.sign_in(Amr::federated(), client, transport, tokens, self.now()))
    }

    /// Records that a flow is over, or lets the same request try again if the reason may pass.
    fn note_failure(&self, flow: &SocialFlow, error: &Error) {
        let id = flow.challenge.id.clone();
        let outcome = match error {
            error if error.is_temporary() => None,
            Error::IdentityConflict => Some(FlowOutcome::IdentityConflict),
            Error::AccountDisabled => Some(FlowOutcome::AccountDisabled),
            Error::RegistrationClosed => Some(FlowOutcome::RegistrationClosed),
            _ => Some(FlowOutcome::Refused),
        };
        let noted = self.db.write(move |conn| {
            match outcome {
                Some(outcome) => drop(social_flows::finish_flow(conn, &id, outcome, None)?),
                None => social_flows::release_claim(conn, &id)?,
            }
            Ok::<_, Error>(())
        });
        if let Err(error) = noted {
            let user_id = flow.challenge.user_id.map(|id| id.0);
            tracing::warn!(user_id, %error, "the failure of a social log-in is not recorded");
        }
    }

    /// Answers a request whose flow is claimed: the same code gets the result of the first one.
    fn repeat(&self, provider: &Provider, request: &FinishRequest) -> Result<FinishedFlow> {
        let _place = provider.begin_repetition()?;
        let code = request.code.hash();
        let began = Instant::now();
        while began.elapsed() < WAIT_FOR_FIRST {
            let flow = self.flow_of(request)?;
            let claimed_by = flow.challenge.code_hash.as_ref();
            if claimed_by.is_some_and(|claimed_by| !code.matches(claimed_by)) {
                return Err(Error::CodeInvalid);
            }
            if let Some(outcome) = flow.outcome {
                return self.result_again(&flow, outcome, request);
            }
            if flow.challenge.used_at.is_none() {
                break;
            }
            thread::sleep(WAIT_INTERVAL);
        }
        Err(Error::ProviderUnavailable("the first request has no result yet".to_owned()))
    }

    fn result_again(
        &self,
        flow: &SocialFlow,
        outcome: FlowOutcome,
        request: &FinishRequest,
    ) -> Result<FinishedFlow> {
        match outcome {
            FlowOutcome::LoggedIn => {
                let user = flow.challenge.user_id.ok_or(Error::OneTimeTokenInvalid)?;
                self.session_again(flow, user, request)
            }
            FlowOutcome::VerificationSent => self.registration_again(request),
            FlowOutcome::Linked => Ok(FinishedFlow::Linked),
            FlowOutcome::IdentityConflict => Err(Error::IdentityConflict),
            FlowOutcome::AccountDisabled => Err(Error::AccountDisabled),
            FlowOutcome::RegistrationClosed => Err(Error::RegistrationClosed),
            FlowOutcome::Refused => Err(Error::CodeInvalid),
        }
    }

    fn session_again(
        &self,
        flow: &SocialFlow,
        user: UserId,
        request: &FinishRequest,
    ) -> Result<FinishedFlow> {
        let sign_in = self.sign_in_of(flow, request)?;
        let now = sign_in.now;
        let token = request.flow_token.registration_token();
        let (user, signed_in, registration_token) = self.db.write(move |conn| {
            let user = lock_user_of(conn, user)?;
            let repetition = Repetition::InSameBrowser;
            let LogInOutcome::LoggedIn(signed_in) = sign_in_once(conn, &user, sign_in, repetition)?;
            // The first request may have made an account whose address is to be verified.
            let verifies = verifications::find_by_holder(conn, &token.hash())?.is_some();
            Ok::<_, Error>((user, signed_in, verifies.then_some(token)))
        })?;
        let log_in = self.complete(&user, signed_in, now)?;
        Ok(FinishedFlow::LogIn(LogInOrVerification::LoggedIn { log_in, registration_token }))
    }

    fn registration_again(&self, request: &FinishRequest) -> Result<FinishedFlow> {
        let registration_token = request.flow_token.registration_token();
        let token = registration_token.hash();
        let found = self.db.read(|conn| verifications::find_by_holder(conn, &token))?;
        let Some(Found::Verification(registration)) = found else {
            return Err(Error::OneTimeTokenInvalid);
        };
        let expires_in = registration.challenge.expires_at.remaining(self.now());
        let pending = PendingVerification { registration_token, expires_in };
        Ok(FinishedFlow::LogIn(LogInOrVerification::VerificationSent(pending)))
    }
}
