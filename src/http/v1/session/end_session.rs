//! `DELETE /v1/me/sessions/{id}`

use actix_web::{HttpResponse, web};

use crate::domain::SessionId;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::bearer::Bearer;
use crate::http::request::client::Client;
use crate::http::state::State;

#[utoipa::path(
    delete,
    path = "/v1/me/sessions/{id}",
    operation_id = "endSession",
    tag = "session",
    summary = "End a session",
    description = "Ends one of the user's sessions and revokes its access tokens.",
    params(("id" = String, Path, description = "The session's id, from the list.", example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")),
    responses((status = 204, description = "The session has ended.")),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["not_found"])))
)]
/// Ends the session.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    Client(device): Client,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = SessionId::parse(&id).ok_or(Code::NotFound)?;
    state.run(move |flows| flows.end_session(&claims, id, &device)).await?;
    Ok(HttpResponse::NoContent().finish())
}
