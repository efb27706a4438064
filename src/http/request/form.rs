//! Bodies of OAuth endpoints: `application/x-www-form-urlencoded` (RFC 6749 appendix B). Unknown
//! parameters are ignored and empty ones count as missing, as RFC 6749 section 3.2 requires; no
//! parameter may occur twice.

use std::future::Future;
use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use serde_json::Map;

use crate::domain::Fault;
use crate::flows::FieldFault;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::body::{Body, Fields, collect_small};

/// A form of type `T`, extracted from a request.
pub struct Form<T>(pub T);

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
        let (is_form, request) = (is_form(request), request.clone());
        let body = collect_small(&request, payload);
        Box::pin(async move {
            if !is_form {
                return Err(Code::UnsupportedMediaType.into());
            }
            let body = body.await?;
            read(&body.bytes, &request).map(Self)
        })
    }
}

fn read<T: Body>(body: &[u8], request: &HttpRequest) -> Result<T, ApiError> {
    let (mut object, mut faults) = (Map::new(), Vec::new());
    for (name, value) in form_urlencoded::parse(body).filter(|(_, value)| !value.is_empty()) {
        if object.insert(name.to_string(), value.as_ref().into()).is_some() {
            faults.push(FieldFault::new(
                name.chars().take(100).collect::<String>(),
                Fault::InvalidFormat,
            ));
        }
    }
    let mut fields = Fields::new(object, faults, request.app_data());
    let read = T::read(&mut fields);
    fields.finish_open(read)
}
