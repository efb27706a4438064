//! Bodies of OAuth endpoints: `application/x-www-form-urlencoded` (RFC 6749 appendix B). Unknown
//! parameters are ignored and empty ones count as missing, as RFC 6749 section 3.2 requires; no
//! parameter may occur twice.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::Map;

use crate::domain::Fault;
use crate::flows::FieldFault;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Collected, Fields, collect_small};

/// A form of type `T`, extracted from a request.
pub struct Form<T>(pub T);

/// A form that was received, before its fields are read.
pub struct Received {
    request: HttpRequest,
    body: Collected,
}

/// Returns whether the content type of a request is that of a form.
pub fn is_form(request: &HttpRequest) -> bool {
    use actix_web::HttpMessage as _;
    request.content_type().eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && !request.headers().contains_key("content-encoding")
}

impl<T: Body> FromRequest for Form<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let form = Received::from_request(request, payload);
        Box::pin(async move { form.await?.read().map(Self) })
    }
}

impl FromRequest for Received {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (is_form, request) = (is_form(request), request.clone());
        let body = collect_small(&request, payload);
        Box::pin(async move {
            if !is_form {
                return Err(Code::UnsupportedMediaType.into());
            }
            Ok(Self { body: body.await?, request })
        })
    }
}

impl Received {
    /// Returns the first value of a parameter, whatever else the form has.
    pub fn value(&self, name: &str) -> Option<String> {
        let found = self.parameters().find(|(known, _)| known == name);
        found.map(|(_, value)| value.into_owned())
    }

    /// Reads the fields.
    pub fn read<T: Body>(&self) -> Result<T, ApiError> {
        let (mut object, mut faults) = (Map::new(), Vec::new());
        for (name, value) in self.parameters() {
            if object.insert(name.to_string(), value.as_ref().into()).is_some() {
                faults.push(FieldFault::new(
                    name.chars().take(100).collect::<String>(),
                    Fault::InvalidFormat,
                ));
            }
        }
        let mut fields = Fields::new(object, faults, self.request.app_data());
        let read = T::read(&mut fields);
        fields.finish_open(read)
    }

    fn parameters(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        form_urlencoded::parse(&self.body.bytes).filter(|(_, value)| !value.is_empty())
    }
}
