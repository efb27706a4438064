//! `POST /v1/token-revoke`

use actix_web::{HttpResponse, web};

use super::token_refresh::RefreshTokenBody;
use crate::http::blocking::State;
use crate::http::body::Json;
use crate::http::error::ApiError;

#[utoipa::path(
    post,
    path = "/v1/token-revoke",
    operation_id = "tokenRevoke",
    tag = "token",
    summary = "Log out",
    description = "Ends the session of the refresh token; its access tokens count no longer. An unknown token is no error (RFC 7009).",
    request_body(content = RefreshTokenBody, example = json!({"refresh_token": "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"})),
    responses((status = 204, description = "The session is over, or there was none.")),
    extensions(("x-error-codes" = json!(["overloaded", "unavailable"])))
)]
/// Logs out.
pub async fn handle(
    state: web::Data<State>,
    Json(body): Json<RefreshTokenBody>,
) -> Result<HttpResponse, ApiError> {
    state.run(move |flows| flows.log_out(&body.refresh_token)).await?;
    Ok(HttpResponse::NoContent().finish())
}
