//! How mail leaves: `HALLPASS_SMTP_URL` and the settings beside it.
//!
//! | URL | meaning | default port |
//! | --- | --- | --- |
//! | `smtps://user:password@host` | TLS from the first byte | 465 |
//! | `smtp://user:password@host` | STARTTLS, required | 587 |
//! | `smtp://localhost` | plain text, on this machine only | 25 |
//!
//! Parameters: `?tls=required` asks for STARTTLS on loopback too, `?tls=none` allows plain text to
//! another machine (without a user), `?ca=/path/ca.pem` trusts a private certificate authority
//! in place of the public ones.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use percent_encoding::percent_decode_str;
use url::Url;

/// How the connection to the mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (`smtps`, RFC 8314).
    ImplicitTls,
    /// STARTTLS (RFC 3207); nothing is sent when the server does not offer it.
    StartTls,
    /// Plain text.
    Plain,
}

/// User and password for the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub(crate) user: String,
    pub(crate) password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(..)")
    }
}

/// A parsed `HALLPASS_SMTP_URL`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpSettings {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: Security,
    pub(crate) login: Option<Login>,
    pub(crate) ca: Option<PathBuf>,
    pub(crate) ehlo_name: String,
    pub(crate) connections: usize,
    pub(crate) command_timeout: Duration,
    pub(crate) content_timeout: Duration,
}

const FORMS: &str = "it must look like smtps://user:password@host, smtp://user:password@host or \
                     smtp://localhost:1025";
const ENCODE: &str = "special characters in user and password must be percent-encoded (@ as %40, \
                      / as %2F, # as %23, ? as %3F, % as %25)";

impl SmtpSettings {
    /// Number of connections of one instance.
    pub const CONNECTIONS: usize = 4;
    /// Longest wait for the answer to one SMTP command. Servers that let strangers wait take a
    /// minute for the greeting; RFC 5321 section 4.5.3.2 allows five.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);
    /// Longest wait for the answer to the message (RFC 5321 section 4.5.3.2.6): a client that gives
    /// up earlier sends mail twice that a slow scanner had accepted.
    pub const CONTENT_TIMEOUT: Duration = Duration::from_mins(10);

    /// Reads the URL. The error says what would be right and repeats nothing of the URL, for that
    /// may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let url = Url::parse(url.trim()).map_err(|fault| format!("{fault}: {FORMS}; {ENCODE}"))?;
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(format!("there is something after the host: {FORMS}; {ENCODE}"));
        }
        let host = host(&url)?;
        let parameters = Parameters::parse(&url)?;
        let local = is_loopback(&host);
        let security = match (url.scheme(), parameters.tls) {
            ("smtps", None | Some(TlsParameter::Required)) => Security::ImplicitTls,
            ("smtps", Some(TlsParameter::None)) => {
                return Err("smtps:// is always TLS: use smtp:// with ?tls=none".to_owned());
            }
            ("smtp", Some(TlsParameter::None)) => Security::Plain,
            ("smtp", None) if local => Security::Plain,
            ("smtp", None | Some(TlsParameter::Required)) => Security::StartTls,
            _ => return Err(FORMS.to_owned()),
        };
        let login = login(&url)?;
        if security == Security::Plain && login.is_some() && !local {
            return Err("a password is never sent in plain text to another machine: leave out \
                        ?tls=none, or the user and password"
                .to_owned());
        }
        if security == Security::Plain && parameters.ca.is_some() {
            return Err("ca= is of use with TLS only: use smtps:// or add ?tls=required".to_owned());
        }
        let port = match url.port() {
            Some(0) => return Err("the port cannot be 0".to_owned()),
            Some(port) => port,
            None if security == Security::ImplicitTls => 465,
            None if local => 25,
            None => 587,
        };
        Ok(Self {
            host,
            port,
            security,
            login,
            ca: parameters.ca,
            ehlo_name: "localhost".to_owned(),
            connections: Self::CONNECTIONS,
            command_timeout: Self::COMMAND_TIMEOUT,
            content_timeout: Self::CONTENT_TIMEOUT,
        })
    }

    /// The same settings with other limits of time: for the answer to a command, and for that to
    /// the message.
    #[must_use]
    pub const fn with_timeouts(mut self, command: Duration, content: Duration) -> Self {
        self.command_timeout = command;
        self.content_timeout = content;
        self
    }

    /// The same settings with another number of connections.
    #[must_use]
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The same settings with another name in EHLO.
    #[must_use]
    pub fn with_ehlo_name(mut self, name: String) -> Self {
        self.ehlo_name = name;
        self
    }

    /// Name or address of the mail server.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port of the mail server.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// How the connection is protected.
    pub const fn security(&self) -> Security {
        self.security
    }

    /// Returns whether Hallpass logs in to the mail server.
    pub const fn has_login(&self) -> bool {
        self.login.is_some()
    }

    /// File of the private certificate authority, if one is named.
    pub fn ca(&self) -> Option<&Path> {
        self.ca.as_deref()
    }
}

