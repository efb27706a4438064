//! Client of a request: IP address, device and language.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, SocketAddr};

use actix_web::dev::Payload;
use actix_web::http::header::{ACCEPT_LANGUAGE, FORWARDED, HeaderMap, HeaderName, USER_AGENT};
use actix_web::{FromRequest, HttpRequest, web};
use ipnet::IpNet;
use tracing::Span;

use crate::domain::{Device, Locale};
use crate::http::state::State;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Headers in which reverse proxies send the client's address. Only the first is evaluated.
const FORWARDING: [HeaderName; 3] =
    [X_FORWARDED_FOR, FORWARDED, HeaderName::from_static("x-real-ip")];

/// The device of a request.
pub struct Client(pub Device);

impl FromRequest for Client {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let headers = request.headers();
        let user_agent = headers.get(USER_AGENT).and_then(|it| it.to_str().ok()).unwrap_or("");
        let state = request.app_data::<web::Data<State>>();
        let proxies = state.map(|state| &*state.trusted_proxies).unwrap_or_default();
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        let address = peer.map(|peer| client_address(peer, headers, proxies));
        let device = Device::of(user_agent, address);
        Span::current().record("network", &device.network);
        let is_ignored = forwarding_header(headers).is_some() && address == peer;
        if let Some(state) = state.filter(|_| is_ignored) {
            state.metrics.count_ignored_forwarded_for();
        }
        ready(Ok(Self(device)))
    }
}

/// Returns the locale of `Accept-Language`, for requests that name none.
pub fn accepted_locale(request: &HttpRequest) -> Locale {
    request
        .headers()
        .get(ACCEPT_LANGUAGE)
        .and_then(|header| header.to_str().ok())
        .map(Locale::from_accept_language)
        .unwrap_or_default()
}

/// Returns the header in which a reverse proxy sent the client's address, if there is one.
pub fn forwarding_header(headers: &HeaderMap) -> Option<HeaderName> {
    FORWARDING.into_iter().find(|name| headers.contains_key(name))
}

/// Returns the right-most hop that is not a configured proxy. Clients choose the hops left of it in
/// `X-Forwarded-For`. (The functions of actix for this trust the left-most.)
pub fn client_address(peer: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let is_proxy = |address: &IpAddr| proxies.iter().any(|network| network.contains(address));
    let mut client = peer;
    // Bytes: a hop that is not valid text must not invalidate the others.
    let hops: Vec<&[u8]> = headers
        .get_all(X_FORWARDED_FOR)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .collect();
    let mut hops = hops.into_iter().rev();
    while is_proxy(&client) {
        match hops.next().and_then(hop_address) {
            Some(hop) => client = hop,
            None => break,
        }
    }
    client
}

/// Parses `192.0.2.7`, `2001:db8::7`, and both with a port or the latter in brackets, as some
/// proxies write them.
fn hop_address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => hop.parse().ok(),
    };
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn only_configured_proxies_are_believed() {
        let proxies: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].map(|it| it.parse().unwrap()).to_vec();
        for (peer, forwarded, expected) in [
            ("192.0.2.1", vec!["203.0.113.9"], "192.0.2.1"),
            ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", vec!["203.0.113.9:4711"], "203.0.113.9"),
            ("10.0.0.1", vec!["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", vec!["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", vec!["1.1.1.1, [2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", vec!["[203.0.113.9]"], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec!["\u{e9}, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["1.1.1.1", "\u{e9}, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["203.0.113.9, \u{e9}"], "10.0.0.1"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("::1", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
        ] {
            let mut headers = HeaderMap::new();
            for value in &forwarded {
                headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            let client = client_address(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(client.to_string(), expected, "{peer} {forwarded:?}");
        }
    }
}
