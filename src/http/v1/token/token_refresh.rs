//! `POST /v1/token-refresh`

use actix_web::{HttpRequest, HttpResponse, web};

use crate::domain::Device;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::client::Client;
use crate::http::request::form::is_form;
use crate::http::state::State;
use crate::http::v1::token::refresh_token_body::{
    JsonOrForm, PresentedTokens, RefreshTokenBody, RefreshTokenRequest,
};
use crate::http::v1::token::token_pair::TokenPair;

#[utoipa::path(
    post,
    path = "/v1/token-refresh",
    operation_id = "tokenRefresh",
    tag = "token",
    summary = "Exchange a refresh token",
    description = "Replaces the refresh token by a new one. For 30 seconds by default the replaced token still gets the same successor, so that tabs which refresh at the same moment stay logged in. A later use ends the session. In cookie mode the token is read from the cookie, and its successor is set there. An error never clears the cookie, as another tab may have set a newer one. A token that was issued in a cookie is unknown in a body, and the reverse. OAuth libraries may send the form of RFC 6749 section 6 instead of JSON: `grant_type=refresh_token` and `refresh_token`. Errors of a form are `application/json`, have `error` (RFC 6749 section 5.2) too, and status 400 where the RFC says so.",
    request_body(content = RefreshTokenRequest, example = json!({"refresh_token": "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"})),
    responses((status = 200, description = "The next token pair.", body = TokenPair)),
    extensions(("x-error-codes" = json!(["refresh_token_unknown", "refresh_token_expired", "refresh_token_revoked", "refresh_token_reused", "refresh_token_superseded", "token_too_large", "origin_rejected", "rate_limited", "overloaded", "unavailable"])))
)]
/// Exchanges a refresh token.
pub async fn handle(
    state: web::Data<State>,
    request: HttpRequest,
    Client(device): Client,
    JsonOrForm(body): JsonOrForm,
) -> Result<HttpResponse, ApiError> {
    let is_form = is_form(&request);
    let answer = exchange(state, &request, device, body).await;
    answer.map_err(|error| if is_form { error.of_oauth() } else { error })
}

async fn exchange(
    state: web::Data<State>,
    request: &HttpRequest,
    device: Device,
    body: RefreshTokenBody,
) -> Result<HttpResponse, ApiError> {
    let PresentedTokens { tokens, transport } = body.presented(request, &state.browsers)?;
    // Refuses several cookies: it is unknown which one the service has set.
    let [token] = <[_; 1]>::try_from(tokens).map_err(|_| Code::RefreshTokenUnknown)?;
    let pair = state.run(move |flows| flows.refresh(&token, transport, &device)).await?;
    let mut answer = HttpResponse::Ok();
    let pair = transport.deliver(pair, &state.browsers, &mut answer).await;
    Ok(answer.json(pair))
}
