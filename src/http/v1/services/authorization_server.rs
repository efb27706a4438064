//! `GET /.well-known/oauth-authorization-server`

use actix_web::{HttpResponse, web};

use crate::http::state::State;
use crate::http::v1::services::discovery::{self, ServerMetadata};

#[utoipa::path(
    get,
    path = "/.well-known/oauth-authorization-server",
    operation_id = "authorizationServerMetadata",
    tag = "services",
    summary = "Metadata of the issuer",
    description = "For libraries that are configured by the issuer (RFC 8414). The other well-known path answers the same.",
    responses((status = 200, description = "The metadata.", body = ServerMetadata))
)]
/// Returns the metadata of the service.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    discovery::respond(&state.flows)
}
