//! `GET /v1/api-keys`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::state::State;
use crate::http::v1::api_keys::item::ApiKeyItem;

/// All API keys.
#[derive(Serialize, ToSchema)]
pub struct ApiKeyList {
    /// The oldest first, including expired and revoked ones.
    api_keys: Vec<ApiKeyItem>,
}

#[utoipa::path(
    get,
    path = "/v1/api-keys",
    operation_id = "listApiKeys",
    tag = "api_keys",
    summary = "List API keys",
    description = "For superusers.",
    responses((status = 200, description = "The keys, without their secrets.", body = ApiKeyList)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["permission_denied"])))
)]
/// Lists API keys.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
) -> Result<web::Json<ApiKeyList>, ApiError> {
    let keys = state.run(move |flows| flows.list_api_keys(&claims)).await?;
    Ok(web::Json(ApiKeyList { api_keys: keys.into_iter().map(ApiKeyItem::from).collect() }))
}
