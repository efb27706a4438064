//! Settings that take more than a parse: what each may be, and what would be right.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{
    BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD,
};
use ipnet::{IpNet, Ipv6Net};
use url::Url;

use super::source::Source;
use super::types::{
    BrowserSettings, DAY, DrfPrefix, DrfSettings, FrontEndPages, Lifetimes, MINUTE, SECOND,
    SameSite, YEAR,
};
use crate::domain::user::guessable::count_unknown;
use crate::domain::user::password::compared_form;
use crate::domain::{Limits, Rate, SecretText};
use crate::mail::smtp::settings::{SmtpSettings, ehlo_name};
use crate::security::breached::BreachedPasswordsSettings;
use crate::security::keys::SigningAlgorithm;
use crate::store::{self, DatabaseUrl};

/// The shortest secret outside development, in bytes.
pub(super) const MIN_SECRET_LENGTH: usize = 32;

pub(super) fn read_database(s: &mut Source, data_dir: &std::path::Path) -> DatabaseUrl {
    let file = DatabaseUrl::Sqlite(data_dir.join("hallpass.db"));
    let Some(text) = s.secret("DATABASE_URL") else { return file };
    match database_url(text.trim()) {
        Ok(url) => url,
        Err(advice) => {
            s.fault("DATABASE_URL", advice);
            file
        }
    }
}

/// A database that may be talked to over the way that its URL names; else what would be right.
pub fn database_url(text: &str) -> Result<DatabaseUrl, &'static str> {
    let url = DatabaseUrl::parse(text)?;
    let has_tls = cfg!(feature = "postgres-tls");
    match sslmode_over_the_network(text).as_deref() {
        None | Some("disable") => Ok(url),
        // The other modes take any certificate, or none, and libpq's default is one of them.
        Some("verify-full") if has_tls => Ok(url),
        Some("require") if has_tls => {
            Err("has sslmode=require, which takes any certificate: use sslmode=verify-full, with \
             sslrootcert=system or the file of your authority")
        }
        Some(_) if has_tls => Err(
            "names a server on another machine: add ?sslmode=verify-full&sslrootcert=system, so that its \
             certificate is checked, or ?sslmode=disable if the network may be trusted",
        ),
        Some(_) => Err(
            "names a server on another machine, and this binary was built without TLS: build with \
             --features postgres-tls and add ?sslmode=verify-full, or add ?sslmode=disable if the \
             network may be trusted",
        ),
    }
}

/// What a Postgres URL that leads to another machine says about TLS, which may be nothing; `None` where
/// it stays on this one.
fn sslmode_over_the_network(text: &str) -> Option<String> {
    if !text.starts_with("postgres") {
        return None;
    }
    let query = text.split_once('?').map_or("", |(_, query)| query);
    // Of two values libpq takes the last.
    let parameter = |name: &str| {
        let pairs = form_urlencoded::parse(query.as_bytes());
        pairs.filter(|(key, _)| key == name).last().map(|(_, value)| value.into_owned())
    };
    let hosts = parameter("hostaddr").or_else(|| parameter("host")).unwrap_or_else(|| {
        let hosts: Vec<&str> = store::hosts(text).split(',').map(store::without_port).collect();
        hosts.join(",")
    });
    // Each of several hosts counts: any of them may be the one that answers.
    let stays = hosts.split(',').all(|host| {
        let host = percent_encoding::percent_decode_str(host).decode_utf8_lossy();
        host.is_empty() || host.starts_with('/') || is_this_machine(&host)
    });
    // libpq's default where the authorities of the machine are asked.
    let is_system = || parameter("sslrootcert").is_some_and(|it| it == "system");
    let default = || if is_system() { "verify-full".to_owned() } else { String::new() };
    if stays { None } else { Some(parameter("sslmode").unwrap_or_else(default)) }
}

