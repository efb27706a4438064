//! `GET /v1/users/{id}`

use actix_web::web;

use crate::http::error::ApiError;
use crate::http::request::bearer::Sender;
use crate::http::state::State;
use crate::http::v1::account::user::Account;
use crate::http::v1::users::user_id::UserIdInPath;

#[utoipa::path(
    get,
    path = "/v1/users/{id}",
    operation_id = "getUser",
    tag = "users",
    summary = "One account",
    description = "For staff, and for API keys with the scope `users:read`.",
    params(("id" = i64, Path, description = "The user id.", example = 7)),
    responses((status = 200, description = "The account.", body = Account)),
    security(("bearer" = []), ("api_key" = [])),
    extensions(("x-error-codes" = json!(["permission_denied", "not_found"])))
)]
/// Returns an account.
pub async fn handle(
    state: web::Data<State>,
    Sender(caller): Sender,
    UserIdInPath(id): UserIdInPath,
) -> Result<web::Json<Account>, ApiError> {
    let (user, identities) = state.run(move |flows| flows.get_user(&caller, id)).await?;
    Ok(web::Json(Account::with_identities(user, identities)))
}
