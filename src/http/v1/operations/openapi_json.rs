//! `GET /openapi.json`

use std::sync::LazyLock;

use actix_web::{HttpRequest, HttpResponse};

use crate::http::openapi;
use crate::http::serving::compressed::Compressed;

/// Built at the first request: a start need not wait for it.
static DOCUMENT: LazyLock<Compressed> = LazyLock::new(|| Compressed::new(openapi::compact()));

#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    summary = "This document",
    description = "The OpenAPI 3.1 document of the running version.",
    responses((status = 200, description = "The document.", body = Object, example = json!({"openapi": "3.1.0"})))
)]
/// Returns the document.
pub async fn handle(request: HttpRequest) -> HttpResponse {
    DOCUMENT.respond(&request)
}
