//! `GET /v1/users/{id}/events`

use actix_web::web;

use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::request::body::Query;
use crate::http::state::State;
use crate::http::v1::event::{Event, Events, EventsQuery, Page};
use crate::http::v1::users::user_id::UserIdInPath;

#[utoipa::path(
    get,
    path = "/v1/users/{id}/events",
    operation_id = "listUserEvents",
    tag = "users",
    summary = "Events of an account",
    description = "For staff, and for API keys with the scope `users:read`, the newest first. Events of a deleted account are kept for a while, without devices and networks.",
    params(("id" = i64, Path, description = "The user id.", example = 7), EventsQuery),
    responses((status = 200, description = "A page of events.", body = Events)),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found", "validation_failed"])))
)]
/// Lists the events of an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    UserIdInPath(id): UserIdInPath,
    Query(Page { limit, before }): Query<Page>,
) -> Result<web::Json<Events>, ApiError> {
    let flow = move |flows: &crate::flows::Flows| {
        flows.list_user_events(&caller, id, before.as_ref(), limit)
    };
    let page = state.run(flow).await?;
    Ok(web::Json(Events::of(page, Event::for_staff)))
}
