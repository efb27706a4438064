//! `GET /metrics`

use std::time::Duration;

use actix_web::{HttpResponse, web};

use tokio::time::timeout;

use crate::flows::Flows;
use crate::http::state::State;

/// The version of the text format.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Time-out of the part that needs the database.
const DATABASE_LIMIT: Duration = Duration::from_secs(2);

#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    summary = "Metrics",
    description = "Counters of this instance in the text format of Prometheus. They contain no personal data; a reverse proxy should restrict access to them all the same. Metrics that need the database are left out while it does not answer.",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8"))
)]
/// Returns the metrics. Those that need the database are left out while it does not respond, so
/// that a monitor still gets the others.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    let gauges = state.flows.gauges();
    let backlog = if gauges.database_is_up {
        timeout(DATABASE_LIMIT, state.run(Flows::backlog)).await.ok().and_then(Result::ok)
    } else {
        None
    };
    HttpResponse::Ok().content_type(KIND).body(state.metrics.text(&gauges, backlog))
}
