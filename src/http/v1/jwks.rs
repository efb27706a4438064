//! `GET /.well-known/jwks.json`

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::blocking::State;

/// The keys that access tokens are checked with (RFC 7517). Empty with HS256, where the key is a
/// shared secret.
#[derive(Serialize, ToSchema)]
pub struct JwkSet {
    /// The keys; the one that signs comes first.
    #[schema(value_type = Vec<Object>, example = json!([{"use": "sig", "kid": "PdYU", "kty": "EC", "crv": "P-256", "alg": "ES256", "x": "f83OJ3D2", "y": "x_FEzRu9"}]))]
    keys: Vec<serde_json::Value>,
}

#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "token",
    summary = "Public keys",
    description = "For services that check access tokens themselves.",
    responses((status = 200, description = "The keys.", body = JwkSet))
)]
/// Tells the public keys.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    let keys: Vec<serde_json::Value> =
        state.flows.gate.public_keys().into_iter().cloned().collect();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(JwkSet { keys })
}
