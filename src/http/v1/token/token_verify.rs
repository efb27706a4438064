//! `POST /v1/token-verify`

use actix_web::http::header::{CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::strict_json;
use crate::http::schema::AccessTokenClaims;
use crate::http::state::State;

/// An access token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenVerifyRequest {
    /// The token to check.
    #[schema(example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln")]
    token: String,
}

impl Body for TokenVerifyRequest {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { token: fields.required("token", |text| Ok(text.to_owned()))? })
    }

    fn read_typed(bytes: &[u8]) -> Option<Self> {
        strict_json::parse_typed(bytes)
    }
}

/// A valid access token: its claims.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the answer, which is made of JSON that is there already")]
pub struct ActiveToken {
    /// Always true: the response to an invalid token is 401.
    #[schema(example = true)]
    active: bool,
    /// The token of the request.
    #[schema(example = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln")]
    token: String,
    #[serde(flatten)]
    claims: AccessTokenClaims,
}

#[utoipa::path(
    post,
    path = "/v1/token-verify",
    operation_id = "tokenVerify",
    tag = "token",
    summary = "Check an access token",
    description = "Returns the claims of a valid token, otherwise 401 with the reason. Checks signature, times (with 5 seconds of leeway) and the revocation list, in memory.",
    request_body(content = TokenVerifyRequest, example = json!({"token": "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiIsImtpZCI6Ii4uLiJ9.e30.c2ln"})),
    responses((status = 200, description = "The token is valid.", body = ActiveToken)),
    extensions(("x-error-codes" = json!(["token_invalid", "token_expired", "token_revoked", "unavailable"])))
)]
/// Validates a token.
pub async fn handle(
    state: web::Data<State>,
    Json(TokenVerifyRequest { token }): Json<TokenVerifyRequest>,
) -> Result<HttpResponse, ApiError> {
    let verified = state.flows.verify_token(&token)?;
    let answer = active_token(&token, &verified.claims_json);
    let json = HeaderValue::from_static("application/json");
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, json)).body(answer))
}

/// Returns the JSON of an [`ActiveToken`]. `claims` is an object with members, and a valid token
/// has no character that JSON escapes.
fn active_token(token: &str, claims: &str) -> String {
    [r#"{"active":true,"token":""#, token, r#"","#, claims.trim_start_matches('{')].concat()
}
