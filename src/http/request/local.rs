//! Check that a request comes from this machine: not from a page whose name an attacker resolves to
//! 127.0.0.1 (DNS rebinding), from a page of another origin, or through a tunnel or proxy.

use std::net::IpAddr;

use actix_web::dev::RequestHead;
use actix_web::http::Version;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, ORIGIN, VIA};

use super::client::forwarding_header;

/// Headers of proxies and tunnels besides those with the client's address.
const PROXY_HEADERS: [HeaderName; 3] = [
    VIA,
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
];
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Returns whether a request comes from this machine. Older versions of HTTP are those of proxies
/// that need not send a header: nginx before 1.29 by default.
pub fn is_from_this_machine(request: &RequestHead) -> bool {
    let is_peer = request.peer_addr.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    // The authority of the target counts before `Host` (RFC 9112, section 3.2.2).
    let is_own_target =
        request.uri.authority().is_none_or(|target| is_loopback_authority(target.as_str()));
    let is_of_a_client = request.version >= Version::HTTP_11;
    is_peer && is_of_a_client && is_own_target && has_local_headers(request.headers())
}

fn has_local_headers(headers: &HeaderMap) -> bool {
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
        has_local_headers(&map)
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
