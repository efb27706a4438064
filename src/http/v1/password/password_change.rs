//! `POST /v1/password-change`

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::PlainPassword;
use crate::flows::Flows;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::schema::NewPassword;
use crate::http::state::State;

/// The old and the new password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePasswordRequest {
    /// The current password. It may be missing right after a log-in.
    #[schema(value_type = Option<String>, format = "password", min_length = 1, max_length = 1024, example = "plum tree at dusk")]
    current_password: Option<PlainPassword>,
    /// The new password.
    #[schema(value_type = NewPassword)]
    new_password: PlainPassword,
}

impl Body for ChangePasswordRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        let current_password = fields.optional("current_password", PlainPassword::parse);
        let new_password = fields.new_password("new_password", None)?;
        Some(Self { current_password, new_password })
    }
}

#[utoipa::path(
    post,
    path = "/v1/password-change",
    operation_id = "changePassword",
    tag = "password",
    summary = "Change the own password",
    description = "The session of the request continues; the others end, and pending one-time tokens become invalid. The owner gets a notice by mail.",
    request_body(content = ChangePasswordRequest, example = json!({"current_password": "plum tree at dusk", "new_password": "pear tree at dawn"})),
    responses((status = 204, description = "The new password is set.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["invalid_credentials", "reauth_required", "rate_limited"])))
)]
/// Changes the password.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(ChangePasswordRequest { current_password, new_password }): Json<ChangePasswordRequest>,
) -> Result<HttpResponse, ApiError> {
    let flow = move |flows: &Flows| {
        flows.change_password(&claims, current_password.as_ref(), &new_password, &device)
    };
    state.run(flow).await?;
    Ok(HttpResponse::NoContent().finish())
}
