//! `GET /v1/me/events`

use actix_web::web;

use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::body::Query;
use crate::http::state::State;
use crate::http::v1::event::{Event, Events, EventsQuery, Page};

#[utoipa::path(
    get,
    path = "/v1/me/events",
    operation_id = "listMyEvents",
    tag = "account",
    summary = "Events of the own account",
    description = "Log-ins, wrong passwords, changes, and actions of staff, the newest first, for as long as the operator keeps them. Pages stay consistent while events are added.",
    params(EventsQuery),
    responses((status = 200, description = "A page of events.", body = Events)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["validation_failed"])))
)]
/// Lists the events of the caller's own account.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Query(Page { limit, before }): Query<Page>,
) -> Result<web::Json<Events>, ApiError> {
    let page =
        state.run(move |flows| flows.list_own_events(&claims, before.as_ref(), limit)).await?;
    Ok(web::Json(Events::of(page, Event::for_owner)))
}
