//! `GET /healthz`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

/// How the service is.
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
    summary = "Is the process alive?",
    description = "Answers as long as the process does; it asks nobody else.",
    responses((status = 200, description = "It is.", body = Health))
)]
/// Says that the process is alive.
pub async fn handle() -> web::Json<Health> {
    web::Json(Health { status: "ok" })
}
