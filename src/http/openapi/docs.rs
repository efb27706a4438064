//! Swagger UI at `/docs/`, from files inside the binary.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, web};
use utoipa_swagger_ui::Config;

use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::serving::resource::readable;
use crate::http::serving::slices;

/// Swagger UI sets styles on elements; scripts are loaded from its files only.
const CSP: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                   frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Registers the pages.
pub fn configure(app: &mut web::ServiceConfig) {
    let config = Arc::new(Config::from("../openapi.json"));
    app.service(readable(web::resource("/docs"), || async {
        HttpResponse::PermanentRedirect().insert_header((LOCATION, "docs/")).finish()
    }))
    .service(readable(web::resource("/docs/{file:.*}"), move |file: web::Path<String>| {
        let page = serve(&file, Arc::clone(&config));
        async move { page }
    }));
}

/// Returns a file. Files inside the binary need no copy.
fn shared(bytes: Cow<'static, [u8]>) -> Bytes {
    match bytes {
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

fn with_charset(kind: String) -> String {
    if kind.starts_with("text/") { kind + "; charset=utf-8" } else { kind }
}

fn serve(file: &str, config: Arc<Config<'static>>) -> Result<HttpResponse, ApiError> {
    match utoipa_swagger_ui::serve(file, config) {
        Ok(Some(file)) => Ok(HttpResponse::Ok()
            .insert_header((CONTENT_SECURITY_POLICY, CSP))
            .content_type(with_charset(file.content_type))
            .body(slices::of(shared(file.bytes)))),
        Ok(None) => Err(Code::NotFound.into()),
        Err(error) => {
            tracing::error!(%error, "cannot serve the API documentation");
            Err(Code::InternalError.into())
        }
    }
}
