//! Bearer authentication: the access token of `Authorization: Bearer` (RFC 6750).

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};

use crate::domain::PlainToken;
use crate::flows::{Caller, Claims, VerifiedToken};
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::state::State;

/// The claims of a valid token.
pub struct Bearer(pub Claims);

/// The claims of a request that may have no token.
pub struct OptionalBearer(pub Option<Claims>);

impl FromRequest for OptionalBearer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        if !request.headers().contains_key(AUTHORIZATION) {
            return ready(Ok(Self(None)));
        }
        ready(check(request).map(|token| Self(Some(token.claims.clone()))))
    }
}

impl FromRequest for Bearer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(check(request).map(|token| Bearer(token.claims.clone())))
    }
}

/// The sender of an administrative request: the holder of a valid access token, or a service. The
/// flow validates its API key.
pub struct Sender(pub Caller);

impl FromRequest for Sender {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(caller(request).map(Sender))
    }
}

fn caller(request: &HttpRequest) -> Result<Caller, ApiError> {
    let token = credentials(request)?;
    if token.starts_with(PlainToken::API_KEY_PREFIX) {
        return Ok(Caller::Service(PlainToken::presented(token)));
    }
    Ok(Caller::User(Box::new(check(request)?.claims.clone())))
}

/// Returns the token of a request, if it is valid.
pub fn check(request: &HttpRequest) -> Result<Arc<VerifiedToken>, ApiError> {
    let state = request.app_data::<web::Data<State>>().ok_or(Code::InternalError)?;
    Ok(state.flows.verify_token(credentials(request)?)?)
}

/// Returns the token of the `Authorization` header.
fn credentials(request: &HttpRequest) -> Result<&str, ApiError> {
    match authorization(request)? {
        (scheme, token) if scheme.eq_ignore_ascii_case("bearer") => Ok(token),
        _ => Err(Code::AuthenticationRequired.into()),
    }
}

/// Returns the scheme and the credentials of the `Authorization` header.
pub fn authorization(request: &HttpRequest) -> Result<(&str, &str), ApiError> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    // Rejects several `Authorization` headers: an upstream might use a different one.
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Code::AuthenticationRequired.into());
    };
    // `HeaderValue::to_str` looks at one byte after the other, of a token that has hundreds. The
    // parser of requests refuses control characters.
    let header = std::str::from_utf8(header.as_bytes()).ok().filter(|header| header.is_ascii());
    let parts = header.and_then(|header| header.trim().split_once(' '));
    let (scheme, credentials) = parts.ok_or(Code::AuthenticationRequired)?;
    Ok((scheme, credentials.trim()))
}
