//! Bodies of requests with a refresh token, which is in the body or in the cookie.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use utoipa::ToSchema;

use crate::domain::{Fault, PlainToken, Transport};
use crate::flows::FieldFault;
use crate::http::browsers::{Browsers, refresh_cookies};
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, Json};
use crate::http::request::form::{Form, is_form};

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

/// The parsed body.
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

/// A form of RFC 6749 section 6.
pub struct RefreshGrant(RefreshTokenBody);

impl Body for RefreshGrant {
    fn read(fields: &mut Fields) -> Option<Self> {
        let grant = fields.required("grant_type", |grant| match grant {
            "refresh_token" => Ok(()),
            _ => Err(Fault::InvalidFormat),
        });
        let token = fields.required("refresh_token", |text| Ok(PlainToken::presented(text)));
        grant?;
        Some(Self(RefreshTokenBody { refresh_token: Some(token?), use_cookie: None }))
    }
}

/// A refresh token in JSON, or in the form that OAuth libraries send. A form uses no cookie:
/// browsers send forms from any page.
pub struct JsonOrForm(pub RefreshTokenBody);

impl FromRequest for JsonOrForm {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if is_form(request) {
            let form = Form::<RefreshGrant>::from_request(request, payload);
            return Box::pin(async move {
                let form = form.await.map_err(ApiError::of_oauth);
                form.map(|Form(RefreshGrant(body))| Self(body))
            });
        }
        let json = Json::<RefreshTokenBody>::from_request(request, payload);
        Box::pin(async move { json.await.map(|Json(body)| Self(body)) })
    }
}

/// The refresh token of a request.
pub struct PresentedTokens {
    /// The token; none if the cookie is missing, several if there are several cookies of that name.
    pub tokens: Vec<PlainToken>,
    /// The transport of the request, which the response uses too.
    pub transport: Transport,
}

impl RefreshTokenBody {
    /// Returns the token of the body or of the cookie.
    ///
    /// # Errors
    /// The page may not use the cookie, or there is a token in the body in cookie mode, or none at
    /// all.
    pub fn presented(
        self,
        request: &HttpRequest,
        browsers: &Browsers,
    ) -> Result<PresentedTokens, ApiError> {
        let wanted = Transport::wanted(self.use_cookie);
        browsers.check(request, wanted)?;
        let fault = |fault| ApiError::invalid(vec![FieldFault::new("refresh_token", fault)]);
        let in_cookies = refresh_cookies(request);
        match self.refresh_token {
            Some(_) if wanted == Transport::Cookie => {
                let both = "refresh_token and use_cookie exclude each other: send one of them.";
                Err(fault(Fault::InvalidFormat).with_detail(both))
            }
            Some(token) => Ok(PresentedTokens { tokens: vec![token], transport: Transport::Body }),
            None if in_cookies.is_empty() && wanted == Transport::Body => {
                Err(fault(Fault::Required))
            }
            None => Ok(PresentedTokens { tokens: in_cookies, transport: Transport::Cookie }),
        }
    }
}
