//! `GET /metrics`

use actix_web::{HttpResponse, web};

use crate::flows::{Backlog, Flows};
use crate::http::blocking::State;
use crate::http::error::ApiError;
use crate::http::metrics::Gauges;

/// The version of the text format.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    summary = "What is counted",
    description = "Counters of this instance in the text format of Prometheus. Nothing in it is about a person; all the same a reverse proxy should not let everybody in.",
    responses((status = 200, description = "The counters.", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8")),
    extensions(("x-error-codes" = json!(["overloaded", "unavailable"])))
)]
/// Tells what was counted.
pub async fn handle(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let Backlog { mails_waiting, mails_dead, revocations_age } = state.run(Flows::backlog).await?;
    let can_write = state.flows.can_write();
    let gauges = Gauges { mails_waiting, mails_dead, revocations_age, can_write };
    Ok(HttpResponse::Ok().content_type(KIND).body(state.metrics.text(gauges)))
}
