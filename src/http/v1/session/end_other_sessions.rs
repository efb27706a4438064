//! `DELETE /v1/me/sessions`

use actix_web::{HttpResponse, web};

use crate::http::bearer::Bearer;
use crate::http::blocking::State;
use crate::http::client::Client;
use crate::http::error::ApiError;

#[utoipa::path(
    delete,
    path = "/v1/me/sessions",
    operation_id = "endOtherSessions",
    tag = "session",
    summary = "Log out everywhere else",
    description = "Ends the holder's sessions besides the one that asks.",
    responses((status = 204, description = "The others are over.")),
    security(("bearer" = []))
)]
/// Ends the others.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.end_other_sessions(&claims, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