pub(super) fn is_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The shortest key of a Django site outside development, in bytes: anyone can try keys on a token.
pub(super) const MIN_SITE_KEY_LENGTH: usize = 16;
/// The characters that a guesser has to find out at least: about 70 bits, or six random words.
const MIN_UNKNOWN: usize = 12;
/// The different bytes that a secret has at least. Sixty-four random hexadecimal digits have more.
const MIN_DIFFERENT_BYTES: usize = 8;
/// Words of secrets that were to be replaced, and of texts about secrets.
const PLACEHOLDERS: [&str; 4] = ["changeme", "replaceme", "placeholder", "yoursecret"];
const WORDS_OF_TEMPLATES: [&str; 56] = [
    "a",
    "an",
    "and",
    "at",
    "base64",
    "before",
    "byte",
    "bytes",
    "change",
    "default",
    "deploy",
    "dev",
    "django",
    "dummy",
    "example",
    "for",
    "from",
    "generate",
    "hallpass",
    "here",
    "hex",
    "in",
    "insecure",
    "insert",
    "is",
    "it",
    "jwt",
    "key",
    "launch",
    "least",
    "local",
    "long",
    "my",
    "not",
    "of",
    "openssl",
    "or",
    "output",
    "please",
    "production",
    "rand",
    "random",
    "real",
    "secret",
    "set",
    "super",
    "test",
    "the",
    "this",
    "to",
    "todo",
    "use",
    "value",
    "very",
    "with",
    "your",
];

/// Returns whether a value is the name of one that some program was to put in its place.
fn is_template(value: &str) -> bool {
    let value = value.trim();
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let between = |open: &str, close: &str| {
        value.strip_prefix(open).is_some_and(|rest| rest.ends_with(close))
    };
    [("${", "}"), ("$(", ")"), ("{{", "}}"), ("<", ">")].iter().any(|(a, b)| between(a, b))
        || value.strip_prefix('$').is_some_and(is_name)
        || value.strip_prefix('%').and_then(|rest| rest.strip_suffix('%')).is_some_and(is_name)
}

/// Returns whether a secret is short or can be guessed.
pub(super) fn is_weak(secret: &SecretText) -> bool {
    let secret = secret.expose();
    secret.len() < MIN_SECRET_LENGTH || std::str::from_utf8(secret).is_ok_and(is_guessable)
}

/// Returns whether a secret of full length can be guessed all the same: it is a placeholder, or made of words,
/// series and repetitions, as it stands or as what it encodes.
fn is_guessable(secret: &str) -> bool {
    is_guessable_text(secret)
        || encoded_texts(secret).iter().any(|decoded| is_guessable_text(decoded))
}

fn is_guessable_text(text: &str) -> bool {
    let lower = compared_form(text);
    let letters: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let different: HashSet<u8> = text.bytes().collect();
    PLACEHOLDERS.iter().any(|word| letters.contains(word))
        || different.len() < MIN_DIFFERENT_BYTES
        || count_unknown(&lower, &WORDS_OF_TEMPLATES) < MIN_UNKNOWN
}

/// Returns the texts that a secret may be the base64 or the hexadecimal digits of. Random bytes are no text.
fn encoded_texts(secret: &str) -> Vec<String> {
    let bare = secret.trim_end_matches('=');
    let digits = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let decoded = [
        STANDARD_NO_PAD.decode(bare).ok(),
        URL_SAFE_NO_PAD.decode(bare).ok(),
        secret.as_bytes().chunks(2).map(digits).collect::<Option<Vec<u8>>>(),
    ];
    let texts = decoded.into_iter().flatten().filter_map(|it| String::from_utf8(it).ok());
    texts.filter(|text| !text.chars().any(char::is_control)).collect()
}

/// A secret, of at least `min_length` bytes and not guessable, if there is such a bound.
pub(super) fn read_secret(
    s: &mut Source,
    name: &str,
    min_length: Option<usize>,
) -> Option<SecretText> {
    let secret = s.secret(name)?;
    if secret.is_empty() {
        s.fault(name, "is empty");
    } else if is_template(&secret) {
        s.fault(name, "is the name of a value, which was not put in its place");
    } else if let Some(min_length) = min_length {
        if secret.len() < min_length {
            s.fault(name, format!("must have at least {min_length} bytes outside development"));
        } else if is_guessable(&secret) {
            let advice = "is a placeholder or made of words, series and repetitions: set random bytes, for \
                          example from `openssl rand -base64 32`";
            s.fault(name, advice);
        }
    }
    Some(secret.into())
}

