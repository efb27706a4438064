//! `GET /v1/me/identities`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::state::State;
use crate::http::v1::social::identity::Identity;

/// The identities of an account.
#[derive(Serialize, ToSchema)]
pub struct IdentityList {
    /// The oldest first.
    identities: Vec<Identity>,
}

#[utoipa::path(
    get,
    path = "/v1/me/identities",
    operation_id = "listIdentities",
    tag = "social",
    summary = "List own identities",
    description = "The accounts at other services that the user can log in with. To link another one, call `start` and `finish` with an access token.",
    responses((status = 200, description = "The identities.", body = IdentityList)),
    security(("bearer" = []))
)]
/// Lists the identities.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
) -> Result<web::Json<IdentityList>, ApiError> {
    let identities = state.run(move |flows| flows.list_identities(&claims)).await?;
    Ok(web::Json(IdentityList { identities: identities.into_iter().map(Identity::from).collect() }))
}
