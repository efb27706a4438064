//! `GET /v1/users/{id}`

use actix_web::web;

use super::account::Account;
use super::user_id::UserIdInPath;
use crate::http::bearer::Bearer;
use crate::http::blocking::State;
use crate::http::error::ApiError;

#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    operation_id = "getUser",
    tag = "users",
    summary = "One account",
    description = "For staff.",
    params(("id" = i64, Path, description = "The account's number.", example = 7)),
    responses((status = 200, description = "The account.", body = Account)),
    security(("bearer" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found"])))
)]
/// Shows an account.
pub async fn handle(
    state: web::Data<State>,
    Bearer(claims): Bearer,
    UserIdInPath(id): UserIdInPath,
) -> Result<web::Json<Account>, ApiError> {
    let user = state.run(move |flows| flows.find_account(&claims, id)).await?;
    Ok(web::Json(user.into()))
}
