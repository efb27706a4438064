//! Origins, request headers and cookies of front ends in browsers.

use url::Url;

use super::mode::Mode;
use super::urls::is_app_scheme;
use crate::config::source::Source;
use crate::config::types::{BrowserSettings, SameSite};

pub fn read_browsers(s: &mut Source, mode: Mode) -> BrowserSettings {
    BrowserSettings {
        loopback_origins: mode == Mode::LocalDevelopment
            && s.text("HALLPASS_CORS_ORIGINS").is_none(),
        origins: read_origins(s, mode),
        headers: read_cors_headers(s),
        same_site: s.choice(
            "HALLPASS_COOKIE_SAMESITE",
            SameSite::Strict,
            &[("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)],
        ),
    }
}

/// Reads origins as browsers spell them, separated by commas. Values that stand for several origins
/// or for none (`*`, `null`) are refused.
fn read_origins(s: &mut Source, mode: Mode) -> Vec<String> {
    let is_origin = |text: &str| is_web_origin(text) || is_app_origin(text);
    let origins = s.parsed("HALLPASS_CORS_ORIGINS", Vec::new(), |text| {
        if text == "none" {
            return Ok(Vec::new());
        }
        let origins: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        if origins.iter().all(|origin| is_origin(origin)) {
            return Ok(origins);
        }
        Err("must be origins separated by commas (https://app.example.com, tauri://localhost), or \
             none"
            .to_owned())
    });
    let is_safe = |origin: &String| !origin.starts_with("http://") || is_origin_of_webview(origin);
    if mode == Mode::Production && !origins.iter().all(is_safe) {
        s.fault("HALLPASS_CORS_ORIGINS", "must be https outside development");
    }
    origins
}

fn is_web_origin(text: &str) -> bool {
    let same = |url: Url| {
        matches!(url.scheme(), "http" | "https")
            && url.origin().ascii_serialization() == text
            && !text.contains('*')
    };
    Url::parse(text).is_ok_and(same)
}

/// Returns whether a text is the origin of an installed app, such as `tauri://localhost` or
/// `capacitor://localhost`.
fn is_app_origin(text: &str) -> bool {
    let is_host = |host: &str| {
        !host.is_empty()
            && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    let is_authority = |authority: &str| match authority.split_once(':') {
        Some((host, port)) => is_host(host) && port.parse::<u16>().is_ok(),
        None => is_host(authority),
    };
    let parts = text.split_once("://");
    parts.is_some_and(|(scheme, authority)| is_app_scheme(scheme) && is_authority(authority))
}

/// Returns whether an http origin never leaves the machine because the app's web view answers it
/// itself: `http://localhost` (Capacitor), `http://tauri.localhost`. A development server has a
/// port.
fn is_origin_of_webview(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").unwrap_or_default();
    host == "localhost" || (host.ends_with(".localhost") && !host.contains(':'))
}

/// Reads names of header fields in lower case, separated by commas. `*` is refused: with
/// credentials browsers take it literally (Fetch standard, section 3.2.5).
fn read_cors_headers(s: &mut Source) -> Vec<String> {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    s.parsed("HALLPASS_CORS_HEADERS", Vec::new(), |text| {
        let names: Vec<String> = text.split(',').map(|it| it.trim().to_ascii_lowercase()).collect();
        if names.iter().all(|name| !name.is_empty() && name.bytes().all(is_name_byte)) {
            return Ok(names);
        }
        Err("must be names of header fields separated by commas: x-client-version, x-tenant"
            .to_owned())
    })
}
