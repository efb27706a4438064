//! The metadata of the service (RFC 8414, OpenID Connect Discovery 1.0). A library with the issuer
//! finds keys and endpoints in it. It lists only what exists.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use serde::Serialize;
use utoipa::ToSchema;

use crate::flows::Flows;

/// Ways to present an API key as a client secret (RFC 7591 section 2).
const SECRET: [&str; 2] = ["client_secret_basic", "client_secret_post"];

/// Path of the documentation: the pages for people, where the binary has them.
const DOCUMENTATION: &str = if cfg!(feature = "docs-ui") { "/docs/" } else { "/openapi.json" };

/// Metadata of the authorization server (RFC 8414 section 2). There are no authorization endpoint
/// and no id tokens.
#[derive(Serialize, ToSchema)]
pub struct ServerMetadata {
    /// The issuer, the `iss` of access tokens.
    #[schema(example = "http://127.0.0.1:8000")]
    issuer: String,
    /// URL of the public keys (RFC 7517).
    #[schema(example = "http://127.0.0.1:8000/.well-known/jwks.json")]
    jwks_uri: String,
    /// URL that exchanges refresh tokens (RFC 6749 section 6).
    #[schema(example = "http://127.0.0.1:8000/v1/token-refresh")]
    token_endpoint: String,
    /// Authentication of clients at the token endpoint: none, they are public.
    #[schema(example = json!(["none"]))]
    token_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Grants of the token endpoint.
    #[schema(example = json!(["refresh_token"]))]
    grant_types_supported: Vec<&'static str>,
    /// URL of token introspection (RFC 7662).
    #[schema(example = "http://127.0.0.1:8000/v1/introspect")]
    introspection_endpoint: String,
    /// Ways to present an API key for introspection.
    #[schema(example = json!(["client_secret_basic", "client_secret_post", "Bearer"]))]
    introspection_endpoint_auth_methods_supported: Vec<&'static str>,
    /// URL of token revocation (RFC 7009).
    #[schema(example = "http://127.0.0.1:8000/v1/revoke")]
    revocation_endpoint: String,
    /// Ways to present an API key for revocation.
    #[schema(example = json!(["client_secret_basic", "client_secret_post"]))]
    revocation_endpoint_auth_methods_supported: Vec<&'static str>,
    /// Response types of an authorization endpoint: none.
    #[schema(example = json!([]))]
    response_types_supported: Vec<&'static str>,
    /// Forms of `sub`: the user id, the same for all clients.
    #[schema(example = json!(["public"]))]
    subject_types_supported: Vec<&'static str>,
    /// Algorithms that access tokens are signed with. Libraries that check access tokens read them
    /// here.
    #[schema(example = json!(["ES256"]))]
    id_token_signing_alg_values_supported: Vec<&'static str>,
    /// URL of the documentation.
    #[schema(example = "http://127.0.0.1:8000/docs/")]
    service_documentation: String,
}

/// Returns the metadata; shared caches may keep them.
pub(super) fn respond(flows: &Flows) -> HttpResponse {
    HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=300")).json(metadata(flows))
}

fn metadata(flows: &Flows) -> ServerMetadata {
    let issuer = flows.issuer();
    let url = |path: &str| format!("{issuer}{path}");
    ServerMetadata {
        issuer: issuer.to_owned(),
        jwks_uri: url("/.well-known/jwks.json"),
        token_endpoint: url("/v1/token-refresh"),
        token_endpoint_auth_methods_supported: vec!["none"],
        grant_types_supported: vec!["refresh_token"],
        introspection_endpoint: url("/v1/introspect"),
        introspection_endpoint_auth_methods_supported: [&SECRET[..], &["Bearer"]].concat(),
        revocation_endpoint: url("/v1/revoke"),
        revocation_endpoint_auth_methods_supported: SECRET.to_vec(),
        response_types_supported: Vec::new(),
        subject_types_supported: vec!["public"],
        id_token_signing_alg_values_supported: flows.signing_algorithms(),
        service_documentation: url(DOCUMENTATION),
    }
}
