//! `GET /openapi.json`

use actix_web::{HttpResponse, web};

/// The text of the document, made once.
pub struct Document(pub String);

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
pub async fn handle(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}
