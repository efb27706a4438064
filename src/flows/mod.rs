//! One file per user story: the rules, and nothing else. A flow takes values that cannot be wrong,
//! runs on a thread that may wait, never hashes while it holds a connection, and tells a failure
//! as one variant of [`Error`].

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
pub use crate::store::user_search::{UserFilter, UserPage};
pub use access::Caller;
pub use account::export::{ExportEntries, ExportPage, ExportPosition};
pub use account::metadata::MetadataChange;
pub use account::profile::ProfileChanges;
pub use account::register::{PendingVerification, RegisterRequest, Registered};
pub use account::verify_email::{Opening, Proof, VerifiedEmail};
pub use admin::api_keys::{CreatedApiKey, NewApiKey};
pub use admin::create_superuser::NewSuperuser;
pub use admin::users::{AccountChanges, CreatedAccount, NewAccount};
pub use bounds::{LimitReport, Unenforced};
pub use error::{Error, Field, FieldFault};
pub(crate) use health::DatabaseHealth;
pub use health::{Backlog, Gauges, Readiness};
pub use import_django::{
    Collision, Conflict, ImportChoices, ImportReport, LeftBehind, Place, Shared, import_django,
};
pub use keys::{KeyLoadError, RotateError, Rotation};
pub use limits::LoginContext;
pub use notify::compose_mail::ComposedEmail;
pub use password::reset::ResetProof;
pub use session::introspect::{ActiveRefreshToken, Introspection};
pub use sign_in::{LogInOutcome, LoggedIn, TokenPair};
pub use social::{
    FinishRequest, FinishedFlow, IdTokenRequest, ListedProvider, ProviderResponse, SocialLogin,
    StartRequest, StartedFlow,
};

use crate::clock::Clock;
use crate::domain::token::Secrets;
use crate::domain::{Limits, PasswordPolicy, RegistrationRules, UtcTime};
use crate::mail::handler::MailMetrics;
use crate::security::access_token::AccessTokens;
use crate::security::breached::BreachedPasswords;
use crate::security::hasher::Hasher;
use crate::store::Db;
use crate::telemetry::counters::Counters;

/// The outcomes of log-ins, as they are counted.
pub(crate) const LOG_INS: [&str; 7] = [
    "succeeded",
    "wrong_password",
    "account_disabled",
    "rate_limited",
    "proof_required",
    "overloaded",
    "failed",
];

/// A flow's answer.
pub type Result<T> = std::result::Result<T, Error>;

/// When an address has to be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmailVerification {
    /// Before there is an account.
    Mandatory,
    /// Any time; the token tells.
    Optional,
    /// Never.
    None,
}

/// What besides the mail's link a proof takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyEmailProof {
    /// The registration token of the same browser, or the password.
    Required,
    /// Nothing: the user who opens the link switches on the password that a user typed.
    Link,
}

/// The operator's choices.
#[derive(Clone, Debug)]
pub struct Policy {
    /// When an address has to be proven.
    pub email_verification: EmailVerification,
    /// What besides the link a proof takes.
    pub verify_email_proof: VerifyEmailProof,
    /// The rules for registration.
    pub registration: RegistrationRules,
    /// The rules for new passwords.
    pub password: PasswordPolicy,
    /// How long an unused refresh token counts.
    pub refresh_idle: Duration,
    /// How long a session lasts at the most.
    pub session_lifetime: Duration,
    /// How long after its exchange a refresh token still answers with the same successor.
    pub refresh_grace: Duration,
    /// How many sessions a person may have.
    pub sessions_per_user: u32,
    /// How often something may be tried; `None`: without a bound.
    pub limits: Option<Limits>,
    /// True if requests beyond a limit are served, and the response says what would have been refused.
    pub reports_limits: bool,
    /// How recent a log-in must be to stand in for the password.
    pub reauth_window: Duration,
    /// True if people are told by mail what happens to their accounts.
    pub security_notices: bool,
    /// How long it is remembered what happened to accounts.
    pub event_retention: Duration,
    /// How long a key signs before the next one takes over; `None`: until an operator says so.
    pub key_rotation: Option<Duration>,
    /// The links of mails.
    pub links: Links,
}

/// Where the links of mails lead, each with `{token}` where the token goes.
#[derive(Clone, Debug)]
pub struct Links {
    /// To prove an address.
    pub verify_email: String,
    /// To choose a new password.
    pub password_reset: String,
    /// To say "this was not me".
    pub not_me: String,
}

/// All user stories, with what they work on.
pub struct Flows {
    /// The database.
    pub(crate) db: Db,
    /// The source of `now`.
    pub(crate) clock: Arc<dyn Clock>,
    /// Password hashing.
    pub(crate) hasher: Hasher,
    /// The collection of breached passwords, if the operator wants one asked.
    pub(crate) breached_passwords: Option<BreachedPasswords>,
    /// Derived secrets.
    pub(crate) secrets: Secrets,
    /// Access tokens.
    pub(crate) access_tokens: AccessTokens,
    /// The operator's choices.
    pub(crate) policy: Policy,
    /// Providers of social log-in.
    pub(crate) social: Arc<SocialLogin>,
    /// What the last looks at the database said.
    pub(crate) health: DatabaseHealth,
    /// Log-ins by outcome.
    pub(crate) log_ins: Counters<{ LOG_INS.len() }>,
    /// Attempts to send mail by outcome.
    pub(crate) mails: Arc<MailMetrics>,
    /// Set when the service is about to end, so that purges end as well.
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

    /// How long an access token counts.
    pub fn access_token_lifetime(&self) -> Duration {
        self.access_tokens.settings().lifetime
    }

    /// The keys that access tokens are checked with, the one that signs first.
    pub fn public_keys(&self) -> Vec<serde_json::Value> {
        self.access_tokens.public_keys(self.now())
    }

    /// The algorithms of the keys that access tokens are checked with.
    pub fn signing_algorithms(&self) -> Vec<String> {
        let keys = self.public_keys();
        let mut algorithms: Vec<String> = Vec::new();
        for algorithm in keys.iter().filter_map(|key| key.get("alg")?.as_str()) {
            if !algorithms.iter().any(|known| known == algorithm) {
                algorithms.push(algorithm.to_owned());
            }
        }
        // A shared secret is not published.
        if algorithms.is_empty() { vec!["HS256".to_owned()] } else { algorithms }
    }

    pub(crate) fn now(&self) -> UtcTime {
        self.clock.now()
    }
}
