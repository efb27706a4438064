//! `DELETE /v1/me`

use actix_web::{HttpResponse, web};
use utoipa::ToSchema;

use crate::domain::PlainPassword;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::client::Client;
use crate::http::state::State;

/// Re-authentication of the owner.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteMeRequest {
    /// The password. It may be missing right after a log-in.
    #[schema(value_type = Option<String>, format = "password", min_length = 1, max_length = 1024, example = "plum tree at dusk")]
    password: Option<PlainPassword>,
}

impl Body for DeleteMeRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { password: fields.optional("password", PlainPassword::parse) })
    }
}

#[utoipa::path(
    delete,
    path = "/v1/me",
    operation_id = "deleteMe",
    tag = "account",
    summary = "Delete the own account",
    description = "The account and all its data are deleted, and every session ends. Without a password (or without a body) the log-in must be recent.",
    request_body(content = DeleteMeRequest, example = json!({"password": "plum tree at dusk"})),
    responses((status = 204, description = "The account is deleted.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["invalid_credentials", "reauth_required", "rate_limited", "last_superuser"])))
)]
/// Deletes the account.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    Json(DeleteMeRequest { password }): Json<DeleteMeRequest>,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.delete_own_account(&claims, password.as_ref(), &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
