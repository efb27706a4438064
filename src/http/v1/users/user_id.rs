//! The user id in a path.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};

use crate::domain::UserId;

/// `{id}` of a path. A text that is not a number becomes the id of no account, so that a client
/// without rights gets the same refusal for every path.
pub struct UserIdInPath(pub UserId);

impl FromRequest for UserIdInPath {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let number = request.match_info().get("id").and_then(|id| id.parse().ok());
        ready(Ok(Self(number.map_or(UserId::NONE, UserId))))
    }
}
