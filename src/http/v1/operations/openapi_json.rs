//! `GET /openapi.json`

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::Bytes;

use crate::http::openapi;
use crate::http::serving::slices;

/// Built at the first request: a start need not wait for it.
static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::document);

#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = "operations",
    summary = "This document",
    description = "The OpenAPI 3.1 document of the running version.",
    responses((status = 200, description = "The document.", body = Object, example = json!({"openapi": "3.1.0"})))
)]
/// Sends the document.
pub async fn handle() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(slices::of(Bytes::from_static(DOCUMENT.as_bytes())))
}
