//! Settings of SMTP: `HALLPASS_SMTP_URL` and those beside it.
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

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::Url;

/// Protection of the connection to the mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte (`smtps`, RFC 8314).
    ImplicitTls,
    /// STARTTLS (RFC 3207). Without it nothing is sent.
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
    pub(crate) connection_retry: Duration,
    pub(crate) preempt_after: Duration,
}

const FORMS: &str = "it must look like smtps://user:password@host, smtp://user:password@host or \
                     smtp://localhost:1025";
const ENCODE: &str = "special characters in user and password must be percent-encoded (@ as %40, \
                      / as %2F, # as %23, ? as %3F, % as %25)";

impl SmtpSettings {
    /// Number of connections of one instance.
    pub const CONNECTIONS: usize = 4;
    /// Longest wait for the reply to a command. Servers that delay unknown clients take a minute
    /// for the greeting; RFC 5321 section 4.5.3.2 allows five.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(90);
    /// Longest wait for the reply to the message (RFC 5321 section 4.5.3.2.6): after a shorter one,
    /// mails would be sent twice that a slow scanner accepted.
    pub const CONTENT_TIMEOUT: Duration = Duration::from_mins(10);

    /// Time after a refused connection until one more is tried.
    pub const CONNECTION_RETRY: Duration = Duration::from_mins(1);

    /// Time without a reply to the recipient after which a mail gives way to mail that waits.
    pub const PREEMPT_AFTER: Duration = Duration::from_secs(2);

    /// Parses the URL.
    ///
    /// # Errors
    ///
    /// The text shows the accepted forms and no part of the URL, which may contain a password.
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
            connection_retry: Self::CONNECTION_RETRY,
            preempt_after: Self::PREEMPT_AFTER,
        })
    }

    /// Returns the settings with other time-outs, for the reply to a command and to the message.
    #[must_use]
    pub const fn with_timeouts(mut self, command: Duration, content: Duration) -> Self {
        self.command_timeout = command;
        self.content_timeout = content;
        self
    }

    /// Returns the settings with another number of connections.
    #[must_use]
    pub const fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Returns the settings with another time until a refused connection is tried again.
    #[must_use]
    pub const fn with_connection_retry(mut self, retry: Duration) -> Self {
        self.connection_retry = retry;
        self
    }

    /// Returns the settings with another time for a recipient while other mail waits.
    #[must_use]
    pub const fn with_preempt_after(mut self, preempt_after: Duration) -> Self {
        self.preempt_after = preempt_after;
        self
    }

    /// Returns the settings with another name in EHLO.
    #[must_use]
    pub fn with_ehlo_name(mut self, name: String) -> Self {
        self.ehlo_name = name;
        self
    }

    /// Returns the host name or IP address of the mail server.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the TCP port of the mail server.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the protection of the connection.
    pub const fn security(&self) -> Security {
        self.security
    }

    /// Returns the file of the private certificate authority, if one is set.
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
    // The URL parser does not decode hosts of unknown schemes.
    let host = percent_decode_str(host).decode_utf8().map_err(|_| FORMS.to_owned())?;
    // Docker Compose has underscores in host names.
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
    // SMTP knows no final dot, unlike the DNS (RFC 5321 section 2.3.5).
    let name = name.strip_suffix('.').unwrap_or(&name);
    (name.len() <= 255 && name.split('.').all(is_label)).then(|| name.to_owned())
}

/// Returns whether `text` is a label of a host name. Underscores are permitted, since container
/// names have them.
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
    // A NUL would shift the fields of AUTH PLAIN; servers refuse the others too.
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
                // Its text may be the end of a password that contains `?`.
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
mod tests;
