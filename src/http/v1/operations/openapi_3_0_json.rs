//! `GET /openapi-3.0.json`

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};

use crate::http::openapi;
use crate::http::serving::compressed::Compressed;

/// Built at the first request: a start need not wait for it.
static DOCUMENT: LazyLock<Compressed> = LazyLock::new(|| Compressed::new(openapi::compact_3_0()));

#[utoipa::path(
    get,
    path = "/openapi-3.0.json",
    operation_id = "openapi30",
    tag = "operations",
    summary = "This document in OpenAPI 3.0",
    description = "The same document for generators that do not know OpenAPI 3.1.",
    responses((status = 200, description = "The document.", body = Object, example = json!({"openapi": "3.0.3"})))
)]
/// Returns the document.
pub async fn handle(request: HttpRequest) -> HttpResponse {
    DOCUMENT.respond(&request)
}
