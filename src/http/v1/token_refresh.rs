//! `POST /v1/token-refresh`

use actix_web::web;
use utoipa::ToSchema;

use super::token_pair::TokenPair;
use crate::domain::PlainToken;
use crate::http::blocking::State;
use crate::http::body::{Body, Fields, Json};
use crate::http::error::ApiError;

/// A refresh token.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RefreshTokenRequest)]
pub struct RefreshTokenBody {
    /// The newest refresh token of the session.
    #[schema(value_type = String, example = "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo")]
    pub refresh_token: PlainToken,
}

impl Body for RefreshTokenBody {
    fn read(fields: &mut Fields) -> Option<Self> {
        let refresh_token =
            fields.required("refresh_token", |text| Ok(PlainToken::presented(text)))?;
        Some(Self { refresh_token })
    }
}

#[utoipa::path(
    post,
    path = "/v1/token-refresh",
    operation_id = "tokenRefresh",
    tag = "token",
    summary = "Exchange a refresh token",
    description = "Replaces the refresh token by a new one. For 30 seconds the replaced token still answers with the same successor, so that tabs which refresh at the same moment stay logged in; used later, it ends the session.",
    request_body(content = RefreshTokenBody, example = json!({"refresh_token": "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"})),
    responses((status = 200, description = "The next pair.", body = TokenPair)),
    extensions(("x-error-codes" = json!(["refresh_token_unknown", "refresh_token_expired", "refresh_token_revoked", "refresh_token_reused", "refresh_token_superseded", "overloaded", "unavailable"])))
)]
/// Exchanges a refresh token.
pub async fn handle(
    state: web::Data<State>,
    Json(body): Json<RefreshTokenBody>,
) -> Result<web::Json<TokenPair>, ApiError> {
    let pair = state.run(move |flows| flows.refresh(&body.refresh_token)).await?;
    Ok(web::Json(pair.into()))
}
