//! `POST /v1/token-revoke`

use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::Transport;
use crate::http::error::ApiError;
use crate::http::request::body::Json;
use crate::http::request::client::Client;
use crate::http::state::State;
use crate::http::v1::token::refresh_token_body::{
    PresentedTokens, RefreshTokenBody, RefreshTokenRequest,
};

#[utoipa::path(
    post,
    path = "/v1/token-revoke",
    operation_id = "tokenRevoke",
    tag = "token",
    summary = "Log out",
    description = "Ends the session of the refresh token and revokes its access tokens. An unknown token is no error (RFC 7009) and ends nothing. The same holds for a token that was issued in a cookie and comes in a body, or the reverse. In cookie mode the cookies are cleared.",
    request_body(content = RefreshTokenRequest, example = json!({"refresh_token": "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"})),
    responses((status = 204, description = "The session has ended, or there was none.")),
    extensions(("x-error-codes" = json!(["origin_rejected", "overloaded", "unavailable"])))
)]
/// Logs out.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    Json(body): Json<RefreshTokenBody>,
) -> Result<HttpResponse, ApiError> {
    let PresentedTokens { tokens, transport } = body.presented(&request, &state.browsers)?;
    // Each of several cookies may name the session to end, and the holder of its token may end it.
    if !tokens.is_empty() {
        state
            .run(move |flows| {
                tokens.iter().try_for_each(|it| flows.log_out(it, transport, &device))
            })
            .await?;
    }
    let mut answer = HttpResponse::NoContent();
    if transport == Transport::Cookie {
        for cookie in state.browsers.no_cookies() {
            answer.cookie(cookie);
        }
    }
    Ok(answer.finish())
}
