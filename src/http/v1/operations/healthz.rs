//! `GET /healthz`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

/// Health of the process.
#[derive(Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(example = "ok", pattern = "^ok$")]
    pub status: &'static str,
}

#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = "operations",
    summary = "Liveness",
    description = "Responds while the process runs. Checks no other component.",
    responses((status = 200, description = "The process runs.", body = Health))
)]
/// Returns 200 while the process is alive.
pub async fn handle() -> web::Json<Health> {
    web::Json(Health { status: "ok" })
}
