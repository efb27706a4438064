//! `POST /v1/introspect`

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::flows::{ActiveRefreshToken, Introspection};
use crate::http::error::ApiError;
use crate::http::request::service_credentials::Presented;
use crate::http::state::State;
use crate::http::v1::services::token_request::{TokenParameters, TokenRequest};

/// The state of a token (RFC 7662 section 2.2). An active access token has all of its claims here.
#[derive(Default, Serialize, ToSchema)]
pub struct IntrospectionAnswer {
    /// True if the token is valid. If false, there are no other members.
    #[schema(example = true)]
    active: bool,
    /// `Bearer` for an access token, `refresh_token` for a refresh token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, value_type = String, example = "Bearer")]
    token_type: Option<&'static str>,
    /// The user id as a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "7")]
    sub: Option<String>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "mina")]
    username: Option<String>,
    /// The session.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "0199d2a0-7a1e-7c43-9d5b-0f4f6f1f2a10")]
    sid: Option<String>,
    /// The client that the token was issued to.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "hallpass")]
    client_id: Option<String>,
    /// The issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = "http://127.0.0.1:8000")]
    iss: Option<String>,
    /// Time of expiry, in seconds since the epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, nullable = false, example = 1_800_000_300)]
    exp: Option<i64>,
}

#[utoipa::path(
    post,
    path = "/v1/introspect",
    operation_id = "introspectToken",
    tag = "services",
    summary = "Introspect a token",
    description = "Token introspection (RFC 7662), for services with an API key of the scope `introspect`. Send the key as the password of HTTP Basic, as `client_secret` of the form, or as a Bearer token. An expired, revoked, foreign or malformed token is answered `{\"active\": false}`.",
    request_body(content = TokenParameters, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The state of the token.", body = IntrospectionAnswer)),
    security(("api_key" = []), ("client_secret" = [])),
    extensions(("x-error-codes" = json!(["permission_denied"])))
)]
/// Introspects a token.
pub async fn handle(
    state: web::Data<State>,
    TokenRequest { presented: Presented { key, scheme }, token }: TokenRequest,
) -> Result<HttpResponse, ApiError> {
    let found = state.run(move |flows| flows.introspect(&key, &token)).await;
    Ok(match found.map_err(|error| scheme.refused(error).of_oauth())? {
        Introspection::Inactive => HttpResponse::Ok().json(IntrospectionAnswer::default()),
        Introspection::Access(token) => {
            let claims = token.claims_json.trim_start_matches('{');
            let body = [r#"{"active":true,"token_type":"Bearer","#, claims].concat();
            HttpResponse::Ok().insert_header(ContentType::json()).body(body)
        }
        Introspection::Refresh(token) => {
            HttpResponse::Ok().json(refresh_token(*token, state.flows.issuer()))
        }
    })
}

fn refresh_token(token: ActiveRefreshToken, issuer: &str) -> IntrospectionAnswer {
    IntrospectionAnswer {
        active: true,
        token_type: Some("refresh_token"),
        sub: Some(token.user.id.to_string()),
        username: Some(token.user.username.as_str().to_owned()),
        sid: Some(token.session_id.0),
        client_id: Some(token.client_id),
        iss: Some(issuer.to_owned()),
        exp: Some(token.expires_at.seconds()),
    }
}
