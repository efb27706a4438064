//! `GET /readyz`

use actix_web::web;

use serde::Serialize;
use utoipa::ToSchema;

use crate::flows::Flows;
use crate::http::blocking::State;
use crate::http::error::ApiError;

/// Whether the service can serve.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// Always `ok`.
    #[schema(example = "ok", pattern = "^ok$")]
    pub status: &'static str,
    /// `impossible` while the database takes none, such as a standby; else missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "impossible", nullable = false)]
    pub writes: Option<&'static str>,
}

#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    summary = "Can it serve?",
    description = "Asks the database, and whether ended sessions are known well enough to check tokens. SMTP is not asked: mail waits in the outbox.",
    responses((status = 200, description = "It can.", body = Readiness)),
    extensions(("x-error-codes" = json!(["overloaded", "unavailable"])))
)]
/// Says whether the database answers.
pub async fn handle(state: web::Data<State>) -> Result<web::Json<Readiness>, ApiError> {
    state.run(Flows::check_readiness).await?;
    let writes = (!state.flows.can_write()).then_some("impossible");
    Ok(web::Json(Readiness { status: "ok", writes }))
}