pub(super) fn read_public_url(s: &mut Source, bind: SocketAddr, development: bool) -> String {
    // Nobody can call an address that stands for all of them.
    let mut own = bind;
    if own.ip().is_unspecified() {
        own.set_ip(IpAddr::from([127, 0, 0, 1]));
    }
    let own = format!("http://{own}");
    let Some(text) = s.text("HALLPASS_PUBLIC_URL") else {
        if !development {
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
        Ok(url) if url.scheme() == "http" && !development => "must be https outside development",
        Ok(url) => return url.origin().ascii_serialization(),
    };
    s.fault("HALLPASS_PUBLIC_URL", advice);
    own
}

pub(super) fn read_breached_passwords(s: &mut Source) -> Option<BreachedPasswordsSettings> {
    let timeout =
        s.duration("HALLPASS_BREACHED_PASSWORDS_TIMEOUT", SECOND, SECOND / 10, 5 * SECOND);
    let name = "HALLPASS_BREACHED_PASSWORDS_URL";
    let text = s.text(name)?;
    let url = BreachedPasswordsSettings::parse_url(text.trim());
    let url = url.map_err(|advice| s.fault(name, advice)).ok()?;
    Some(BreachedPasswordsSettings { url, timeout })
}

/// Schemes that programs have a meaning of their own for; a page or an origin of one of these would
/// run as a script, be local, or be anybody's.
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

/// Returns whether a scheme is one that an installed app registers for itself, in the spelling of browsers.
pub(super) fn is_app_scheme(scheme: &str) -> bool {
    let is_part =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    scheme.starts_with(|first: char| first.is_ascii_lowercase())
        && scheme.bytes().all(is_part)
        && !RESERVED_SCHEMES.contains(&scheme)
}

/// The address of a page of the front end; `{token}` is where the token goes.
fn read_page(s: &mut Source, name: &str, development: bool) -> Option<String> {
    let text = s.text(name)?;
    // In the scheme the token would be no part of the address.
    let is_page = |url: &Url| {
        let rest = text.get(url.scheme().len()..).unwrap_or_default();
        match url.scheme() {
            "http" | "https" => true,
            scheme => is_app_scheme(scheme) && rest.starts_with(":/"),
        }
    };
    let url = Url::parse(&text.replace("{token}", "t")).ok().filter(is_page);
    match url.filter(|_| text.matches("{token}").count() == 1) {
        None => {
            s.fault(
                name,
                "must be an URL with {token}: https://app.example.com/verify#{token}, or one of an app: \
                 myapp://verify/{token}",
            );
        }
        Some(url) => {
            let stays = url.host_str().is_some_and(is_this_machine);
            if url.scheme() == "http" && !stays && !development {
                s.fault(name, "must be https outside development: the token opens an account");
            }
        }
    }
    Some(text)
}

pub(super) fn read_pages(s: &mut Source, development: bool) -> FrontEndPages {
    let mut page = |name| read_page(s, name, development);
    FrontEndPages {
        verify_email: page("HALLPASS_VERIFY_EMAIL_URL"),
        password_reset: page("HALLPASS_PASSWORD_RESET_URL"),
        not_me: page("HALLPASS_NOT_ME_URL"),
    }
}

pub(super) fn read_browsers(s: &mut Source, development: bool) -> BrowserSettings {
    BrowserSettings {
        origins: read_origins(s, development),
        headers: read_cors_headers(s),
        same_site: s.choice(
            "HALLPASS_COOKIE_SAMESITE",
            SameSite::Strict,
            &[("strict", SameSite::Strict), ("lax", SameSite::Lax), ("none", SameSite::None)],
        ),
    }
}

pub(super) fn read_lifetimes(s: &mut Source) -> Lifetimes {
    let mut span = |name, default, from, to| s.duration(name, default, from, to);
    let (zero, month) = (Duration::ZERO, 30 * DAY);
    Lifetimes {
        access_token: span("HALLPASS_ACCESS_TOKEN_TTL", 5 * MINUTE, SECOND, 15 * MINUTE),
        refresh_token: span("HALLPASS_REFRESH_TOKEN_TTL", 7 * DAY, SECOND, month),
        session: span("HALLPASS_SESSION_TTL", month, SECOND, month),
        refresh_grace: span("HALLPASS_REFRESH_GRACE", 30 * SECOND, zero, 30 * SECOND),
        reauth_window: span("HALLPASS_REAUTH_WINDOW", 5 * MINUTE, zero, 15 * MINUTE),
        revocations_max_age: span(
            "HALLPASS_REVOCATIONS_MAX_AGE",
            30 * SECOND,
            2 * SECOND,
            5 * MINUTE,
        ),
    }
}

pub(super) fn read_jwt_algorithm(s: &mut Source) -> SigningAlgorithm {
    s.parsed("HALLPASS_JWT_ALGORITHM", SigningAlgorithm::Es256, |text| {
        SigningAlgorithm::from_name(text)
            .ok_or_else(|| "must be one of: ES256, EdDSA, RS256, HS256".to_owned())
    })
}

/// The Django stack's settings of the same meaning.
pub(super) fn read_drf(s: &mut Source) -> Option<DrfSettings> {
    const IS_BUILT: bool = cfg!(feature = "drf-jwt");
    let is_on = s.choice("HALLPASS_DRF_JWT", IS_BUILT, &[("on", true), ("off", false)]);
    let prefix = s.parsed("HALLPASS_DRF_JWT_PREFIX", DrfPrefix::Jwt, |text| {
        let names: Vec<String> = text.split(',').map(|it| it.trim().to_lowercase()).collect();
        match names.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["jwt"] => Ok(DrfPrefix::Jwt),
            ["bearer"] => Ok(DrfPrefix::Bearer),
            ["both"] | ["jwt", "bearer"] | ["bearer", "jwt"] => Ok(DrfPrefix::Both),
            _ => Err("must be JWT, Bearer or JWT,Bearer".to_owned()),
        }
    });
    // The defaults are those of djangorestframework-jwt.
    let token_ttl = s.duration("HALLPASS_DRF_JWT_TTL", 5 * MINUTE, SECOND, 30 * DAY);
    let refresh_ttl = s.duration("HALLPASS_DRF_JWT_REFRESH_TTL", 7 * DAY, SECOND, YEAR);
    if is_on && !IS_BUILT {
        s.fault("HALLPASS_DRF_JWT", "is on, but this build is without the feature drf-jwt");
    }
    is_on.then_some(DrfSettings { prefix, token_ttl, refresh_ttl })
}

