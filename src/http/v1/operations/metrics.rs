//! `GET /metrics`

use std::time::Duration;

use actix_web::{HttpResponse, web};

use tokio::time::timeout;

use crate::flows::Flows;
use crate::http::blocking::State;

/// The version of the text format.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The time that the database has for its part.
const DATABASE_LIMIT: Duration = Duration::from_secs(2);

#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = "operations",
    summary = "What is counted",
    description = "Counters of this instance in the text format of Prometheus. Nothing in it is about a person; all the same a reverse proxy should not let everybody in. Metrics that need the database are left out while it does not answer.",
    responses((status = 200, description = "The counters.", body = String, content_type = "text/plain; version=0.0.4; charset=utf-8"))
)]
/// Tells what was counted. What only the database knows is left out while it does not answer: a monitor
/// wants the rest then more than ever.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    let gauges = state.flows.gauges();
    let backlog = if gauges.database_is_up {
        timeout(DATABASE_LIMIT, state.run(Flows::backlog)).await.ok().and_then(Result::ok)
    } else {
        None
    };
    HttpResponse::Ok().content_type(KIND).body(state.metrics.text(&gauges, backlog))
}
