//! `GET /v1/social/providers`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::state::State;
use crate::http::v1::social::provider::SocialProvider;

/// The configured providers.
#[derive(Serialize, ToSchema)]
pub struct SocialProviderList {
    /// In the order in which they should be shown.
    providers: Vec<SocialProvider>,
}

#[utoipa::path(
    get,
    path = "/v1/social/providers",
    operation_id = "listProviders",
    tag = "social",
    summary = "List providers",
    description = "The services at which users can log in. `/v1/config` has the same list.",
    responses((status = 200, description = "The providers; none if social log-in is not set up.", body = SocialProviderList))
)]
/// Lists the providers.
pub async fn handle(state: web::Data<State>) -> web::Json<SocialProviderList> {
    let providers = state.flows.list_providers().into_iter().map(SocialProvider::from).collect();
    web::Json(SocialProviderList { providers })
}
