//! Bearer authentication: the access token of `Authorization: Bearer` (RFC 6750).

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpRequest, web};

use super::blocking::State;
use super::code::Code;
use super::error::ApiError;
use crate::flows::{Claims, VerifiedToken};

/// The holder of a token that counts.
pub struct Bearer(pub Claims);

/// The holder of the token of a request that may have none.
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

/// The request's token, if it counts.
pub fn check(request: &HttpRequest) -> Result<Arc<VerifiedToken>, ApiError> {
    let state = request.app_data::<web::Data<State>>().ok_or(Code::InternalError)?;
    let mut headers = request.headers().get_all(AUTHORIZATION);
    // Rejects several `Authorization` headers: an upstream might use a different one.
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return Err(Code::AuthenticationRequired.into());
    };
    let (scheme, token) = header
        .to_str()
        .ok()
        .and_then(|header| header.trim().split_once(' '))
        .ok_or(Code::AuthenticationRequired)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::AuthenticationRequired.into());
    }
    Ok(state.flows.verify_token(token.trim())?)
}
