//! `DELETE /v1/me/sessions`

use actix_web::{HttpResponse, web};

use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::client::Client;
use crate::http::state::State;

#[utoipa::path(
    delete,
    path = "/v1/me/sessions",
    operation_id = "endOtherSessions",
    tag = "session",
    summary = "End all other sessions",
    description = "Ends the user's sessions except the one of the request.",
    responses((status = 204, description = "The other sessions have ended.")),
    security(("bearer" = []))
)]
/// Ends all sessions except the current one.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.end_other_sessions(&claims, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