/// How long a key signs. At the least a day, as that is how long the next one is published before.
pub(super) fn read_key_rotation(s: &mut Source) -> Option<Duration> {
    s.parsed("HALLPASS_KEY_ROTATION", Some(30 * DAY), |text| {
        match humantime::parse_duration(text) {
            Ok(period) if (DAY..=YEAR).contains(&period) => Ok(Some(period)),
            _ if text == "off" => Ok(None),
            _ => Err("must be a duration from 1d to 1y, such as 30d, or off".to_owned()),
        }
    })
}

/// The mail server, if one is set. It is told the host of the public URL, unless another name is set.
pub(super) fn read_smtp(s: &mut Source, public_url: &str) -> Option<SmtpSettings> {
    let connections = s.number("HALLPASS_SMTP_CONNECTIONS", SmtpSettings::CONNECTIONS, 1, 100);
    let timeout =
        s.duration("HALLPASS_SMTP_TIMEOUT", SmtpSettings::COMMAND_TIMEOUT, SECOND, 10 * MINUTE);
    let own_name = ehlo_name_of(public_url);
    let ehlo_name = s.parsed("HALLPASS_SMTP_EHLO_NAME", own_name, |text| {
        let advice = "must be a host name (mail.example.com) or an address ([192.0.2.1])";
        ehlo_name(text).ok_or_else(|| advice.to_owned())
    });
    let text = s.secret("HALLPASS_SMTP_URL")?;
    let settings = SmtpSettings::parse(&text);
    let settings = settings.map_err(|advice| s.fault("HALLPASS_SMTP_URL", advice)).ok()?;
    let content_timeout = timeout.max(SmtpSettings::CONTENT_TIMEOUT);
    Some(
        settings
            .with_connections(connections)
            .with_timeouts(timeout, content_timeout)
            .with_ehlo_name(ehlo_name),
    )
}

/// Returns the host of the public URL as a name for EHLO. A URL that cannot be parsed is a fault of its own
/// setting, reported there.
fn ehlo_name_of(public_url: &str) -> String {
    let url = Url::parse(public_url).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or("localhost");
    ehlo_name(host).unwrap_or_else(|| "localhost".to_owned())
}

