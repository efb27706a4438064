//! `POST /v1/verify-email/resend`

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Email;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::{Client, accepted_locale};
use crate::http::schema::EmailAddress;
use crate::http::state::State;

/// A request for another verification mail.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResendRequest {
    /// The registered e-mail address.
    #[schema(value_type = EmailAddress)]
    email: Email,
}

impl Body for ResendRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.required("email", Email::parse_typed)? })
    }
}

/// A mail was queued if there is anything to verify.
#[derive(Serialize, ToSchema)]
pub struct VerificationResent {
    /// Always `verification_sent`.
    #[schema(example = "verification_sent", pattern = "^verification_sent$")]
    status: &'static str,
}

#[utoipa::path(
    post,
    path = "/v1/verify-email/resend",
    operation_id = "resendVerification",
    tag = "account",
    summary = "Send the verification mail again",
    description = "Only the newest mail is valid. The response is always the same, whether or not a verification is pending for the address.",
    request_body(content = ResendRequest, example = json!({"email": "mina@example.com"})),
    responses((status = 202, description = "The request is accepted.", body = VerificationResent)),
    extensions(("x-error-codes" = json!(["rate_limited", "overloaded", "unavailable"])))
)]
/// Queues the mail again.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(ResendRequest { email }): Json<ResendRequest>,
) -> Result<HttpResponse, ApiError> {
    let locale = accepted_locale(&request);
    state.run(move |flows| flows.resend_verification(email, locale, &device)).await?;
    Ok(HttpResponse::Accepted().json(VerificationResent { status: "verification_sent" }))
}