impl FromStr for SmtpSettings {
    type Err = String;

    fn from_str(url: &str) -> Result<Self, String> {
        Self::parse(url)
    }
}

fn host(url: &Url) -> Result<String, String> {
    let host = url.host_str().unwrap_or_default();
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().map_err(|_| FORMS.to_owned())?;
        return Ok(address.to_string());
    }
    // The URL parser leaves the host of a scheme it does not know as it found it.
    let host = percent_decode_str(host).decode_utf8().map_err(|_| FORMS.to_owned())?;
    // Underscores are no host name's, but Docker Compose has them.
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match idna::domain_to_ascii(&host) {
        Ok(host) if !host.is_empty() && host.bytes().all(fits) => Ok(host),
        _ => Err(format!("the host name is missing or wrong: {FORMS}")),
    }
}

/// Returns a name for EHLO in the form of RFC 5321 section 4.1.1.1: a domain, or an address literal
/// of a bare or bracketed IP address.
pub fn ehlo_name(text: &str) -> Option<String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let inner = inner.strip_prefix("IPv6:").unwrap_or(inner);
    match inner.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => return Some(format!("[{address}]")),
        Ok(IpAddr::V6(address)) => return Some(format!("[IPv6:{address}]")),
        Err(_) => {}
    }
    let name = idna::domain_to_ascii(text).ok()?;
    // The final dot of a name in the DNS is none of a name in SMTP.
    let name = name.strip_suffix('.').unwrap_or(&name);
    (name.len() <= 255 && name.split('.').all(is_label)).then(|| name.to_owned())
}

/// Returns whether `text` is a label of a host name. Names of containers have underscores.
fn is_label(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_dash_at_edge = text.starts_with('-') || text.ends_with('-');
    (1..=63).contains(&text.len()) && text.bytes().all(fits) && !is_dash_at_edge
}

