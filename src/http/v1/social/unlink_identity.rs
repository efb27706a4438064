//! `DELETE /v1/me/identities/{id}`

use actix_web::{HttpResponse, web};

use crate::domain::IdentityId;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::client::Client;
use crate::http::state::State;

#[utoipa::path(
    delete,
    path = "/v1/me/identities/{id}",
    operation_id = "unlinkIdentity",
    tag = "social",
    summary = "Unlink an identity",
    description = "The user can no longer log in with the identity; sessions continue. The log-in must be recent. The last way to log in cannot be unlinked (`last_login_method`): set a password with a password reset first, or link another identity.",
    params(("id" = String, Path, description = "The identity's id, from the list.", example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")),
    responses((status = 204, description = "The identity is unlinked.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["not_found", "reauth_required", "last_login_method"])))
)]
/// Unlinks the identity.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = IdentityId::parse(&id).ok_or(Code::NotFound)?;
    state.run(move |flows| flows.unlink_identity(&claims, id, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
