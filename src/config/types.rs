//! Groups of settings, and units of time.

use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const MINUTE: Duration = Duration::from_mins(1);
pub(super) const DAY: Duration = Duration::from_hours(24);
/// The length of `1y`: 365.25 days.
pub(super) const YEAR: Duration = Duration::from_secs(31_557_600);

/// Format of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people to read.
    Text,
    /// One JSON object per line.
    Json,
}

/// `SameSite` attribute of the cookies: the cross-site requests that they are sent with (RFC
/// 6265bis section 5.6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// No cross-site requests.
    Strict,
    /// Cross-site requests that open a page.
    Lax,
    /// All cross-site requests.
    None,
}

/// Settings for front ends in browsers.
#[derive(Clone, Debug)]
pub struct BrowserSettings {
    /// Origins of front ends besides the service's own.
    pub origins: Vec<String>,
    /// True if `http://localhost` and `http://127.0.0.1` are among them, on any port.
    pub loopback_origins: bool,
    /// Request headers that their pages may send besides the usual ones.
    pub headers: Vec<String>,
    /// `SameSite` attribute of the cookies.
    pub same_site: SameSite,
}

/// Pages of a front end, each with `{token}`; `None` where the built-in page serves.
#[derive(Clone, Debug)]
pub struct FrontEndPages {
    /// The page of the verification link.
    pub verify_email: Option<String>,
    /// The page of the reset link.
    pub password_reset: Option<String>,
    /// The page of the link that reports unauthorized activity.
    pub not_me: Option<String>,
}

/// Schemes of the `Authorization` header at the Django REST adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrfPrefix {
    /// `JWT`, the default of djangorestframework-jwt.
    Jwt,
    /// `Bearer`, the default of its maintained fork.
    Bearer,
    /// `JWT` and `Bearer`.
    Both,
}

/// Settings of the Django REST adapter.
#[derive(Clone, Copy, Debug)]
pub struct DrfSettings {
    /// The schemes that are accepted.
    pub prefix: DrfPrefix,
    /// Lifetime of a token.
    pub token_ttl: Duration,
    /// Time from a log-in until the last refresh.
    pub refresh_ttl: Duration,
}

/// Lifetimes of tokens and sessions.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Lifetime of an access token.
    pub access_token: Duration,
    /// Lifetime of an unused refresh token.
    pub refresh_token: Duration,
    /// Longest lifetime of a session.
    pub session: Duration,
    /// Grace period in which a replaced refresh token answers with its successor.
    pub refresh_grace: Duration,
    /// Age up to which a log-in replaces the password in sensitive requests.
    pub reauth_window: Duration,
    /// Time for which the revocation list is accepted without a sync with the database.
    pub revocations_max_age: Duration,
}

/// Times that are part of the promises, not settings: only tests choose others.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Interval of the syncs of revocations and signing keys of other instances: both take effect
    /// within a second.
    pub sync_period: Duration,
    /// Interval of the checks whether a new signing key is due. They need no database.
    pub keys_period: Duration,
    /// Time from the start to the first purge of expired rows.
    pub first_purge: Duration,
    /// Time-out of a request for a connection to the database and, on Postgres, for a lock.
    pub database_wait: Duration,
    /// Time-out of a request for its answer.
    pub answer_limit: Duration,
    /// Time for which the refusal of a request beyond a limit, or of one that finds the service
    /// overloaded, is held back. A client that ignores `Retry-After` and asks again at once would
    /// otherwise have refusals take the processors from hashes and from the requests of others.
    pub refusal_pause: Duration,
    /// Time without a request after which a connection gives its buffers back.
    pub park_after: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            sync_period: Duration::from_millis(500),
            keys_period: SECOND,
            first_purge: Duration::ZERO,
            database_wait: 3 * SECOND,
            answer_limit: 15 * SECOND,
            refusal_pause: Duration::from_millis(200),
            park_after: Duration::from_millis(500),
        }
    }
}
