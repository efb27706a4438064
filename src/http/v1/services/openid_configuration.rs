//! `GET /.well-known/openid-configuration`

use actix_web::{HttpResponse, web};

use crate::http::state::State;
use crate::http::v1::services::discovery::{self, ServerMetadata};

#[utoipa::path(
    get,
    path = "/.well-known/openid-configuration",
    operation_id = "openidConfiguration",
    tag = "services",
    summary = "Metadata of the issuer",
    description = "For libraries that are configured by the issuer (OpenID Connect Discovery 1.0). The other well-known path answers the same.",
    responses((status = 200, description = "The metadata.", body = ServerMetadata))
)]
/// Returns the metadata of the service.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    discovery::respond(&state.flows)
}