/// Addresses or networks, separated by commas.
pub(super) fn read_proxies(s: &mut Source, development: bool) -> Vec<IpNet> {
    let name = "HALLPASS_TRUSTED_PROXIES";
    let network = |part: &str| {
        part.parse::<IpNet>().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
    };
    if !development && s.text(name).is_none() {
        s.notes.push(format!(
            "{name} is not set: behind a reverse proxy all clients share the limits of its address. Name its \
             networks, or `none` where clients connect directly"
        ));
    }
    let networks = s.parsed(name, Vec::new(), |text| {
        if text == "none" {
            return Ok(Vec::new());
        }
        let networks: Option<Vec<IpNet>> = text.split(',').map(str::trim).map(network).collect();
        networks.ok_or_else(|| {
            "must be networks separated by commas (10.0.0.0/8, 192.0.2.7), or none".to_owned()
        })
    });
    if !development && are_nearly_all(&networks) {
        s.fault(
            name,
            "must not be all addresses, or a great part of them: clients could then choose their address \
             themselves",
        );
    }
    networks
}

/// Returns whether networks are an eighth of all IPv4 addresses, or of IPv6 more than a /16. Private
/// networks are left aside.
fn are_nearly_all(networks: &[IpNet]) -> bool {
    let private: [Ipv6Net; 2] = [
        Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
    ];
    let (mut of_v4, mut of_v6) = (0, 0);
    for network in IpNet::aggregate(&networks.to_vec()) {
        match network {
            IpNet::V4(it) => of_v4 += 1_u64 << (32 - it.prefix_len()),
            IpNet::V6(it) if private.iter().any(|private| private.contains(&it)) => {}
            // In units of a /64, which all together are no more than fits.
            IpNet::V6(it) => of_v6 += 1_u128 << 64_u8.saturating_sub(it.prefix_len()),
        }
    }
    of_v4 >= 1 << 29 || of_v6 > 1 << (64 - 16)
}

