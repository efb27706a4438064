//! The URL of a database. An invalid URL is refused without showing any of it.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Kind and location of the database.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server, as libpq understands the URL. It may hold a password.
    Postgres(String),
}

/// Reason why a URL cannot be used. It holds nothing of the URL.
type Advice = &'static str;

const FORMS: Advice = "must be postgres://USER:PASSWORD@HOST/DATABASE or sqlite://PATH";
const ESCAPES: Advice = "cannot be read: in user, password and database these characters are \
                         written %40 for @, %2F for /, %23 for #, %3F for ?, %3A for :, %25 for %";
const HOSTS: Advice = "cannot be read: a host is a name, an IP address or an [IPv6 address], with or without \
                       :PORT, and several are separated by commas; a user and a password stand before an @";
const PARAMETERS: Advice = "has a parameter that libpq does not know, or with a value that cannot \
                            be read; a ? or & in a password is written %3F or %26";

/// Query parameters that libpq knows, and their kinds.
const KNOWN_PARAMETERS: [(&str, Parameter); 42] = [
    ("application_name", Parameter::Text),
    ("channel_binding", Parameter::OneOf(&["disable", "prefer", "require"])),
    ("client_encoding", Parameter::OneOf(&["auto", "UTF8", "utf8", "UTF-8", "utf-8"])),
    ("connect_timeout", Parameter::Number),
    ("dbname", Parameter::Text),
    ("fallback_application_name", Parameter::Text),
    ("gssdelegation", Parameter::Number),
    ("gssencmode", Parameter::OneOf(&["disable", "prefer", "require"])),
    ("host", Parameter::Text),
    ("hostaddr", Parameter::Text),
    ("keepalives", Parameter::Number),
    ("keepalives_count", Parameter::Number),
    ("keepalives_idle", Parameter::Number),
    ("keepalives_interval", Parameter::Number),
    ("krbsrvname", Parameter::Text),
    ("load_balance_hosts", Parameter::OneOf(&["disable", "random"])),
    ("max_protocol_version", Parameter::OneOf(PROTOCOL_VERSIONS)),
    ("min_protocol_version", Parameter::OneOf(PROTOCOL_VERSIONS)),
    ("options", Parameter::Text),
    ("passfile", Parameter::Text),
    ("password", Parameter::Text),
    ("port", Parameter::Ports),
    ("require_auth", Parameter::Text),
    ("requirepeer", Parameter::Text),
    ("service", Parameter::Text),
    ("ssl", Parameter::OneOf(&["true"])),
    ("ssl_max_protocol_version", Parameter::OneOf(TLS_VERSIONS)),
    ("ssl_min_protocol_version", Parameter::OneOf(TLS_VERSIONS)),
    ("sslcert", Parameter::Text),
    ("sslcertmode", Parameter::OneOf(&["disable", "allow", "require"])),
    ("sslcompression", Parameter::Number),
    ("sslcrl", Parameter::Text),
    ("sslcrldir", Parameter::Text),
    ("sslkey", Parameter::Text),
    ("sslmode", Parameter::OneOf(SSL_MODES)),
    ("sslnegotiation", Parameter::OneOf(&["postgres", "direct"])),
    ("sslpassword", Parameter::Text),
    ("sslrootcert", Parameter::Text),
    ("sslsni", Parameter::Number),
    ("target_session_attrs", Parameter::OneOf(SESSION_ATTRIBUTES)),
    ("tcp_user_timeout", Parameter::Number),
    ("user", Parameter::Text),
];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
const TLS_VERSIONS: &[&str] = &["", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const PROTOCOL_VERSIONS: &[&str] = &["3.0", "3.2", "latest"];
const SESSION_ATTRIBUTES: &[&str] =
    &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];

/// Values of a parameter. libpq shows a value that it cannot parse.
#[derive(Clone, Copy)]
enum Parameter {
    Text,
    Number,
    Ports,
    OneOf(&'static [&'static str]),
}

impl Parameter {
    fn takes(self, value: &str) -> bool {
        match self {
            Self::Text => true,
            Self::Number => value.parse::<i32>().is_ok(),
            Self::Ports => value.split(',').all(is_port),
            Self::OneOf(words) => words.contains(&value),
        }
    }
}

