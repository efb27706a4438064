//! The response to a registration or a social log-in: a session, or a mail that has to be answered.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::{PlainToken, Transport};
use crate::flows::{self, PendingVerification};
use crate::http::state::State;
use crate::http::v1::token::token_pair::TokenPair;

/// A mail is on its way.
#[derive(Serialize, ToSchema)]
pub struct VerificationSent {
    /// Always `verification_sent`.
    #[schema(example = "verification_sent", pattern = "^verification_sent$")]
    pub status: &'static str,
    /// Keep it: with the code or link of the mail it verifies the e-mail address.
    #[schema(example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s")]
    pub registration_token: String,
    /// Lifetime of the registration, in seconds.
    #[schema(example = 86_400)]
    pub expires_in: u64,
}

impl From<PendingVerification> for VerificationSent {
    fn from(waiting: PendingVerification) -> Self {
        Self {
            status: "verification_sent",
            registration_token: waiting.registration_token.expose().to_owned(),
            expires_in: waiting.expires_in.as_secs(),
        }
    }
}

/// Result of a registration, or of a log-in that may lead to one. One schema for all statuses, as
/// generated clients have one type for an operation; `status` is present with 202, the tokens are
/// present with 200 or 201.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = Registered)]
pub struct LogInOrVerification {
    /// With 202: `verification_sent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "verification_sent")]
    status: Option<&'static str>,
    /// Keep it: with the code or link of the mail it verifies the e-mail address. Missing if no
    /// mail is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        required = false,
        nullable = false,
        example = "hpg_0J4mC8bV2nX6zL1kS9dF3gH7jQ5wE0rT4yU8iO2pA6s"
    )]
    registration_token: Option<String>,
    /// With 202: lifetime of the registration. With 200 or 201: lifetime of the access token. In
    /// seconds.
    #[schema(example = 86_400)]
    expires_in: u64,
    /// With 200 or 201: a JWT for `Authorization: Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    access_token: Option<String>,
    /// With 200 or 201: `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String)]
    token_type: Option<&'static str>,
    /// With 200 or 201, not in cookie mode: for `token-refresh` and `token-revoke`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    refresh_token: Option<String>,
    /// With 200 or 201: lifetime of an unused refresh token, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = u64)]
    refresh_expires_in: Option<u64>,
    /// With 200 or 201, not in cookie mode: send it at the next log-in on this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    device_token: Option<String>,
    /// With 200 or 201: the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false)]
    session_id: Option<String>,
}

impl From<VerificationSent> for LogInOrVerification {
    fn from(sent: VerificationSent) -> Self {
        Self {
            status: Some(sent.status),
            registration_token: Some(sent.registration_token),
            expires_in: sent.expires_in,
            ..Self::default()
        }
    }
}

impl LogInOrVerification {
    /// Returns the body for a user who is logged in.
    fn of(pair: TokenPair, registration_token: Option<PlainToken>) -> Self {
        Self {
            registration_token: registration_token.map(|token| token.expose().to_owned()),
            expires_in: pair.expires_in,
            access_token: Some(pair.access_token),
            token_type: Some(pair.token_type),
            refresh_token: pair.refresh_token,
            refresh_expires_in: Some(pair.refresh_expires_in),
            device_token: pair.device_token,
            session_id: Some(pair.session_id),
            ..Self::default()
        }
    }
}

/// Returns the response: 202 if a mail was sent, and `logged_in` with the tokens of a session.
pub async fn respond(
    state: &State,
    transport: Transport,
    outcome: flows::LogInOrVerification,
    logged_in: StatusCode,
) -> HttpResponse {
    match outcome {
        flows::LogInOrVerification::VerificationSent(waiting) => {
            let sent = VerificationSent::from(waiting);
            HttpResponse::Accepted().json(LogInOrVerification::from(sent))
        }
        flows::LogInOrVerification::LoggedIn { log_in, registration_token } => {
            let mut answer = HttpResponse::build(logged_in);
            let tokens = transport.deliver_log_in(log_in, &state.browsers, &mut answer).await;
            answer.json(LogInOrVerification::of(tokens, registration_token))
        }
    }
}
