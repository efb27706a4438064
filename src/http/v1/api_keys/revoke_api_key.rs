//! `DELETE /v1/api-keys/{id}`

use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::ApiKeyId;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::client::Client;
use crate::http::state::State;

#[utoipa::path(
    delete,
    path = "/v1/api-keys/{id}",
    operation_id = "revokeApiKey",
    tag = "api_keys",
    summary = "Revoke an API key",
    description = "For superusers. The key is refused at once and stays in the list.",
    params(("id" = String, Path, description = "The key's id.", example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a13")),
    responses((status = 204, description = "The key is revoked.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found"])))
)]
/// Revokes an API key.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    // A malformed id becomes the id of no key, so that a caller without rights gets the same
    // refusal for every path.
    let id = request.match_info().get("id").and_then(ApiKeyId::parse);
    let id = id.unwrap_or_else(|| ApiKeyId(String::new()));
    state.run(move |flows| flows.revoke_api_key(&claims, id, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
