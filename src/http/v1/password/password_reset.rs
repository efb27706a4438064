//! `POST /v1/password-reset`

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::Email;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::{Client, accepted_locale};
use crate::http::schema::EmailAddress;
use crate::http::state::State;

/// A request to reset a forgotten password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordResetRequest {
    /// The e-mail address of the account.
    #[schema(value_type = EmailAddress)]
    email: Email,
}

impl Body for PasswordResetRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { email: fields.required("email", Email::parse_typed)? })
    }
}

/// A mail was queued if there is an account.
#[derive(Serialize, ToSchema)]
pub struct PasswordResetSent {
    /// Always `reset_sent`.
    #[schema(example = "reset_sent", pattern = "^reset_sent$")]
    status: &'static str,
}

#[utoipa::path(
    post,
    path = "/v1/password-reset",
    operation_id = "requestPasswordReset",
    tag = "password",
    summary = "Request a password reset",
    description = "Mails a link and a code to the account's e-mail address, valid for 30 minutes. Only the newest mail is valid. The response is always the same, whether or not there is an account.",
    request_body(content = PasswordResetRequest, example = json!({"email": "mina@example.com"})),
    responses((status = 202, description = "The request is accepted.", body = PasswordResetSent)),
    extensions(("x-error-codes" = json!(["rate_limited", "overloaded", "unavailable"])))
)]
/// Queues the mail.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(PasswordResetRequest { email }): Json<PasswordResetRequest>,
) -> Result<HttpResponse, ApiError> {
    let locale = accepted_locale(&request);
    state.run(move |flows| flows.request_password_reset(email, locale, &device)).await?;
    Ok(HttpResponse::Accepted().json(PasswordResetSent { status: "reset_sent" }))
}
