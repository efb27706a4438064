//! `POST /v1/password-reset/confirm`
#![expect(dead_code, reason = "the two forms describe what `Confirmation` reads")]

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Email, PlainPassword, PlainToken, parse_code};
use crate::flows::{Flows, ResetProof};
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::{EmailAddress, MailCode, NewPassword};
use crate::http::state::State;

/// The link of the mail.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetByLink {
    /// The token of the mail's link.
    #[schema(example = "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku")]
    token: String,
    /// The new password.
    #[schema(value_type = NewPassword)]
    new_password: String,
}

/// The code of the mail.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResetByCode {
    /// The address that the mail was sent to.
    #[schema(value_type = EmailAddress)]
    email: String,
    /// The code of the mail.
    #[schema(value_type = MailCode)]
    code: String,
    /// The new password.
    #[schema(value_type = NewPassword)]
    new_password: String,
}

/// A new password, with the token or code that permits choosing it.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum ConfirmPasswordResetRequest {
    /// The link of the mail.
    Link(ResetByLink),
    /// The code of the mail.
    Code(ResetByCode),
}

/// Either form, parsed.
pub struct Confirmation {
    proof: ResetProof,
    new_password: PlainPassword,
}

impl Body for Confirmation {
    fn read(fields: &mut Fields) -> Option<Self> {
        let any = |text: &str| Ok(PlainToken::presented(text));
        let proof = if fields.has("token") {
            fields.required("token", any).map(ResetProof::Link)
        } else {
            let email = fields.required("email", Email::parse_typed);
            let code = fields.required("code", parse_code);
            email.zip(code).map(|(email, code)| ResetProof::Code { email, code })
        };
        let address = match &proof {
            Some(ResetProof::Code { email, .. }) => Some(email.clone()),
            _ => None,
        };
        let new_password = fields.new_password("new_password", address.as_ref());
        Some(Self { proof: proof?, new_password: new_password? })
    }
}

#[utoipa::path(
    post,
    path = "/v1/password-reset/confirm",
    operation_id = "confirmPasswordReset",
    tag = "password",
    summary = "Choose a new password",
    description = "Takes the token of the mail's link, or the e-mail address and the code. Both are valid once. Every session of the user ends, and other pending one-time tokens become invalid. Invitations are accepted here too.",
    request_body(content = ConfirmPasswordResetRequest, example = json!({"token": "Zm9yIHRoZSBsb3ZlIG9mIGV4YW1wbGVzIG9ubHku", "new_password": "pear tree at dawn"})),
    responses((status = 204, description = "The new password is set; log in with it.")),
    extensions(("x-error-codes" = json!(["code_invalid", "one_time_token_invalid", "one_time_token_expired", "rate_limited", "overloaded", "unavailable"])))
)]
/// Sets the new password.
pub async fn handle(
    state: web::Data<State>,
    Client(device): Client,
    Json(Confirmation { proof, new_password }): Json<Confirmation>,
) -> Result<HttpResponse, ApiError> {
    let reset = move |flows: &Flows| flows.reset_password(proof, &new_password, &device);
    state.run(reset).await?;
    Ok(HttpResponse::NoContent().finish())
}