/// Origins as browsers spell them, separated by commas. What could stand for more than one origin,
/// or for none (`*`, `null`), is no origin.
fn read_origins(s: &mut Source, development: bool) -> Vec<String> {
    let is_origin = |text: &str| is_web_origin(text) || is_app_origin(text);
    let origins = s.parsed("HALLPASS_CORS_ORIGINS", Vec::new(), |text| {
        let origins: Vec<String> = text.split(',').map(|part| part.trim().to_owned()).collect();
        if origins.iter().all(|origin| is_origin(origin)) {
            return Ok(origins);
        }
        Err("must be origins separated by commas: https://app.example.com, tauri://localhost"
            .to_owned())
    });
    let is_safe = |origin: &String| !origin.starts_with("http://") || is_origin_of_webview(origin);
    if !development && !origins.iter().all(is_safe) {
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

/// An origin of an installed app, such as `tauri://localhost` or `capacitor://localhost`.
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

/// An http origin that never leaves the machine because the app's web view answers it itself:
/// `http://localhost` (Capacitor), `http://tauri.localhost`. A development server has a port.
fn is_origin_of_webview(origin: &str) -> bool {
    let host = origin.strip_prefix("http://").unwrap_or_default();
    host == "localhost" || (host.ends_with(".localhost") && !host.contains(':'))
}

/// Names of header fields in lower case, separated by commas. `*` is no name: with credentials
/// browsers take it as one (Fetch standard, section 3.2.5).
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

/// The time that load balancers have to notice the end: none on the machine of a developer.
pub(super) fn read_shutdown_delay(s: &mut Source, development: bool) -> Duration {
    let default = if development { Duration::ZERO } else { 5 * SECOND };
    s.duration("HALLPASS_SHUTDOWN_DELAY", default, Duration::ZERO, 5 * MINUTE)
}

/// How often something may be tried. Outside development there always is a bound.
pub(super) fn read_limits(s: &mut Source, development: bool) -> Option<Limits> {
    let are_on = s.choice("HALLPASS_LIMITS", true, &[("on", true), ("off", false)]);
    if !are_on && !development {
        s.fault("HALLPASS_LIMITS", "may be off in development only");
    }
    let base = Limits::default();
    let limits = Limits {
        failed_logins_per_network: read_rate(
            s,
            "HALLPASS_LIMIT_FAILED_LOGINS_PER_NETWORK",
            base.failed_logins_per_network,
            3..=20,
        ),
        failed_logins_per_account: read_rate(
            s,
            "HALLPASS_LIMIT_FAILED_LOGINS_PER_ACCOUNT",
            base.failed_logins_per_account,
            5..=100,
        ),
        failed_logins_consecutive: s.number(
            "HALLPASS_LIMIT_FAILED_LOGINS_CONSECUTIVE",
            base.failed_logins_consecutive,
            20,
            100,
        ),
        attempts_of_network: read_rate(
            s,
            "HALLPASS_LIMIT_NETWORK",
            base.attempts_of_network,
            10..=10_000,
        ),
        refreshes_of_network: read_rate(
            s,
            "HALLPASS_LIMIT_REFRESH",
            base.refreshes_of_network,
            60..=100_000,
        ),
        mailbox_hourly: s.number("HALLPASS_LIMIT_MAIL_HOURLY", base.mailbox_hourly, 1, 20),
        mailbox_daily: s.number("HALLPASS_LIMIT_MAIL_DAILY", base.mailbox_daily, 1, 100),
        mail_of_network: s.number("HALLPASS_LIMIT_MAIL_NETWORK", base.mail_of_network, 1, 10_000),
        mails_to_domain: s.number(
            "HALLPASS_LIMIT_MAIL_DOMAIN",
            base.mails_to_domain,
            10,
            10_000_000,
        ),
        mails_in_all: s.number("HALLPASS_LIMIT_MAIL_TOTAL", base.mails_in_all, 10, 10_000_000),
    };
    are_on.then_some(limits)
}

/// `5/15m`: five in fifteen minutes.
fn read_rate(s: &mut Source, name: &str, default: Rate, uses: RangeInclusive<i64>) -> Rate {
    let advice = format!(
        "must be a number from {} to {} and a span from 1m to 1h: {}/{}",
        uses.start(),
        uses.end(),
        default.uses,
        humantime::format_duration(default.window)
    );
    s.parsed(name, default, |text| {
        let (count, window) = text.split_once('/').ok_or_else(|| advice.clone())?;
        let count = count
            .parse()
            .ok()
            .filter(|count| uses.contains(count))
            .ok_or_else(|| advice.clone())?;
        let window = humantime::parse_duration(window)
            .ok()
            .filter(|window| (MINUTE..=60 * MINUTE).contains(window))
            .ok_or_else(|| advice.clone())?;
        Ok(Rate::new(count, window))
    })
}

/// The levels of `HALLPASS_LOG`.
const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Levels of other programs.
const OTHER_LEVELS: [(&str, &str); 11] = [
    ("warning", "warn"),
    ("err", "error"),
    ("critical", "error"),
    ("fatal", "error"),
    ("notice", "info"),
    ("information", "info"),
    ("verbose", "debug"),
    ("all", "trace"),
    ("none", "off"),
    ("quiet", "off"),
    ("disabled", "off"),
];

/// The filter of the log. `tracing` takes a word that it does not know for the name of a module, logs that
/// module and nothing else: here each part has a level.
pub(super) fn read_log(s: &mut Source) -> String {
    s.parsed("HALLPASS_LOG", "info".to_owned(), |text| {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parts = parts.map(|part| check_log_part(part).map(|()| part));
        let filter = parts.collect::<Result<Vec<&str>, String>>()?.join(",");
        match tracing_subscriber::EnvFilter::try_new(&filter) {
            Ok(_) if !filter.is_empty() => Ok(filter),
            _ => Err("must be a level (info) or a filter (info,hallpass::http=debug)".to_owned()),
        }
    })
}

fn check_log_part(part: &str) -> Result<(), String> {
    let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
    let lower = level.to_ascii_lowercase();
    let is_one_part = part.contains('[') || !part.contains(char::is_whitespace);
    if is_one_part && LOG_LEVELS.contains(&lower.as_str()) {
        return Ok(());
    }
    let meant = OTHER_LEVELS.iter().find(|(other, _)| *other == lower).map(|(_, level)| *level);
    Err(match meant {
        Some(meant) => format!("has the unknown level `{level}`: did you mean {meant}?"),
        None => format!(
            "has `{part}`, which has no known level ({}): must be a level (info) or a filter \
             (info,hallpass::http=debug)",
            LOG_LEVELS.join(", ")
        ),
    })
}
