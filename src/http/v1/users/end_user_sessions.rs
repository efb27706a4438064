//! `DELETE /v1/users/{id}/sessions`

use actix_web::{HttpResponse, web};

use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::state::State;
use crate::http::v1::users::user_id::UserIdInPath;

#[utoipa::path(
    delete,
    path = "/v1/users/{id}/sessions",
    operation_id = "endUserSessions",
    tag = "users",
    summary = "End all sessions of a user",
    description = "For staff, and for API keys with the scope `users:write`. The user can log in again.",
    params(("id" = i64, Path, description = "The user id.", example = 7)),
    responses((status = 204, description = "Every session has ended.")),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found"])))
)]
/// Ends every session of an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    UserIdInPath(id): UserIdInPath,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.end_user_sessions(&caller, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
