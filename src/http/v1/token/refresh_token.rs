//! Transport of a refresh token: the body or the cookie.

use actix_web::HttpRequest;
use utoipa::ToSchema;

use crate::domain::{Fault, PlainToken, Transport};
use crate::flows::FieldFault;
use crate::http::body::{Body, Fields};
use crate::http::browsers::{Browsers, refresh_cookies};
use crate::http::error::ApiError;

/// The refresh token, in the body or in the cookie.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what `RefreshTokenBody` is read from")]
pub struct RefreshTokenRequest {
    /// The newest refresh token of the session. Not given with `use_cookie`.
    #[schema(
        required = false,
        nullable = false,
        example = "hpr_9iT1b5zJm4M0l3yq7nR2vXwK8sD6cF0gH1jL5pQ4eUo"
    )]
    refresh_token: Option<String>,
    /// The token is in the cookie, in cookie mode.
    #[schema(example = false)]
    use_cookie: Option<bool>,
}

/// The same, read.
pub struct RefreshTokenBody {
    refresh_token: Option<PlainToken>,
    use_cookie: Option<bool>,
}

impl Body for RefreshTokenBody {
    fn read(fields: &mut Fields) -> Option<Self> {
        let refresh_token =
            fields.optional("refresh_token", |text| Ok(PlainToken::presented(text)));
        Some(Self { refresh_token, use_cookie: fields.flag("use_cookie") })
    }
}

impl RefreshTokenBody {
    /// The token and its transport; none if the cookie is missing, several if there are several
    /// cookies of that name. A token of one transport is never answered in the other.
    pub fn presented(
        self,
        request: &HttpRequest,
        browsers: &Browsers,
    ) -> Result<(Vec<PlainToken>, Transport), ApiError> {
        let wants_cookie = self.use_cookie == Some(true);
        browsers.check(request, wants_cookie)?;
        let fault = |fault| ApiError::invalid(vec![FieldFault::new("refresh_token", fault)]);
        let in_cookies = refresh_cookies(request);
        match self.refresh_token {
            Some(_) if wants_cookie => Err(fault(Fault::InvalidFormat)),
            Some(token) => Ok((vec![token], Transport::Body)),
            None if in_cookies.is_empty() && !wants_cookie => Err(fault(Fault::Required)),
            None => Ok((in_cookies, Transport::Cookie)),
        }
    }
}
