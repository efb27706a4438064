//! `POST /v1/revoke`

use actix_web::{HttpResponse, web};

use crate::http::error::ApiError;
use crate::http::request::service_credentials::Presented;
use crate::http::state::State;
use crate::http::v1::services::token_request::{TokenParameters, TokenRequest};

#[utoipa::path(
    post,
    path = "/v1/revoke",
    operation_id = "revokeToken",
    tag = "services",
    summary = "Revoke a token",
    description = "Token revocation (RFC 7009), for services with an API key of the scope `revoke`. Send the key as the password of HTTP Basic, as `client_secret` of the form, or as a Bearer token. Ends the session of an access token or refresh token, which revokes all tokens of the session. An unknown token gets the same response.",
    request_body(content = TokenParameters, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token is revoked, or was not valid.")),
    security(("api_key" = []), ("client_secret" = [])),
    extensions(("x-error-codes" = json!(["permission_denied"])))
)]
/// Revokes a token.
pub async fn handle(
    state: web::Data<State>,
    TokenRequest { presented: Presented { key, scheme }, token }: TokenRequest,
) -> Result<HttpResponse, ApiError> {
    let revoked = state.run(move |flows| flows.revoke_token(&key, &token)).await;
    revoked.map_err(|error| scheme.refused(error).of_oauth())?;
    Ok(HttpResponse::Ok().finish())
}
