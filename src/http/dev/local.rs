//! Check that a request comes from this machine. A name that an attacker's page resolves to
//! 127.0.0.1 (DNS rebinding), a page of another origin, and a client behind a tunnel or proxy are
//! refused.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::http::header::{ACCEPT, HOST, HeaderMap, HeaderName, ORIGIN, VIA};

use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::request::client::forwarding_header;

/// Headers of proxies and tunnels besides those with the client's address.
const PROXY_HEADERS: [HeaderName; 3] = [
    VIA,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses a request that does not come from this machine.
///
/// # Errors
/// [`Code::OriginRejected`].
pub(super) fn check(request: &HttpRequest) -> Result<(), ApiError> {
    let is_peer = request.peer_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    // The authority of the target counts before `Host` (RFC 9112, section 3.2.2).
    let is_own_target =
        request.uri().authority().is_none_or(|target| is_loopback_authority(target.as_str()));
    if is_peer && is_own_target && is_local(request.headers()) {
        return Ok(());
    }
    Err(Code::OriginRejected.into())
}

/// Returns whether the client is a browser that opens a page.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html") && !accept.contains("json"))
}

/// Returns whether the headers are those of a request from this machine.
pub(super) fn is_local(headers: &HeaderMap) -> bool {
    let only = |name: HeaderName| {
        let mut values = headers.get_all(name);
        let value = values.next()?.to_str().ok();
        value.filter(|_| values.next().is_none())
    };
    let is_own_host = only(HOST).is_some_and(is_loopback_authority);
    let is_own_page = if headers.contains_key(ORIGIN) {
        let authority = only(ORIGIN).and_then(|origin| origin.strip_prefix("http://"));
        authority.is_some_and(is_loopback_authority)
    } else {
        // A link may be followed from any page, but no foreign page may load a part from here.
        let navigates = only(SEC_FETCH_MODE) == Some("navigate");
        let site = headers.get(SEC_FETCH_SITE).map(|site| site.to_str().unwrap_or_default());
        navigates || matches!(site, None | Some("same-origin" | "none"))
    };
    let is_forwarded = forwarding_header(headers).is_some()
        || PROXY_HEADERS.iter().any(|name| headers.contains_key(name));
    is_own_host && is_own_page && !is_forwarded
}

/// Returns whether a host, with or without a port, is `localhost` or a loopback address.
fn is_loopback_authority(authority: &str) -> bool {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, "0"),
    };
    let address = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let is_loopback = address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    is_port && (host.eq_ignore_ascii_case("localhost") || is_loopback)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn with(headers: &[(&'static str, &'static str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_local(&map)
    }

    #[test]
    fn a_host_is_a_name_of_this_machine() {
        for host in ["localhost", "localhost:8000", "LocalHost:1", "127.0.0.1:8000", "[::1]:8000"] {
            assert!(with(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.test",
            "evil.test:8000",
            "localhost.evil.test",
            "127.0.0.1.evil.test",
            "127.0.0.1@evil.test",
            "localhost:8000.evil.test",
            "localhost:",
            "localhost:+1",
            "0.0.0.0:8000",
            "192.0.2.7",
            "[::2]:8000",
        ] {
            assert!(!with(&[("host", host)]), "{host}");
        }
        assert!(!with(&[]) && !with(&[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn pages_of_other_origins_and_clients_behind_a_proxy_are_refused() {
        let host = ("host", "127.0.0.1:8000");
        for headers in [
            vec![],
            vec![("origin", "http://localhost:5173"), ("sec-fetch-site", "cross-site")],
            vec![("origin", "http://127.0.0.1:8000")],
            vec![("sec-fetch-site", "same-origin")],
            vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
        ] {
            assert!(with(&[vec![host], headers.clone()].concat()), "{headers:?}");
        }
        for headers in [
            vec![("origin", "http://evil.test")],
            vec![("origin", "http://localhost.evil.test:5173")],
            vec![("origin", "null")],
            vec![("origin", "http://localhost"), ("origin", "http://localhost")],
            vec![("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            vec![("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")],
            vec![("x-forwarded-for", "192.0.2.7")],
            vec![("forwarded", "for=192.0.2.7")],
        ] {
            assert!(!with(&[vec![host], headers.clone()].concat()), "{headers:?}");
        }
    }
}
