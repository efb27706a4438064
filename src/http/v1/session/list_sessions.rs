//! `GET /v1/me/sessions`

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::state::State;
use crate::http::v1::session::item::Session;

/// The open sessions of the user.
#[derive(Serialize, ToSchema)]
#[schema(as = SessionList)]
pub struct Sessions {
    /// The last used one first.
    sessions: Vec<Session>,
}

#[utoipa::path(
    get,
    path = "/v1/me/sessions",
    operation_id = "listSessions",
    tag = "session",
    summary = "List sessions",
    description = "The user's open sessions.",
    responses((status = 200, description = "The sessions.", body = Sessions)),
    security(("bearer" = []))
)]
/// Lists the sessions.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
) -> Result<web::Json<Sessions>, ApiError> {
    let current = claims.session_id();
    let sessions = state.run(move |flows| flows.list_sessions(&claims)).await?;
    let sessions = sessions.into_iter().map(|session| Session::of(session, &current)).collect();
    Ok(web::Json(Sessions { sessions }))
}
