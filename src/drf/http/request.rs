//! A request as the views see it, without the connection.

use actix_web::HttpRequest;
use actix_web::http::header;
use actix_web::web::Payload;

use crate::domain::Device;
use crate::drf::http::body::{self, Unreadable};
use crate::drf::http::pages::{Found, Page};
use crate::drf::http::parsing::form;
use crate::drf::http::parsing::value::Submitted;
use crate::flows::LoginContext;
use crate::http::code::Code;
use crate::http::request::body::{Collected, collect};
use crate::http::serving::backpressure::Intake;

/// A request of the adapter.
#[derive(Debug)]
pub struct Request {
    /// The method as received.
    pub method: String,
    /// The page of the path.
    pub page: Page,
    /// The format in the URL.
    pub format: Option<String>,
    /// The `Accept` header.
    pub accept: Option<String>,
    /// The `Authorization` header.
    pub authorization: Option<Vec<u8>>,
    /// Network and device of the client, for the limits.
    pub login_context: LoginContext,
    /// Prefix of links in the response, such as `http://host`.
    pub origin: String,
    content_type: String,
    body: Result<Collected, Code>,
}

/// Reasons why a request has no fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoFields {
    /// The body could not be read.
    Unreadable(Unreadable),
    /// The body was not received, not in time, or is too long.
    NotReceived(Code),
    /// JSON `null`.
    Null,
    /// JSON that is not an object; the name of its type.
    NoObject(&'static str),
}

impl Request {
    /// Extracts the relevant parts of a request and receives its body. `public_url` replaces an
    /// invalid `Host`.
    pub async fn receive(
        request: &HttpRequest,
        payload: Payload,
        Found { page, format }: Found,
        device: Device,
        public_url: &str,
    ) -> Self {
        let method = request.method().as_str().to_owned();
        let body = match method.as_str() {
            "POST" | "PUT" | "PATCH" => {
                collect(&Intake::of(request), payload.into_inner(), body::MAX_BYTES).await
            }
            _ => Ok(Collected::default()),
        };
        Self {
            method,
            page,
            format: format.or_else(|| form::query_value(request.query_string(), "format")),
            accept: joined(request, &header::ACCEPT)
                .map(|value| crate::drf::http::parsing::charset::latin1(&value)),
            authorization: joined(request, &header::AUTHORIZATION),
            login_context: LoginContext { device, device_token: None },
            origin: origin(request, public_url),
            content_type: last(request, &header::CONTENT_TYPE),
            body: body.map_err(|error| error.code),
        }
    }

    /// Parses the fields.
    pub fn fields(&self) -> Result<crate::drf::http::parsing::value::Fields, NoFields> {
        let body = self.body.as_ref().map_err(|code| NoFields::NotReceived(*code))?;
        match body::read(&body.bytes, &self.content_type).map_err(NoFields::Unreadable)? {
            Submitted::Fields(fields) => Ok(fields),
            Submitted::Null => Err(NoFields::Null),
            Submitted::Other(name) => Err(NoFields::NoObject(name)),
        }
    }
}

/// Returns all values of a header joined into one, as the reference's server does.
fn joined(request: &HttpRequest, name: &header::HeaderName) -> Option<Vec<u8>> {
    let values: Vec<&[u8]> = request.headers().get_all(name).map(AsRef::as_ref).collect();
    (!values.is_empty()).then(|| values.join(&b","[..]))
}

fn last(request: &HttpRequest, name: &header::HeaderName) -> String {
    let value = request.headers().get_all(name).last();
    value
        .map(|value| crate::drf::http::parsing::charset::latin1(value.as_bytes()))
        .unwrap_or_default()
}

fn origin(request: &HttpRequest, public_url: &str) -> String {
    let (scheme, rest) = public_url.split_once("://").unwrap_or(("http", public_url));
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let own = rest.split('/').next().unwrap_or_default();
    format!("{scheme}://{}", host.filter(|host| is_host(host)).unwrap_or(own))
}

/// Returns whether `text` consists of letters, digits, dots and hyphens, or is an IPv6 literal,
/// with or without a port.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let literal = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_named = match literal {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        }
    };
    is_named && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_can_stand_in_a_link() {
        for good in ["a", "login.Example.com:8443", "127.0.0.1:80", "[::1]", "[::1]:8000"] {
            assert!(is_host(good), "{good}");
        }
        for bad in
            ["", ":80", "a/b", "a@b", "a b", "a:b", "a:99999", "[x]", "\"", "a<b", "[::1", "a:"]
        {
            assert!(!is_host(bad), "{bad}");
        }
    }
}