impl DatabaseUrl {
    /// Reads `sqlite://PATH` or `postgres://...`; anything else is refused, since a typo in the
    /// scheme would silently make a file of that name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("postgres://").or_else(|| text.strip_prefix("postgresql://"));
        if let Some(rest) = rest {
            check_postgres(rest)?;
            // libpq refuses parameters that are appended to an empty query.
            let url = text.split_once('?').filter(|(_, query)| query.is_empty());
            return Ok(Self::Postgres(url.map_or(text, |(url, _)| url).to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        path.ok_or(FORMS).and_then(sqlite_path).map(Self::Sqlite)
    }

    /// Returns whether the database exists. Opening an SQLite file that does not exist would create
    /// it.
    pub fn is_there(&self) -> bool {
        match self {
            Self::Sqlite(path) => path.exists(),
            Self::Postgres(_) => true,
        }
    }

    /// A description for logs, without user and password.
    pub fn redacted(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("SQLite, {}", path.display()),
            Self::Postgres(text) => {
                let address = text.split_once('?').map_or(text.as_str(), |(address, _)| address);
                let database = address.splitn(4, '/').nth(3).unwrap_or_default();
                let hosts = match hosts(text) {
                    "" => "local socket",
                    hosts => hosts,
                };
                format!("Postgres, {hosts}/{database}")
            }
        }
    }
}

/// Returns the hosts of a valid Postgres URL: `HOST[:PORT][,...]`.
pub fn hosts(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    authority.split_once('@').map_or(authority, |(_, hosts)| hosts)
}

/// Returns the host without its port.
pub fn without_port(host: &str) -> &str {
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None => host.split_once(':').map_or(host, |(name, _)| name),
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.redacted())
    }
}

/// Parses the path as other programs do, and refuses a path that would create a file of an
/// unintended name.
fn sqlite_path(text: &str) -> Result<PathBuf, Advice> {
    // A version that took every character as it is has created this file.
    if Path::new(text).is_file() {
        return Ok(text.into());
    }
    // Parameters have values; a file may be called `what?.db`.
    let is_name = |rest: &str| rest.contains('.') && !rest.contains('=');
    let (path, query) = match text.split_once('?') {
        Some((path, query)) if !is_name(query) => (path, query),
        _ => (text, "mode=rwc"),
    };
    if query != "mode=rwc" {
        return Err("takes no parameter but mode=rwc; a ? in the path is written %3F");
    }
    if path.starts_with('~') || path.contains(['$', '#', '{', '}', '<', '>']) {
        return Err(
            "has a ~, $, #, {, }, < or > in the path, which is not expanded: write out the whole path, or \
             %7E, %24, %23, %7B, %7D, %3C and %3E where they belong to it",
        );
    }
    if !is_percent_encoded(path) {
        return Err("has a % that encodes nothing: a % in a path is written %25");
    }
    let first = path.split('/').next().unwrap_or_default();
    // Host names are case-insensitive and may end in a dot.
    if first.strip_suffix('.').unwrap_or(first).eq_ignore_ascii_case("localhost")
        || first.contains([':', '@'])
        || first.parse::<std::net::Ipv4Addr>().is_ok()
    {
        return Err("names a host or a database in memory, and must name a file: sqlite:///PATH");
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "must be UTF-8")?;
    if path.trim() != path || path.contains(char::is_control) {
        return Err("has white space at the beginning or end of the path, or a control character");
    }
    match path.rsplit('/').next() {
        None | Some("" | "." | ".." | ":memory:") => {
            Err("must name a file: sqlite://PATH, or sqlite:///PATH from the root")
        }
        Some(_) => Ok(path.into_owned().into()),
    }
}

/// Checks the part after the scheme:
/// `[USER[:PASSWORD]@][HOST[:PORT][,...]][/DATABASE][?NAME=VALUE...]`.
fn check_postgres(rest: &str) -> Result<(), Advice> {
    if !is_percent_encoded(rest) {
        return Err("has a % that encodes nothing: a % in a password is written %25");
    }
    if rest.contains('#') || rest.contains(|c: char| c.is_control() || c == ' ') {
        return Err(ESCAPES);
    }
    let (address, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    let (authority, database) = address.split_once('/').unwrap_or((address, ""));
    let hosts = authority.split_once('@').map_or(authority, |(_, hosts)| hosts);
    if database.contains(['/', '@', ':']) || hosts.contains('@') {
        return Err(ESCAPES);
    }
    if !hosts.split(',').all(is_host) {
        // The part after an `@` is meant as the host, so the `?` before it is part of a password.
        return Err(if query.is_some_and(|query| query.contains('@')) { ESCAPES } else { HOSTS });
    }
    let is_known = |pair: &str| {
        let Some((name, value)) = pair.split_once('=') else { return false };
        let value = percent_decode_str(value).decode_utf8_lossy();
        KNOWN_PARAMETERS.iter().any(|(known, kind)| *known == name && kind.takes(&value))
    };
    match query {
        Some(query) if !query.is_empty() && !query.split('&').all(is_known) => Err(PARAMETERS),
        _ => Ok(()),
    }
}

/// Returns whether `text` is a name, an IP address or the encoded folder of a socket, with or
/// without a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((host, port))) if host.parse::<std::net::Ipv6Addr>().is_ok() => ("", port),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._%".contains(&byte);
    host.bytes().all(is_name) && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.parse::<u16>().is_ok()
}

/// Returns whether every `%` precedes two hexadecimal digits that are not the zero byte. libpq
/// would show the password in its error.
fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit) && it != b"00")
    })
}
