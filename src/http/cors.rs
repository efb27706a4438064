//! Cross-origin requests of browsers (the CORS protocol of the Fetch standard): an exact list of
//! origins.

use actix_cors::Cors;
use actix_web::http::Method;
use actix_web::http::header::{
    ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, LOCATION,
    RETRY_AFTER, WWW_AUTHENTICATE,
};

/// How long browsers may remember what is allowed, in seconds.
const MAX_AGE: usize = 600;

/// Lets pages of these origins call the service, with cookies. Pages of others get no header that would
/// let them read an answer.
pub fn allow(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT_LANGUAGE, IF_NONE_MATCH])
        .expose_headers([
            ETAG,
            LOCATION,
            RETRY_AFTER,
            WWW_AUTHENTICATE,
            HeaderName::from_static("x-request-id"),
        ])
        .supports_credentials()
        .max_age(MAX_AGE);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}
