//! `POST /v1/me/email`

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::{Email, PlainPassword};
use crate::flows::Flows;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::EmailAddress;
use crate::http::state::State;
use crate::http::v1::account::log_in_or_verification::VerificationSent;

/// A change of the e-mail address.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeEmailRequest {
    /// The new e-mail address, once it is verified.
    #[schema(value_type = EmailAddress)]
    new_email: Email,
    /// The password. It may be missing right after a log-in.
    #[schema(value_type = Option<String>, format = "password", min_length = 1, max_length = 1024, example = "plum tree at dusk")]
    password: Option<PlainPassword>,
}

impl Body for ChangeEmailRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let new_email = fields.chosen_email("new_email");
        let password = fields.optional("password", PlainPassword::parse);
        Some(Self { new_email: new_email?, password })
    }
}

#[utoipa::path(
    post,
    path = "/v1/me/email",
    operation_id = "changeEmail",
    tag = "account",
    summary = "Change the own e-mail address",
    description = "Mails a code and a link to the new address, valid for an hour: `POST /v1/verify-email` takes them, with the registration token of this answer or the password. The old address gets a notice with a link that stops or reverts the change for a week. The answer does not reveal whether another account has the address.",
    request_body(content = ChangeEmailRequest, example = json!({"new_email": "mina@new.example", "password": "plum tree at dusk"})),
    responses((status = 202, description = "A mail is on its way.", body = VerificationSent)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["invalid_credentials", "reauth_required", "rate_limited"])))
)]
/// Requests the verification.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(ChangeEmailRequest { new_email, password }): Json<ChangeEmailRequest>,
) -> Result<HttpResponse, ApiError> {
    let flow =
        move |flows: &Flows| flows.change_email(&claims, new_email, password.as_ref(), &device);
    let waiting = state.run(flow).await?;
    Ok(HttpResponse::Accepted().json(VerificationSent::from(waiting)))
}
