//! What happens around every request: an id, security headers, a line in the log, and an answer even
//! to a panic.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use actix_cors::CorsError;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::header::{
    CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use futures_util::FutureExt as _;
use tracing::Instrument as _;
use uuid::Uuid;

use super::blocking::State;
use super::code::Code;
use super::error::ApiError;
use super::metrics::Metrics;
use super::{openapi, request_id, routes};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Whether clients reach the service over TLS.
#[derive(Clone, Copy, Debug)]
pub struct Https(pub bool);

/// Wraps every request.
pub async fn surround(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let id = Uuid::new_v4().to_string();
    let https = request.app_data::<Https>().is_some_and(|https| https.0);
    let metrics = request.app_data::<web::Data<State>>().map(|state| Arc::clone(&state.metrics));
    let started = Instant::now();
    // The request must not be cloned before it is routed, so what has no response of its own goes
    // out as an error that brings one.
    let span = tracing::info_span!("request", request_id = id);
    let answer = request_id::scope(id.clone(), next.call(request).instrument(span.clone()));
    let answer = AssertUnwindSafe(answer);
    let lost = match answer.catch_unwind().await {
        // What a browser asks beforehand is answered before there is a route.
        Ok(Ok(response)) if is_cors_refusal(&response) => {
            ApiError::from(Code::OriginRejected).into()
        }
        Ok(Ok(mut response)) => {
            span.in_scope(|| {
                log_undocumented(&response);
                log(&response, started);
            });
            if let Some(metrics) = &metrics {
                count(metrics, &response, started);
            }
            add_headers(response.headers_mut(), &id, https);
            return Ok(response);
        }
        Ok(Err(error)) => error,
        Err(_panic) => ApiError::from(Code::InternalError).into(),
    };
    let mut response = request_id::scope(id.clone(), async { lost.error_response() }).await;
    span.in_scope(|| tracing::warn!(status = response.status().as_u16(), "request failed"));
    if let Some(metrics) = metrics {
        let code = lost.as_error::<ApiError>().map(|error| error.code);
        metrics.count(&Default::default(), response.status(), code, started.elapsed());
    }
    add_headers(response.headers_mut(), &id, https);
    Err(InternalError::from_response(lost, response).into())
}

fn is_cors_refusal<B>(response: &ServiceResponse<B>) -> bool {
    response.response().error().is_some_and(|error| error.as_error::<CorsError>().is_some())
}

/// The codes of each operation, by method and path pattern.
static DOCUMENTED: LazyLock<HashMap<(String, String), Vec<Code>>> = LazyLock::new(|| {
    routes::endpoints()
        .iter()
        .map(|endpoint| {
            let method = openapi::method_name(endpoint).to_uppercase();
            ((method, endpoint.path.clone()), openapi::error_codes(endpoint))
        })
        .collect()
});

/// An error that the document does not promise for this operation is a fault of ours. The client
/// gets it all the same; the tests hold every answer against the document.
fn log_undocumented<B>(response: &ServiceResponse<B>) {
    let Some(code) = api_error(response).map(|error| error.code) else { return };
    let operation = operation(response.request());
    if DOCUMENTED.get(&operation).is_some_and(|codes| !codes.contains(&code)) {
        tracing::error!(code = code.name(), ?operation, "undocumented error code");
    }
}

fn api_error<B>(response: &ServiceResponse<B>) -> Option<&ApiError> {
    response.response().error().and_then(|error| error.as_error())
}

/// Method and path as the document names them. Whoever asks for the headers alone gets them as GET does.
fn operation(request: &HttpRequest) -> (String, String) {
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let pattern = request.match_pattern().unwrap_or_default();
    (method.to_string(), pattern.trim_end_matches('/').to_owned())
}

fn add_headers(headers: &mut HeaderMap, id: &str, https: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    };
    default(X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(REFERRER_POLICY, "no-referrer");
    default(CACHE_CONTROL, "no-store");
    if https {
        default(STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(X_REQUEST_ID, id);
    }
}

fn count<B>(metrics: &Metrics, response: &ServiceResponse<B>, started: Instant) {
    let code = api_error(response).map(|error| error.code);
    metrics.count(&operation(response.request()), response.status(), code, started.elapsed());
}

/// One line a request: the pattern of the path, never the query or the body.
fn log<B>(response: &ServiceResponse<B>, started: Instant) {
    let request = response.request();
    let path = request.match_pattern().unwrap_or_else(|| "-".to_owned());
    let (method, status) = (request.method().as_str(), response.status().as_u16());
    let micros = started.elapsed().as_micros();
    if status >= 500 {
        tracing::warn!(method, path, status, micros, "request failed");
    } else {
        tracing::debug!(method, path, status, micros, "request");
    }
}
