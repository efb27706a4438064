//! Cross-origin requests of browsers (the CORS protocol of the Fetch standard): an exact list of
//! origins.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};

use crate::http::browsers::Origins;
use crate::http::serving::production_limit::X_PRODUCTION_LIMIT;
use crate::http::serving::request_id::X_REQUEST_ID;

/// Time for which browsers may cache the permissions, in seconds.
const MAX_AGE: usize = 600;

/// Request headers that pages may send: those that the service reads, and harmless ones that
/// libraries and tracing add to every request.
const HEADERS: [&str; 40] = [
    "accept",
    "accept-language",
    "authorization",
    "b3",
    "baggage",
    "cache-control",
    "content-language",
    "content-type",
    "dnt",
    "elastic-apm-traceparent",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "newrelic",
    "pragma",
    "priority",
    "request-context",
    "request-id",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "x-amzn-trace-id",
    "x-b3-flags",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-client-data",
    "x-cloud-trace-context",
    "x-correlation-id",
    "x-csrf-token",
    "x-csrftoken",
    "x-datadog-origin",
    "x-datadog-parent-id",
    "x-datadog-sampling-priority",
    "x-datadog-trace-id",
    "x-request-id",
    "x-requested-with",
];

/// Permits pages of these origins to call the service, with cookies and with these headers besides
/// the usual ones. Pages of other origins get no header that permits them to read a response.
pub fn allow(origins: &Origins, headers: &[String]) -> Cors {
    let origins = origins.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            origin.to_str().is_ok_and(|origin| origins.allows(origin))
        })
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers(HEADERS)
        .allowed_headers(headers.iter().map(String::as_str))
        .expose_headers([
            ETAG,
            LOCATION,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            X_PRODUCTION_LIMIT,
            X_REQUEST_ID,
        ])
        .supports_credentials()
        .max_age(MAX_AGE)
}
