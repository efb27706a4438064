//! Cookie mode: the refresh token in a cookie that JavaScript cannot read, and the defence against
//! cross-site request forgery that a cookie needs.

use actix_web::HttpRequest;
use actix_web::cookie::time::Duration;
use actix_web::cookie::{Cookie, SameSite};
use actix_web::http::header::{COOKIE, HeaderMap, HeaderName, ORIGIN};

use super::code::Code;
use super::error::ApiError;
use crate::domain::{PlainToken, Transport};
use crate::flows::TokenPair;

/// The cookie with the refresh token. Browsers accept the prefix only for cookies that are Secure
/// and restricted to this host (RFC 6265bis section 4.1.3).
const REFRESH_COOKIE: &str = "__Host-hallpass_refresh";
/// The cookie with the access token, for `forward-auth` only.
const ACCESS_COOKIE: &str = "__Host-hallpass_access";

/// The cookie with the device token.
const DEVICE_COOKIE: &str = "__Host-hallpass_device";
/// Lifetime of the device cookie.
const DEVICE_COOKIE_LIFE: Duration = Duration::days(365);

/// Longest origin in the log.
const MAX_SHOWN_ORIGIN: usize = 100;

/// Most cookies of one name that are read. A head can contain thousands.
const MAX_OF_ONE_NAME: usize = 8;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Origins of front ends.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// Configured origins, compared as a whole.
    pub named: Vec<String>,
    /// True if `http://localhost` and `http://127.0.0.1` are included, on any port.
    pub loopback: bool,
}

impl Origins {
    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && !self.loopback
    }

    /// Returns whether `origin` is included.
    pub fn allows(&self, origin: &str) -> bool {
        self.named.iter().any(|named| named == origin) || self.loopback && is_loopback(origin)
    }
}

