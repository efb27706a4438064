//! Cross-origin requests of browsers (the CORS protocol of the Fetch standard): an exact list of
//! origins.

use actix_cors::{Cors, CorsError};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_HEADERS, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};

use crate::http::browsers::Origins;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::serving::production_limit::X_PRODUCTION_LIMIT;
use crate::http::serving::request_id::X_REQUEST_ID;

/// Time for which browsers may cache the permissions, in seconds.
const MAX_AGE: usize = 600;

/// Request headers that pages may send: those that the service reads, and harmless ones that
/// libraries and tracing add to every request.
const HEADERS: [&str; 63] = [
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
    "expires",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "newrelic",
    "ngsw-bypass",
    "ot-tracer-sampled",
    "ot-tracer-spanid",
    "ot-tracer-traceid",
    "pragma",
    "priority",
    "range",
    "request-context",
    "request-id",
    "save-data",
    "sentry-trace",
    "traceparent",
    "tracestate",
    "uber-trace-id",
    "user-agent",
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
    "x-datadog-sampled",
    "x-datadog-sampling-priority",
    "x-datadog-tags",
    "x-datadog-trace-id",
    "x-dtpc",
    "x-dtreferer",
    "x-honeycomb-trace",
    "x-instana-l",
    "x-instana-s",
    "x-instana-t",
    "x-ms-request-id",
    "x-ms-request-root-id",
    "x-newrelic-id",
    "x-ot-span-context",
    "x-request-id",
    "x-requested-with",
    "x-trace-id",
    "x-xsrf-token",
];

/// Request methods that pages may use.
const METHODS: [Method; 6] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// Permits pages of these origins to call the service, with cookies and with these headers besides
/// the usual ones. Pages of other origins get no header that permits them to read a response.
pub fn allow(origins: &Origins, headers: &[String]) -> Cors {
    let origins = origins.clone();
    Cors::default()
        .allowed_origin_fn(move |origin, _| {
            origin.to_str().is_ok_and(|origin| origins.allows(origin))
        })
        .allowed_methods(METHODS)
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

/// Returns the elements of `Access-Control-Request-Headers` without the empty ones, which a
/// recipient of a list ignores (RFC 9110 section 5.6.1).
fn requested_headers(headers: &HeaderMap) -> Vec<&str> {
    let lines = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).filter_map(|it| it.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).collect()
}

/// Removes empty elements from `Access-Control-Request-Headers`, since `actix-cors` refuses them.
pub fn drop_empty_elements(headers: &mut HeaderMap) {
    let are_texts = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).all(|it| it.to_str().is_ok());
    if !headers.contains_key(ACCESS_CONTROL_REQUEST_HEADERS) || !are_texts {
        return;
    }
    let names = requested_headers(headers).join(",");
    headers.remove(ACCESS_CONTROL_REQUEST_HEADERS);
    if let Ok(names) = HeaderValue::from_str(&names)
        && !names.is_empty()
    {
        headers.insert(ACCESS_CONTROL_REQUEST_HEADERS, names);
    }
}

/// Returns the response to a refused preflight.
pub fn refusal(cause: &CorsError) -> ApiError {
    let refused = ApiError::from(Code::OriginRejected);
    match cause {
        CorsError::HeadersNotAllowed => {
            refused.with_detail("The page may not send these request headers.")
        }
        CorsError::BadRequestHeaders => {
            refused.with_detail("The names of the request headers cannot be read.")
        }
        CorsError::MethodNotAllowed => refused.with_detail("The page may not use this method."),
        _ => refused,
    }
}

/// Number of refused headers that are logged. A client chooses them.
const MOST_NAMES: usize = 10;
/// Number of characters of a refused header that are logged.
const LONGEST_NAME: usize = 64;

/// Returns the requested headers that neither the service nor its setting permits.
pub fn refused_headers(headers: &HeaderMap, allowed: &[String]) -> Vec<String> {
    let is_refused = |name: &HeaderName| {
        let name = name.as_str();
        !HEADERS.contains(&name) && !allowed.iter().any(|it| it.eq_ignore_ascii_case(name))
    };
    let names = requested_headers(headers).into_iter();
    let names = names.filter_map(|name| name.parse::<HeaderName>().ok()).filter(is_refused);
    let names = names.map(|name| name.as_str().chars().take(LONGEST_NAME).collect());
    names.take(MOST_NAMES).collect()
}
