//! `GET /readyz`

use actix_web::web;

use super::healthz::Health;
use crate::flows::Flows;
use crate::http::blocking::State;
use crate::http::error::ApiError;

#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    summary = "Can it serve?",
    description = "Asks the database, and whether ended sessions are known well enough to check tokens. SMTP is not asked: mail waits in the outbox.",
    responses((status = 200, description = "It can.", body = Health)),
    extensions(("x-error-codes" = json!(["overloaded", "unavailable"])))
)]
/// Says whether the database answers.
pub async fn handle(state: web::Data<State>) -> Result<web::Json<Health>, ApiError> {
    state.run(Flows::check_readiness).await?;
    Ok(web::Json(Health { status: "ok" }))
}