/// Returns whether an origin is `http://localhost` or `http://127.0.0.1`, with or without a port.
fn is_loopback(origin: &str) -> bool {
    let hosts = ["http://localhost", "http://127.0.0.1"];
    let is_port = |rest: &str| {
        let port = rest.strip_prefix(':').unwrap_or_default();
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    let rest = hosts.iter().find_map(|host| origin.strip_prefix(host));
    rest.is_some_and(|rest| rest.is_empty() || is_port(rest))
}

/// Browser origins that may use cookies, and the attributes of the cookies.
#[derive(Clone, Debug)]
pub struct Browsers {
    /// The service's own origin.
    pub own_origin: String,
    /// The origins of other front ends.
    pub other_origins: Origins,
    /// Further request headers that their pages may send (`HALLPASS_CORS_HEADERS`).
    pub headers: Vec<String>,
    /// `SameSite` attribute of the cookies.
    pub same_site: SameSite,
}

impl Browsers {
    /// Refuses requests from pages of a foreign origin. Only needed for requests that carry the
    /// cookie or ask for one as the `transport`: others authenticate by a secret that the page
    /// itself has.
    pub fn check(&self, request: &HttpRequest, transport: Transport) -> Result<(), ApiError> {
        let is_sent = values(request.headers(), REFRESH_COOKIE).next().is_some();
        let concerned = transport == Transport::Cookie || is_sent;
        if !concerned || self.is_from_allowed_page(request.headers()) {
            Ok(())
        } else {
            Err(Code::OriginRejected.into())
        }
    }

    /// Returns whether `Origin` is an allowed one or, without that header, whether `Sec-Fetch-Site`
    /// says that the page is of the same origin. A request with neither is not from a page.
    fn is_from_allowed_page(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN);
        match (origins.next(), origins.next()) {
            (Some(origin), None) => origin.to_str().is_ok_and(|origin| self.allows(origin)),
            (Some(_), Some(_)) => false,
            (None, _) => fetch_site(headers) == Some("same-origin"),
        }
    }

    /// Returns whether the cookie of a request to an application is accepted (forward
    /// authentication). Without `Origin` it is a GET: a user follows a link or types an address, or
    /// a page loads a part of itself. `SameSite` decides about the first two.
    pub fn may_forward(&self, headers: &HeaderMap) -> bool {
        if headers.contains_key(ORIGIN) {
            return self.is_from_allowed_page(headers);
        }
        is_navigation(headers) || matches!(fetch_site(headers), None | Some("same-origin" | "none"))
    }

    fn allows(&self, origin: &str) -> bool {
        origin == self.own_origin || self.other_origins.allows(origin)
    }

    /// Returns the origin of a page that may not read responses, as text for the log; `None` for
    /// other requests. Pages of the service itself are recognised by `Sec-Fetch-Site`, since the
    /// service may be reached under several names. The response to a navigation, such as the form
    /// of a provider, is shown to the user and not to the page.
    pub fn foreign_origin(&self, headers: &HeaderMap) -> Option<String> {
        let origin = String::from_utf8_lossy(headers.get(ORIGIN)?.as_bytes());
        let is_same = fetch_site(headers) == Some("same-origin");
        if self.allows(&origin) || is_same || is_navigation(headers) {
            return None;
        }
        let is_shown = |c: &char| c.is_ascii_graphic();
        Some(origin.chars().filter(is_shown).take(MAX_SHOWN_ORIGIN).collect())
    }

    /// Returns the cookies of a token pair.
    pub fn cookies(&self, pair: &TokenPair) -> [Cookie<'static>; 2] {
        let seconds = |span: std::time::Duration| {
            Duration::seconds(i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
        };
        let refresh = pair.refresh_token.expose().to_owned();
        [
            self.cookie(REFRESH_COOKIE, refresh, seconds(pair.refresh_expires_in)),
            self.cookie(ACCESS_COOKIE, pair.access_token.clone(), seconds(pair.expires_in)),
        ]
    }

    /// Returns the cookie with the device token. A log-out keeps it.
    pub fn device_cookie(&self, token: &PlainToken) -> Cookie<'static> {
        self.cookie(DEVICE_COOKIE, token.expose().to_owned(), DEVICE_COOKIE_LIFE)
    }

    /// Returns cookies that make browsers delete both.
    pub fn no_cookies(&self) -> [Cookie<'static>; 2] {
        [REFRESH_COOKIE, ACCESS_COOKIE].map(|name| self.cookie(name, String::new(), Duration::ZERO))
    }

    fn cookie(&self, name: &'static str, value: String, max_age: Duration) -> Cookie<'static> {
        Cookie::build(name, value)
            .path("/")
            .secure(true)
            .http_only(true)
            .same_site(self.same_site)
            .max_age(max_age)
            .finish()
    }
}

fn is_navigation(headers: &HeaderMap) -> bool {
    headers.get(SEC_FETCH_MODE).is_some_and(|mode| mode == "navigate")
}

fn fetch_site(headers: &HeaderMap) -> Option<&str> {
    headers.get(SEC_FETCH_SITE).map(|site| site.to_str().unwrap_or("unreadable"))
}

/// Returns the refresh tokens of a request's cookies. Browsers do not send two.
pub fn refresh_cookies(request: &HttpRequest) -> Vec<PlainToken> {
    let values = values(request.headers(), REFRESH_COOKIE).take(MAX_OF_ONE_NAME);
    values.map(PlainToken::presented).collect()
}

/// Returns the access token of a request's cookie.
pub fn access_cookie(request: &HttpRequest) -> Option<String> {
    only_value(request, ACCESS_COOKIE)
}

/// Returns the device token of a request's cookie.
pub fn device_cookie(request: &HttpRequest) -> Option<PlainToken> {
    only_value(request, DEVICE_COOKIE).map(PlainToken::presented)
}

/// Returns the value of the only cookie of that name; `None` if there are several, as it is unknown
/// which one the service has set.
fn only_value(request: &HttpRequest, name: &str) -> Option<String> {
    let mut values = values(request.headers(), name);
    values.next().filter(|_| values.next().is_none())
}

/// Returns the values of the cookies of that name, byte for byte as sent. actix decodes escapes and
/// trims all Unicode white space; browsers do neither. A neighbouring host could set
/// `__%48ost-hallpass_refresh`, which would pass for a cookie of this service.
fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = String> + 'a {
    headers
        .get_all(COOKIE)
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        // The only ASCII white space in a header field is space and tab.
        .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
        .map(|value| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn browsers() -> Browsers {
        Browsers {
            own_origin: "https://auth.example.com".to_owned(),
            other_origins: Origins {
                named: vec!["https://app.example.com".to_owned()],
                loopback: false,
            },
            headers: Vec::new(),
            same_site: SameSite::Strict,
        }
    }

    #[test]
    fn loopback_origins_are_those_of_two_names_on_any_port() {
        let origins = Origins { named: Vec::new(), loopback: true };
        for origin in ["http://localhost:5173", "http://127.0.0.1:1", "http://localhost"] {
            assert!(origins.allows(origin), "{origin}");
            assert!(!Origins::default().allows(origin));
        }
        for origin in [
            "https://localhost:5173",
            "http://localhost.evil.test",
            "http://localhost:5173.evil.test",
            "http://localhost:",
            "http://localhost:+80",
            "http://localhost:65536",
            "http://127.0.0.10:80",
            "http://LOCALHOST:80",
            "http://evil.test#http://localhost",
            "null",
            "",
        ] {
            assert!(!origins.allows(origin), "{origin}");
        }
    }

    #[test]
    fn a_foreign_origin_is_found_for_what_a_page_wants_to_read() {
        let (evil, navigation) =
            (("Origin", "https://evil.example"), ("Sec-Fetch-Mode", "navigate"));
        for (headers, told) in [
            (vec![evil], Some("https://evil.example")),
            (vec![evil, ("Sec-Fetch-Mode", "cors")], Some("https://evil.example")),
            (vec![evil, navigation], None),
            (vec![evil, ("Sec-Fetch-Site", "same-origin")], None),
            (vec![("Origin", "https://app.example.com")], None),
            (vec![], None),
        ] {
            let request = TestRequest::post();
            let request = headers.iter().fold(request, |it, header| it.append_header(*header));
            let request = request.to_http_request();
            let found = browsers().foreign_origin(request.headers());
            assert_eq!(found.as_deref(), told, "{headers:?}");
        }
    }

    #[test]
    fn only_exact_origins_pass() {
        for (headers, passes) in [
            (vec![("Origin", "https://auth.example.com")], true),
            (vec![("Origin", "https://app.example.com")], true),
            (vec![("Origin", "https://app.example.com.evil.example")], false),
            (vec![("Origin", "https://evil-app.example.com")], false),
            (vec![("Origin", "http://app.example.com")], false),
            (vec![("Origin", "https://app.example.com:8443")], false),
            (vec![("Origin", "HTTPS://APP.EXAMPLE.COM")], false),
            (vec![("Origin", "null")], false),
            (vec![("Origin", "")], false),
            (vec![("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")], false),
            (vec![("Origin", "https://app.example.com"), ("Origin", "https://x.example")], false),
            (vec![("Sec-Fetch-Site", "same-origin")], true),
            (vec![("Sec-Fetch-Site", "same-site")], false),
            (vec![("Sec-Fetch-Site", "cross-site")], false),
            (vec![("Sec-Fetch-Site", "none")], false),
            (vec![], false),
        ] {
            let request = headers
                .iter()
                .fold(TestRequest::post(), |request, header| request.append_header(*header))
                .cookie(Cookie::new(REFRESH_COOKIE, "x"))
                .to_http_request();
            let checked = browsers().check(&request, Transport::Body);
            assert_eq!(checked.is_ok(), passes, "{headers:?}");
        }
        let plain = TestRequest::post().to_http_request();
        assert!(browsers().check(&plain, Transport::Body).is_ok());
        assert!(browsers().check(&plain, Transport::Cookie).is_err());
    }
}
