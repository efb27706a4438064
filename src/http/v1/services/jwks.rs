//! `GET /.well-known/jwks.json`

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::state::State;

/// The public keys that validate access tokens (RFC 7517). Empty with HS256, where the key is a
/// shared secret.
#[derive(Serialize, ToSchema)]
pub struct JwkSet {
    /// The keys; the one that signs comes first.
    #[schema(value_type = Vec<Jwk>)]
    keys: Vec<serde_json::Value>,
}

/// A public key (RFC 7517). The later members depend on `kty` (RFC 7518 section 6, RFC 8037).
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes the keys, which `security::keys` serialises")]
pub struct Jwk {
    /// The key type.
    #[schema(example = "EC")]
    kty: String,
    /// Its id in token headers.
    #[schema(example = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs")]
    kid: String,
    /// Always `sig`.
    #[schema(rename = "use", example = "sig")]
    public_key_use: String,
    /// The algorithm it signs with.
    #[schema(example = "ES256")]
    alg: String,
    /// The curve.
    #[schema(required = false, nullable = false, example = "P-256")]
    crv: Option<String>,
    /// A coordinate, or an Ed25519 key.
    #[schema(
        required = false,
        nullable = false,
        example = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
    )]
    x: Option<String>,
    /// The other coordinate.
    #[schema(
        required = false,
        nullable = false,
        example = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
    )]
    y: Option<String>,
    /// The modulus of an RSA key.
    #[schema(required = false, nullable = false)]
    n: Option<String>,
    /// The exponent of an RSA key.
    #[schema(required = false, nullable = false, example = "AQAB")]
    e: Option<String>,
}

#[utoipa::path(
    get,
    path = "/.well-known/jwks.json",
    operation_id = "jwks",
    tag = "token",
    summary = "Public keys",
    description = "For services that check access tokens themselves: the key that signs, the next \
                   one before it signs, and those before until their last token has expired.",
    responses((status = 200, description = "The keys.", body = JwkSet))
)]
/// Returns the public keys.
pub async fn handle(state: web::Data<State>) -> HttpResponse {
    let keys = state.flows.public_keys();
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(JwkSet { keys })
}
