//! `GET /readyz`

use actix_web::web;

use super::healthz::Health;
use crate::flows::Error;
use crate::http::blocking::State;
use crate::http::error::ApiError;

#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    summary = "Can it serve?",
    description = "Asks the database. SMTP is not asked: mail waits in the outbox.",
    responses((status = 200, description = "It can.", body = Health)),
    extensions(("x-error-codes" = json!(["overloaded", "unavailable"])))
)]
/// Says whether the database answers.
pub async fn handle(state: web::Data<State>) -> Result<web::Json<Health>, ApiError> {
    state.run(|flows| flows.db.ping().map_err(Error::from)).await?;
    Ok(web::Json(Health { status: "ok" }))
}
