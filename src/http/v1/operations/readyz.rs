//! `GET /readyz`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::flows::Readiness;
use crate::http::error::{ApiError, Components};
use crate::http::state::State;

/// Readiness of the service.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// Always `ok`.
    #[schema(example = "ok", pattern = "^ok$")]
    pub status: &'static str,
    /// State of the components that requests need.
    pub components: Components,
}

#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "operations",
    summary = "Readiness",
    description = "200 while this instance can check access tokens: it has keys, its revocation list is recent enough, and it is not about to stop. The database is only a component of the body: while it is down, every instance returns 503 to requests that need it, so removing one from a load balancer would not help. A 503 has the components too. Answered from memory.",
    responses((status = 200, description = "The instance is ready.", body = Ready)),
    extensions(("x-error-codes" = json!(["unavailable"])))
)]
/// Returns whether this instance can validate tokens.
pub async fn handle(state: web::Data<State>) -> Result<web::Json<Ready>, ApiError> {
    let readiness = state.flows.readiness();
    let is_stopping = state.draining.has_begun();
    let components = components(readiness, is_stopping);
    if readiness.can_check_tokens() && !is_stopping {
        Ok(web::Json(Ready { status: "ok", components }))
    } else {
        Err(ApiError::not_ready(components))
    }
}

fn components(readiness: Readiness, is_stopping: bool) -> Components {
    Components {
        service: if is_stopping { "stopping" } else { "serving" },
        database: if readiness.has_database { "up" } else { "down" },
        writes: match readiness.can_write {
            Some(true) => "possible",
            Some(false) => "impossible",
            None => "unknown",
        },
        revocations: if readiness.knows_revocations { "current" } else { "stale" },
        keys: if readiness.has_key { "loaded" } else { "missing" },
    }
}
