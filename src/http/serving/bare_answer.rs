//! Bare responses of actix-http to malformed requests, and the problem documents in their place.

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::http::header::CONTENT_LENGTH;

use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::metrics::Metrics;
use crate::http::serving::middleware::{Https, Surroundings};

/// A bare response of actix-http: a status and no body.
pub(super) struct BareAnswer<'a> {
    /// Offset of its first byte.
    pub(super) start: usize,
    version: &'a str,
    code: Code,
    date: &'a str,
}

impl<'a> BareAnswer<'a> {
    /// Longer than the longest one.
    const MAX: usize = 160;
    const STATUSES: [(&'static str, Code); 4] = [
        (" 400 Bad Request", Code::MalformedRequest),
        (" 408 Request Timeout", Code::RequestTimeout),
        (" 431 Request Header Fields Too Large", Code::HeaderFieldsTooLarge),
        (" 500 Internal Server Error", Code::InternalError),
    ];

    /// Returns the bare response at the end of `bytes`. No response of a route has this form: its
    /// head has more fields, and no body contains a bare line feed and the form of a head.
    pub(super) fn at_the_end_of(bytes: &'a [u8]) -> Option<Self> {
        if !bytes.ends_with(b"\r\n\r\n") {
            return None;
        }
        let end = &bytes[bytes.len().saturating_sub(Self::MAX)..];
        let from = memchr::memrchr_iter(b'H', end).find(|at| end[*at..].starts_with(b"HTTP/1."))?;
        let head = std::str::from_utf8(&end[from..]).ok()?;
        let (version, rest) = head.split_at_checked("HTTP/1.1".len())?;
        let (code, rest) = Self::STATUSES
            .iter()
            .find_map(|(status, code)| Some((*code, rest.strip_prefix(status)?)))?;
        let rest = rest.strip_prefix("\r\ncontent-length: 0\r\n")?;
        let rest = rest.strip_prefix("connection: close\r\n").unwrap_or(rest);
        let rest = rest.strip_prefix("connection: keep-alive\r\n").unwrap_or(rest);
        let date = rest.strip_prefix("date: ")?.strip_suffix("\r\n\r\n")?;
        let start = bytes.len() - head.len();
        (!date.contains('\r')).then_some(Self { start, version, code, date })
    }

    /// Returns the response with a problem document.
    pub(super) fn explained(&self, https: Https, metrics: &Metrics) -> Vec<u8> {
        let error = Error::from(ApiError::from(self.code));
        let response = Surroundings::new(https).refusal(None, &error, Some(metrics));
        let (response, body) = response.into_parts();
        let body = body.try_into_bytes().unwrap_or_default();
        let status = response.status();
        let mut head = format!(
            "{} {} {}\r\nconnection: close\r\n{CONTENT_LENGTH}: {}\r\ndate: {}\r\n",
            self.version,
            status.as_str(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
            self.date
        )
        .into_bytes();
        for (name, value) in response.headers() {
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(&body);
        head
    }
}
