//! Look-up of breached passwords at a range service such as Have I Been Pwned. The service receives
//! the first five digits of the SHA-1 digest and returns every digest with this prefix
//! (k-anonymity), so it learns neither password nor user.
//!
//! This is the one file of `security` that makes network calls.

use std::time::Duration;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use url::Url;

use crate::domain::PlainPassword;
use crate::outgoing::{CallLimit, Client, OutgoingError, Targets};

/// Digits of the digest that the service receives.
const PREFIX_DIGITS: usize = 5;
/// A response has about a thousand lines of forty bytes.
const MAX_ANSWER: u64 = 256 * 1024;

/// Look-ups at once.
const MAX_CALLS: usize = 16;

/// URL and time-out of the look-up.
#[derive(Clone, Debug)]
pub struct BreachedPasswordsSettings {
    /// URL before the digits, without a final slash.
    pub url: String,
    /// Time-out of the whole look-up, from the DNS query to the last byte.
    pub timeout: Duration,
}

impl BreachedPasswordsSettings {
    /// Checks a URL of a service: https, or http on this machine.
    pub fn parse_url(text: &str) -> Result<String, &'static str> {
        let advice = "must be an https URL that the first digits can be put after, such as \
                      https://api.pwnedpasswords.com/range (http on loopback only)";
        let url = Url::parse(text).map_err(|_| advice)?;
        let is_local = match url.host() {
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let is_plain =
            url.query().is_none() && url.fragment().is_none() && url.password().is_none();
        if is_safe && is_plain && url.username().is_empty() {
            Ok(url.as_str().trim_end_matches('/').to_owned())
        } else {
            Err(advice)
        }
    }
}

/// Reasons why a look-up failed.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The service did not respond in time.
    #[error("{0}")]
    Call(#[from] OutgoingError),
    /// The service refused the request.
    #[error("the answer has the status {0}")]
    Status(u16),
    /// Too many look-ups wait for the service.
    #[error("too many look-ups are in progress")]
    Busy,
    /// The response is not a range.
    #[error("the answer is no list of digests")]
    NotARange,
}

/// The client of the service.
pub struct BreachedPasswords {
    client: Client,
    url: String,
    calls: CallLimit,
}

impl BreachedPasswords {
    /// Returns a client of the service. No request is sent yet.
    pub fn at(settings: &BreachedPasswordsSettings) -> Self {
        // The operator may run a mirror on a private network.
        let client = Client::new(Targets::Any, settings.timeout, MAX_ANSWER);
        Self { client, url: settings.url.clone(), calls: CallLimit::new(MAX_CALLS) }
    }

    /// Returns whether the password is in the collection.
    pub fn contain(&self, password: &PlainPassword) -> Result<bool, LookupError> {
        let _call = self.calls.begin().ok_or(LookupError::Busy)?;
        let digest = sha1_hex(password);
        let (prefix, suffix) = digest.split_at(PREFIX_DIGITS);
        // The padding hides from observers of the length which range the response is.
        let padding = [("Add-Padding", "true")];
        let answer = self.client.get(&format!("{}/{prefix}", self.url), &padding)?;
        if answer.status != 200 {
            return Err(LookupError::Status(answer.status));
        }
        let range = String::from_utf8(answer.body).map_err(|_| LookupError::NotARange)?;
        lists(&range, suffix).ok_or(LookupError::NotARange)
    }
}

fn sha1_hex(password: &PlainPassword) -> String {
    use std::fmt::Write as _;

    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.expose().as_bytes());
    digest.as_ref().iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02X}");
        text
    })
}

/// Returns whether the suffix is among the lines `SUFFIX:COUNT`. Those with a count of 0 are
/// padding. `None` if a line does not have that form.
fn lists(range: &str, suffix: &str) -> Option<bool> {
    let mut is_listed = false;
    for line in range.lines().filter(|line| !line.is_empty()) {
        let (digits, count) = line.split_once(':')?;
        let count: u64 = count.trim().parse().ok()?;
        if digits.len() != suffix.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        is_listed |= count > 0 && digits.eq_ignore_ascii_case(suffix);
    }
    Some(is_listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of "password" is `5BAA6` `1E4C9B93F3F0682250B6CF8331B7EE68FD8`.
    const SUFFIX: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD8";
    const OTHER: &str = "1E4C9B93F3F0682250B6CF8331B7EE68FD9";

    #[test]
    fn digests_are_those_that_are_published() {
        let password = PlainPassword::parse("password").unwrap();
        assert_eq!(sha1_hex(&password), format!("5BAA6{SUFFIX}"));
    }

    #[test]
    fn a_range_is_read_strictly_and_padding_does_not_count() {
        for (range, outcome) in [
            (String::new(), Some(false)),
            (format!("{OTHER}:5"), Some(false)),
            (format!("{OTHER}:5\r\n{SUFFIX}:1"), Some(true)),
            (format!("{}:1\r\n", SUFFIX.to_lowercase()), Some(true)),
            (format!("{SUFFIX}:0"), Some(false)),
            (SUFFIX.to_owned(), None),
            (format!("{SUFFIX}:x"), None),
            (format!("{SUFFIX}:-1"), None),
            (format!("{SUFFIX}:1\n<html>"), None),
            (format!("5BAA6{SUFFIX}:1"), None),
            ("{\"a\":1}".to_owned(), None),
        ] {
            assert_eq!(lists(&range, SUFFIX), outcome, "{range}");
        }
    }

    #[test]
    fn digits_go_over_tls_or_stay_on_this_machine() {
        let parse = BreachedPasswordsSettings::parse_url;
        for good in [
            "https://api.pwnedpasswords.com/range",
            "https://api.pwnedpasswords.com/range/",
            "http://127.0.0.1:8080",
            "http://[::1]/range",
            "http://localhost:1/x",
        ] {
            assert_eq!(parse(good).as_deref(), Ok(good.trim_end_matches('/')));
        }
        for bad in [
            "",
            "range",
            "http://api.pwnedpasswords.com/range",
            "http://127.0.0.1.example.com",
            "https://u:p@host/range",
            "https://host/range?x=1",
            "https://host/range#x",
            "ftp://127.0.0.1",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
