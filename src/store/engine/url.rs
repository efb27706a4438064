//! The URL of a database, read strictly: what cannot be read is refused without showing any of it.

use std::path::{Path, PathBuf};

use percent_encoding::percent_decode_str;

/// Kind and place of the database.
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
const KNOWN_PARAMETERS: [(&str, Parameter); 43] = [
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
    ("servicefile", Parameter::Text),
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

/// Values of a parameter. libpq shows a value that it cannot read.
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
            // To an empty query libpq takes no further parameter.
            let url = text.split_once('?').filter(|(_, query)| query.is_empty());
            return Ok(Self::Postgres(url.map_or(text, |(url, _)| url).to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:"));
        path.ok_or(FORMS).and_then(sqlite_path).map(Self::Sqlite)
    }

    /// Returns whether there is anything to open: a file that does not exist would be made.
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

/// Returns the hosts of a Postgres URL that was read, as they stand there: `HOST[:PORT][,...]`.
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

/// Reads the path as other programs read it in such a URL, or refuses what would make a file of a
/// name that was not meant.
fn sqlite_path(text: &str) -> Result<PathBuf, Advice> {
    // A file of this very name was made by a version that took every character as it is.
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
    // Host names have no case, and may have a final dot.
    if first.strip_suffix('.').unwrap_or(first).eq_ignore_ascii_case("localhost")
        || first.contains([':', '@'])
        || first.parse::<std::net::Ipv4Addr>().is_ok()
    {
        return Err("names a host or a database in memory, and must name a file: sqlite:///PATH");
    }
    let path = percent_decode_str(path).decode_utf8().map_err(|_| "must be UTF-8")?;
    match path.rsplit('/').next() {
        None | Some("" | "." | ".." | ":memory:") => {
            Err("must name a file: sqlite://PATH, or sqlite:///PATH from the root")
        }
        Some(_) => Ok(path.into_owned().into()),
    }
}

/// Checks what follows the scheme:
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
        // What follows an @ was meant as the host: the ? before it stands in a password.
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

/// Returns whether every `%` stands before two hexadecimal digits that are not the zero byte. If
/// not, libpq would say so with the password in its message.
fn is_percent_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|it| it.iter().all(u8::is_ascii_hexdigit) && it != b"00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_good(text: &str) -> bool {
        DatabaseUrl::parse(text).is_ok()
    }

    #[test]
    fn the_scheme_chooses_the_database_and_what_cannot_be_read_is_refused() {
        for good in [
            "sqlite://data/a.db",
            "sqlite:/tmp/a.db",
            "postgres://u:p@h/d",
            "postgresql:///d?host=/run",
            "postgres://u:50%25@h/d",
            "postgres://%2Frun%2Fpostgresql/d",
            "postgres://u:p@[::1]:5432/d?connect_timeout=3&sslmode=verify-full",
            "postgres://u:p:q@a.example:5432,b.example/d?target_session_attrs=read-write",
            "postgres://",
            "postgres://u:пароль!$&'()*+,;=@h/d?options=-csearch_path%3Dx",
        ] {
            assert!(is_good(good), "{good}");
        }
        for bad in ["postgers://u:p@h/d", "POSTGRES://h/d", "data/a.db", "", "sqlite3://a.db"] {
            assert!(!is_good(bad), "{bad}");
        }
    }

    #[test]
    fn what_libpq_would_show_of_a_password_is_refused() {
        for bad in [
            "postgres://hp:hunt@er2@host/x",
            "postgres://hp:hunt/er2@host/x",
            "postgres://hp:12/34@host/x",
            "postgres://hp:12/3?4@host/x",
            "postgres://hp:12/3?dbname4@host/x",
            "postgres://hp:12/3?hunter=4@host/x",
            "postgres://hp:hunt#er2@host/x",
            "postgres://hp:hunt?er2@host/x",
            "postgres://hp:hunt er2@host/x",
            "postgres://hp:hunter2:host/x",
            "postgres://hp:hunter2@[host/x",
            "postgres://hp:hunter2@[::1]x/x",
            "postgres://hp:hunter2@host:port/x",
            "postgres://hp:hunter2@host:99999/x",
            "postgres://hp@host/x?connect_timeout=hunter2",
            "postgres://hp@host/x?sslmode=hunter2",
            "postgres://u:50%@h/d",
            "postgres://u:%zz@h/d",
            "postgres://u:%00@h/d",
        ] {
            let advice = DatabaseUrl::parse(bad).unwrap_err();
            assert!(!advice.contains("hunt") && !advice.contains("er2"), "{advice}");
        }
        for host in ["localhost:65x43/x", "u:word@[::1/x", "u:word@h:99999/x", "u:word@a,b:x/x"] {
            assert_eq!(DatabaseUrl::parse(&format!("postgres://{host}")), Err(HOSTS), "{host}");
        }
        for text in ["hp:hu?nter2@host/x", "hp:hu?nt=er2@host"] {
            assert_eq!(DatabaseUrl::parse(&format!("postgres://{text}")), Err(ESCAPES), "{text}");
        }
        for escaped in ["%40", "%2F", "%23", "%25"] {
            assert!(ESCAPES.contains(escaped));
            assert!(is_good(&format!("postgres://hp:hunt{escaped}er2@host/x")), "{escaped}");
        }
    }

    #[test]
    fn the_path_of_a_file_is_what_was_meant_or_is_refused() {
        for (text, path) in [
            ("sqlite://a.db?mode=rwc", "a.db"),
            ("sqlite:///srv/my%20data/a.db", "/srv/my data/a.db"),
            ("sqlite://100%25.db", "100%.db"),
            ("sqlite://./a.db", "./a.db"),
            ("sqlite://what?.db", "what?.db"),
            ("sqlite://what%3F.db?mode=rwc", "what?.db"),
            ("sqlite:////srv/a.db", "//srv/a.db"),
        ] {
            assert!(DatabaseUrl::parse(text) == Ok(DatabaseUrl::Sqlite(path.into())), "{text}");
        }
        for bad in [
            "sqlite://~/a.db",
            "sqlite://${HOME}/a.db",
            "sqlite://{{db}}/a.db",
            "sqlite:///srv/<site>/a.db",
            "sqlite:///srv/$HOME/a.db",
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:///:memory:",
            "sqlite:///%3Amemory%3A",
            "sqlite://file::memory:?cache=shared",
            "sqlite:file:a.db",
            "sqlite://localhost/srv/a.db",
            "sqlite://LOCALHOST/a.db",
            "sqlite://LocalHost./a.db",
            "sqlite:LOCALHOST/a.db",
            "sqlite://127.0.0.1/srv/a.db",
            "sqlite://user:word@host/a.db",
            "sqlite://a.db?mode=memory",
            "sqlite://a.db?mode=ro",
            "sqlite://a.db?",
            "sqlite://a.db#b",
            "sqlite://100%.db",
            "sqlite:///srv/",
            "sqlite:///srv/..",
            "sqlite://",
            "sqlite:///",
        ] {
            assert!(!is_good(bad), "{bad}");
        }
    }

    #[test]
    fn an_empty_query_is_left_out() {
        for (text, url) in [
            ("postgres://u:p@h/d?", "postgres://u:p@h/d"),
            ("postgres://?", "postgres://"),
            ("postgresql://h?", "postgresql://h"),
            ("postgres://h/d?application_name=a?", "postgres://h/d?application_name=a?"),
        ] {
            assert!(DatabaseUrl::parse(text) == Ok(DatabaseUrl::Postgres(url.into())), "{text}");
        }
    }

    #[test]
    fn a_file_that_an_older_version_made_stays_the_database() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a%20b.db");
        std::fs::write(&path, "").unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}", path.display()));
        assert!(url == Ok(DatabaseUrl::Sqlite(path)));
    }

    #[test]
    fn a_password_in_the_url_is_not_shown() {
        let url = DatabaseUrl::parse("postgres://user:secret@db.example/app").unwrap();
        assert_eq!(format!("{url:?}"), "Postgres, db.example/app");
        for (text, shown) in [
            (
                "postgres://u:word@a.example:6543,[::1]:6545/app?x=1",
                "a.example:6543,[::1]:6545/app",
            ),
            ("postgresql:///app?host=/run", "local socket/app"),
            ("postgres://u:word@h", "h/"),
        ] {
            let url = DatabaseUrl::Postgres(text.to_owned());
            assert_eq!(url.redacted(), format!("Postgres, {shown}"));
        }
    }
}