fn is_loopback(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn login(url: &Url) -> Result<Option<Login>, String> {
    let (user, password) = (url.username(), url.password().unwrap_or_default());
    match (user.is_empty(), password.is_empty()) {
        (true, true) => Ok(None),
        (false, false) => Ok(Some(Login { user: decode(user)?, password: decode(password)? })),
        _ => Err("user and password must both be there, or neither".to_owned()),
    }
}

fn decode(part: &str) -> Result<String, String> {
    let text = percent_decode_str(part)
        .decode_utf8()
        .map_err(|_| format!("user or password is not UTF-8 after decoding: {ENCODE}"))?;
    // A NUL would shift the fields of AUTH PLAIN; no server takes the others either.
    if text.chars().any(char::is_control) {
        return Err("user and password cannot hold control characters".to_owned());
    }
    Ok(text.into_owned())
}

#[derive(Clone, Copy)]
enum TlsParameter {
    None,
    Required,
}

struct Parameters {
    tls: Option<TlsParameter>,
    ca: Option<PathBuf>,
}

impl Parameters {
    fn parse(url: &Url) -> Result<Self, String> {
        let mut parameters = Self { tls: None, ca: None };
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("tls", "none") => parameters.tls = Some(TlsParameter::None),
                ("tls", "required") => parameters.tls = Some(TlsParameter::Required),
                ("ca", path) if !path.is_empty() => parameters.ca = Some(PathBuf::from(path)),
                // Not named in the text: it may be the end of a password with a bare `?` in it.
                _ => {
                    return Err(format!(
                        "the parameters are ?tls=required, ?tls=none and ?ca=FILE, nothing else; \
                         {ENCODE}"
                    ));
                }
            }
        }
        Ok(parameters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> SmtpSettings {
        SmtpSettings::parse(url).unwrap_or_else(|fault| panic!("{url}: {fault}"))
    }

    #[test]
    fn each_form_gets_its_protection_and_port() {
        use Security::{ImplicitTls, Plain, StartTls};
        for (url, security, host, port) in [
            ("smtps://u:p@mail.example.com", ImplicitTls, "mail.example.com", 465),
            ("smtps://u:p@mail.example.com:2465/", ImplicitTls, "mail.example.com", 2465),
            ("smtps://localhost", ImplicitTls, "localhost", 465),
            ("smtp://u:p@mail.example.com", StartTls, "mail.example.com", 587),
            ("smtp://mail.example.com:25", StartTls, "mail.example.com", 25),
            ("smtp://u:p@mail.example.com?tls=required", StartTls, "mail.example.com", 587),
            ("smtp://localhost?tls=required", StartTls, "localhost", 25),
            ("smtp://localhost:1025", Plain, "localhost", 1025),
            ("smtp://LOCALHOST", Plain, "localhost", 25),
            ("smtp://127.0.0.1:1025", Plain, "127.0.0.1", 1025),
            ("smtp://127.1.2.3", Plain, "127.1.2.3", 25),
            ("smtp://[::1]:1025", Plain, "::1", 1025),
            ("smtp://mailpit:1025?tls=none", Plain, "mailpit", 1025),
            ("smtp://mail_server:25?tls=none", Plain, "mail_server", 25),
            ("smtp://10.0.0.1", StartTls, "10.0.0.1", 587),
            ("smtp://[2001:db8::1]", StartTls, "2001:db8::1", 587),
            ("smtp://localhost.example.com", StartTls, "localhost.example.com", 587),
            ("smtp://127.0.0.1.example.com", StartTls, "127.0.0.1.example.com", 587),
            ("smtps://메일.example.com", ImplicitTls, "xn--h32bq4v.example.com", 465),
        ] {
            let settings = parsed(url);
            assert_eq!(
                (settings.security(), settings.host(), settings.port()),
                (security, host, port),
                "{url}"
            );
        }
    }

    #[test]
    fn user_and_password_are_percent_decoded() {
        let login = parsed("smtps://bob%40example.com:p%40%2F%3A%23%25x@host").login.unwrap();
        assert_eq!((login.user.as_str(), login.password.as_str()), ("bob@example.com", "p@/:#%x"));
        assert!(!parsed("smtps://host").has_login());
    }

    #[test]
    fn a_password_goes_in_plain_text_to_this_machine_only() {
        assert!(parsed("smtp://u:p@localhost:1025").has_login());
        assert!(SmtpSettings::parse("smtp://u:p@mail.example.com?tls=none").is_err());
        assert!(SmtpSettings::parse("smtp://u:p@10.0.0.1?tls=none").is_err());
    }

    #[test]
    fn a_private_certificate_authority_can_be_named() {
        let settings = parsed("smtps://host?ca=/etc/hallpass/mail%20ca.pem");
        assert_eq!(settings.ca(), Some(Path::new("/etc/hallpass/mail ca.pem")));
        assert!(SmtpSettings::parse("smtp://localhost?ca=/x.pem").is_err());
    }

    #[test]
    fn a_wrong_url_is_refused_without_repeating_the_password() {
        for url in [
            "",
            "hunter2",
            "http://u:hunter2@host",
            "smtps://",
            "smtps://u:hunter2@",
            "smtps://u:hunter2@host:0",
            "smtps://u:hunter2@host:99999",
            "smtps://u:hunter2@host/path",
            "smtps://u:#hunter2@host",
            "smtps://u:x#hunter2@host",
            "smtps://u:x/hunter2@host",
            "smtps://u:x?hunter2@host",
            "smtps://u:hunter2@host?tls=none",
            "smtp://u:hunter2@host?tls=opportunistic",
            "smtp://u:hunter2@host?timeout=1",
            "smtps://u:hunter2%00@host",
            "smtps://u:hunter2%0d%0aRSET@host",
            "smtps://u:hunter2%ff@host",
            "smtps://:hunter2@host",
            "smtps://hunter2@host",
            "smtps://u:hunter2@ho st",
            "smtps://u:hunter2@ho%20st",
            "smtps://u:hunter2@ho%0d%0ast",
            "smtps://u:hunter2@[::1",
        ] {
            let fault = SmtpSettings::parse(url).expect_err(url);
            assert!(!fault.contains("hunter2"), "{url}: {fault}");
            assert!(!fault.is_empty(), "{url}");
        }
    }

    #[test]
    fn a_name_for_ehlo_is_a_domain_or_an_address_literal() {
        for (text, name) in [
            ("auth.example.com", "auth.example.com"),
            ("메일.example.com", "xn--h32bq4v.example.com"),
            ("localhost", "localhost"),
            ("192.0.2.1", "[192.0.2.1]"),
            ("[192.0.2.1]", "[192.0.2.1]"),
            ("[2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("[IPv6:2001:db8::1]", "[IPv6:2001:db8::1]"),
            ("mail.example.com.", "mail.example.com"),
            ("auth_1.internal", "auth_1.internal"),
            ("a-b.example", "a-b.example"),
        ] {
            assert_eq!(ehlo_name(text).as_deref(), Some(name), "{text}");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        for text in ["", "two words", "a\r\nMAIL", "<a>", "[192.0.2.1"].into_iter().chain([
            "-",
            ".",
            "..",
            "a..b",
            ".a",
            "a..",
            "-a.example",
            "a-.example",
            "_.-",
            &long,
        ]) {
            assert_eq!(ehlo_name(text), None, "{text}");
        }
    }

    #[test]
    fn debug_output_keeps_the_password() {
        let text = format!("{:?}", parsed("smtps://someone:hunter2@host"));
        assert!(!text.contains("hunter2") && !text.contains("someone"), "{text}");
    }
}
