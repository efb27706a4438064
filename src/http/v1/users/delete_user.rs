//! `DELETE /v1/users/{id}`

use actix_web::{HttpResponse, web};

use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::state::State;
use crate::http::v1::users::user_id::UserIdInPath;

#[utoipa::path(
    delete,
    path = "/v1/users/{id}",
    operation_id = "deleteUser",
    tag = "users",
    summary = "Delete an account",
    description = "For staff, and for API keys with the scope `users:write`. The account and all its data are deleted, and every session ends.",
    params(("id" = i64, Path, description = "The user id.", example = 7)),
    responses((status = 204, description = "The account is deleted.")),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found", "last_superuser"])))
)]
/// Deletes an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    UserIdInPath(id): UserIdInPath,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.delete_user(&caller, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
