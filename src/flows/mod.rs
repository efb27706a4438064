//! Rules of the service, one file per user story. A flow takes validated values, may block its
//! thread, holds no database connection while it hashes, and fails with a variant of [`Error`].

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod audit;
mod bounds;
mod challenges;
mod error;
mod health;
mod import_django;
mod keys;
pub(crate) mod limits;
pub(crate) mod maintenance;
pub(crate) mod notify;
pub(crate) mod password;
pub(crate) mod session;
pub(crate) mod sign_in;
pub(crate) mod social;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use crate::security::access_token::{Claims, VerifiedToken};
pub use crate::security::revocations::Ended;
pub use crate::store::events::EventPage;
pub use crate::store::outbox::MailLine;
pub use crate::store::users::search::{UserFilter, UserPage};
pub use access::Caller;
pub use account::export::{ExportEntries, ExportPage, ExportPosition};
pub use account::metadata::MetadataChange;
pub use account::profile::ProfileChanges;
pub use account::register::{LogInOrVerification, PendingVerification, RegisterRequest};
pub use account::verify_email::{LinkEvidence, Proof};
pub use admin::api_keys::{CreatedApiKey, NewApiKey};
pub use admin::create_superuser::NewSuperuser;
pub use admin::create_user::{CreatedAccount, NewAccount};
pub use admin::users::AccountChanges;
pub use bounds::{LimitReport, Unenforced};
pub use error::{Error, Field, FieldFault};
pub(crate) use health::DatabaseHealth;
pub use health::{Backlog, Gauges, Readiness};
pub use import_django::{
    Collision, Conflict, ImportChoices, ImportReport, LeftBehind, Place, Shared, import_django,
};
pub use keys::{KeyLoadError, RotateError, Rotation};
pub(crate) use limits::release::Unreleased;
pub use notify::compose_mail::ComposedEmail;
pub use password::reset::ResetProof;
pub use session::introspect::{ActiveRefreshToken, Introspection};
pub use sign_in::{LogInOutcome, LoggedIn, LoginContext, TokenPair};
pub use social::{
    FinishRequest, FinishedFlow, IdTokenRequest, ListedIdentity, ListedProvider, ProviderResponse,
    SocialLogin, StartRequest, StartedFlow,
};

use crate::clock::Clock;
use crate::domain::secrets::Secrets;
use crate::domain::{
    EmailVerification, LimitReports, Limits, PasswordPolicy, RegistrationRules, UtcTime,
    VerifyEmailProof,
};
use crate::mail::handler::MailMetrics;
use crate::security::access_token::AccessTokens;
use crate::security::breached::BreachedPasswords;
use crate::security::hasher::Hasher;
use crate::store::Db;
use crate::telemetry::counters::Counters;

/// Outcomes of log-ins, by the names that metrics use.
pub(crate) const LOG_INS: [&str; 8] = [
    "succeeded",
    "second_factor_required",
    "wrong_password",
    "account_disabled",
    "rate_limited",
    "proof_required",
    "overloaded",
    "failed",
];

/// The result of a flow.
pub type Result<T> = std::result::Result<T, Error>;

/// The settings of the operator that flows depend on.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The time at which an e-mail address must be verified.
    pub email_verification: EmailVerification,
    /// Evidence that a verification requires in addition to the link.
    pub verify_email_proof: VerifyEmailProof,
    /// The rules for registration.
    pub registration: RegistrationRules,
    /// The rules for new passwords.
    pub password: PasswordPolicy,
    /// Lifetime of a refresh token that is not used.
    pub refresh_idle: Duration,
    /// Longest lifetime of a session.
    pub session_lifetime: Duration,
    /// Time after its exchange in which a refresh token returns the same successor again.
    pub refresh_grace: Duration,
    /// Largest number of sessions of a user.
    pub sessions_per_user: u32,
    /// The rate limits; `None` for no limits.
    pub limits: Option<Limits>,
    /// Requests beyond a limit that are served, with a report of the refusal in the response.
    pub limit_reports: LimitReports,
    /// Time after a log-in in which the user need not repeat the password.
    pub reauth_window: Duration,
    /// True if users receive security notices by mail.
    pub security_notices: bool,
    /// Time for which events of accounts are kept.
    pub event_retention: Duration,
    /// Time for which a key signs until the next one replaces it; `None` if only operators rotate
    /// keys.
    pub key_rotation: Option<Duration>,
    /// The links of mails.
    pub links: Links,
}

/// URLs in mails. `{token}` stands for the token.
#[derive(Clone, Debug)]
pub struct Links {
    /// The page that verifies an e-mail address.
    pub verify_email: String,
    /// The page that sets a new password.
    pub password_reset: String,
    /// The page that reports unauthorized activity.
    pub not_me: String,
}

/// All user stories, with the components that they use.
pub struct Flows {
    /// The database.
    pub(crate) db: Db,
    /// The source of `now`.
    pub(crate) clock: Arc<dyn Clock>,
    /// Password hashing.
    pub(crate) hasher: Hasher,
    /// The service for breached passwords, if one is set.
    pub(crate) breached_passwords: Option<BreachedPasswords>,
    /// Derived secrets.
    pub(crate) secrets: Secrets,
    /// Access tokens.
    pub(crate) access_tokens: Arc<AccessTokens>,
    /// The operator's choices.
    pub(crate) policy: Arc<Policy>,
    /// Providers of social log-in.
    pub(crate) social: Arc<SocialLogin>,
    /// State of the database at the last requests to it.
    pub(crate) health: DatabaseHealth,
    /// Log-ins by outcome.
    pub(crate) log_ins: Counters,
    /// Attempts to send mail by outcome.
    pub(crate) mails: Arc<MailMetrics>,
    /// Uses of limits that could not be released yet.
    pub(crate) unreleased: Unreleased,
    /// True once the service is stopping. A purge then ends early.
    pub(crate) stopping: AtomicBool,
}

impl Flows {
    /// The operator's choices.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The audiences of access tokens.
    pub fn audiences(&self) -> &[String] {
        self.access_tokens.settings().audiences()
    }

    /// The issuer of access tokens.
    pub fn issuer(&self) -> &str {
        &self.access_tokens.settings().issuer
    }

    /// Lifetime of an access token.
    pub fn access_token_lifetime(&self) -> Duration {
        self.access_tokens.settings().lifetime
    }

    /// The public keys that validate access tokens, the signing key first.
    pub fn public_keys(&self) -> Vec<serde_json::Value> {
        self.access_tokens.public_keys(self.now())
    }

    /// The algorithms of the keys that validate access tokens.
    pub fn signing_algorithms(&self) -> Vec<&'static str> {
        self.access_tokens.algorithms(self.now())
    }

    pub(crate) fn now(&self) -> UtcTime {
        self.clock.now()
    }
}
