//! Public URL and pages of the front end.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::mode::Mode;
use crate::config::source::Source;
use crate::config::types::FrontEndPages;

/// Returns whether a URL leads to this machine.
pub fn is_url_of_this_machine(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| url.host_str().is_some_and(is_this_machine))
}

pub fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

pub fn read_public_url(s: &mut Source, bind: SocketAddr, mode: Mode) -> String {
    // Clients cannot connect to the unspecified address.
    let mut own = bind;
    if own.ip().is_unspecified() {
        own.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    let own = format!("http://{own}");
    let Some(text) = s.text("HALLPASS_PUBLIC_URL") else {
        if mode == Mode::Production {
            s.fault(
                "HALLPASS_PUBLIC_URL",
                "is required outside development (HALLPASS_ENV=development, or bound to loopback): https://auth.example.com",
            );
        }
        return own;
    };
    let advice = match Url::parse(&text) {
        Err(_) => "must be an URL such as https://auth.example.com",
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            "must begin with https:// or http://"
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() || url.path().len() > 1 => {
            "must be an origin only: no path, query or fragment"
        }
        Ok(url) if has_user(&url) => "must be an origin only: no user name or password",
        Ok(url) if url.scheme() == "http" && mode == Mode::Production => {
            "must be https outside development"
        }
        Ok(url) => return url.origin().ascii_serialization(),
    };
    s.fault("HALLPASS_PUBLIC_URL", advice);
    own
}

/// Schemes that browsers or IANA reserve: a page or an origin with one of these would run as a
/// script, be local, or belong to no single app.
const RESERVED_SCHEMES: [&str; 22] = [
    "about",
    "blob",
    "chrome",
    "content",
    "data",
    "file",
    "filesystem",
    "ftp",
    "http",
    "https",
    "intent",
    "jar",
    "javascript",
    "mailto",
    "null",
    "resource",
    "sms",
    "tel",
    "vbscript",
    "view-source",
    "ws",
    "wss",
];

/// Returns whether a scheme is one that an installed app registers for itself, in lower case.
pub fn is_app_scheme(scheme: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(is_part)
        && !RESERVED_SCHEMES.contains(&scheme)
}

/// Stands for a token where the URL of a page is checked.
const SAMPLE_TOKEN: &str = "sample-token";

fn has_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// Reads the URL of a page of the front end; `{token}` is the place of the token.
fn read_page(s: &mut Source, name: &str, mode: Mode) -> Option<String> {
    let text = s.text(name)?;
    // A `{token}` in the scheme would be lost: the URL is parsed without it.
    let is_page = |url: &Url| {
        let rest = text.get(url.scheme().len()..).unwrap_or_default();
        match url.scheme() {
            "http" | "https" => true,
            scheme => is_app_scheme(scheme) && rest.starts_with(":/"),
        }
    };
    // What the parser would repair is mailed as it is.
    let breaks = |c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c);
    // A host is in lower case, and names go to other servers.
    let names_token = |url: &Url| url.host_str().is_some_and(|host| host.contains(SAMPLE_TOKEN));
    let has_one_token = text.matches("{token}").count() == 1;
    // An URL that cannot be parsed is a fault too.
    let url = Url::parse(&text.replace("{token}", SAMPLE_TOKEN)).ok();
    let url = url.filter(|url| is_page(url) && !has_user(url) && !names_token(url));
    match url.filter(|_| has_one_token && !text.contains(breaks)) {
        None => {
            s.fault(
                name,
                "must be an URL with {token} after the host, and without white space, quotes or a user \
                 name: https://app.example.com/verify#{token}, or one of an app: myapp://verify/{token}",
            );
        }
        Some(url) => {
            let is_loopback = url.host_str().is_some_and(is_this_machine);
            if url.scheme() == "http" && !is_loopback && mode == Mode::Production {
                s.fault(
                    name,
                    "must be https outside development: the token grants access to an account",
                );
            }
        }
    }
    Some(text)
}

pub fn read_pages(s: &mut Source, mode: Mode) -> FrontEndPages {
    let mut page = |name| read_page(s, name, mode);
    FrontEndPages {
        verify_email: page("HALLPASS_VERIFY_EMAIL_URL"),
        password_reset: page("HALLPASS_PASSWORD_RESET_URL"),
        not_me: page("HALLPASS_NOT_ME_URL"),
    }
}
