//! Settings, typed, read once at the start. All faults are reported together.

mod dot_env;
mod fault;
mod file_access;
mod names;
mod readers;
mod settings;
mod social;
mod source;
#[cfg(test)]
mod tests;
mod types;
mod warnings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use fault::ConfigFault;
pub use readers::database_url;
use readers::{
    Mode, read_audience, read_bcrypt_cost, read_bind, read_breached_passwords, read_browsers,
    read_client_id, read_custom_claims, read_database, read_drf, read_email_verification,
    read_jwt_algorithm, read_jwt_secret, read_key_rotation, read_lifetimes, read_limits, read_log,
    read_log_format, read_mail_from, read_pages, read_password_policy, read_prepared_statements,
    read_previous_secret, read_proxies, read_public_url, read_registration, read_service_secret,
    read_shutdown_delay, read_shutdown_timeout, read_smtp, read_verify_email_proof,
};
pub use settings::{example, settings};
pub use source::Source;
pub use types::{
    BrowserSettings, DrfPrefix, DrfSettings, FrontEndPages, Lifetimes, LogFormat, SameSite, Timing,
};
use types::{DAY, MINUTE, SECOND, YEAR};

pub use crate::domain::SecretText;
use crate::domain::{
    ClaimMapping, EmailVerification, LimitReports, Limits, PasswordPolicy, RegistrationRules,
    VerifyEmailProof,
};
use crate::mail::smtp::settings::SmtpSettings;
use crate::security::breached::BreachedPasswordsSettings;
use crate::security::keys::SigningAlgorithm;
use crate::social::SocialSettings;
use crate::store::{DatabaseUrl, PreparedStatements};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address and port to listen on.
    pub bind: SocketAddr,
    /// Folder of the files of this instance.
    pub data_dir: PathBuf,
    /// URL of the database, an SQLite file or Postgres.
    pub database: DatabaseUrl,
    /// Largest number of connections in the pool.
    pub database_pool: u32,
    /// The connections that keep prepared statements.
    pub prepared_statements: PreparedStatements,
    /// True if unsafe settings are accepted.
    pub development: bool,
    /// The URL of the service, without a final slash.
    pub public_url: String,
    /// The secret of the service; `None` in development, where it is generated.
    pub secret: Option<SecretText>,
    /// A second secret that is accepted, while instances change from one to the other.
    pub secret_previous: Option<SecretText>,
    /// Name of the service in mail and pages.
    pub service_name: String,
    /// The client that access tokens are issued to.
    pub client_id: String,
    /// The audiences of access tokens; the public URL where there are none.
    pub audience: Vec<String>,
    /// Claims of access tokens from the metadata of accounts.
    pub custom_claims: Vec<ClaimMapping>,
    /// Algorithm that signs access tokens.
    pub jwt_algorithm: SigningAlgorithm,
    /// The key shared with services that check HMAC tokens.
    pub jwt_secret: Option<SecretText>,
    /// Time for which a key signs before the next one takes over; `None`: until an operator
    /// rotates.
    pub key_rotation: Option<Duration>,
    /// Lifetimes of tokens and sessions.
    pub lifetimes: Lifetimes,
    /// Largest number of sessions of a user.
    pub sessions_per_user: u32,
    /// Rules for new passwords.
    pub password_policy: PasswordPolicy,
    /// Service that knows breached passwords, if one is asked.
    pub breached_passwords: Option<BreachedPasswordsSettings>,
    /// Cost of password hashes.
    pub bcrypt_cost: u32,
    /// Time at which an e-mail address must be verified.
    pub email_verification: EmailVerification,
    /// The rules for registration.
    pub registration: RegistrationRules,
    /// Evidence that a verification needs besides the link.
    pub verify_email_proof: VerifyEmailProof,
    /// The front end's pages for the links of mails.
    pub pages: FrontEndPages,
    /// True if security notices are sent.
    pub security_notices: bool,
    /// Settings for front ends in browsers.
    pub browsers: BrowserSettings,
    /// Rate limits; `None` for none.
    pub limits: Option<Limits>,
    /// Requests for which the rate limits are reported instead of enforced.
    pub limit_reports: LimitReports,
    /// Log-in at other services.
    pub social: SocialSettings,
    /// Networks of reverse proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// The SMTP server, if mail leaves the machine.
    pub smtp: Option<SmtpSettings>,
    /// Sender of mail.
    pub mail_from: String,
    /// Folder for mail as files.
    pub mail_dir: PathBuf,
    /// Time for which events of accounts are kept.
    pub event_retention: Duration,
    /// Folder with templates of the operator.
    pub mail_templates: Option<PathBuf>,
    /// The Django REST adapter; `None` if it is off.
    pub drf_jwt: Option<DrfSettings>,
    /// Threads that answer requests.
    pub workers: usize,
    /// Most connections at once; the next ones wait.
    pub max_connections: usize,
    /// Time-out of an idle connection.
    pub keep_alive: Duration,
    /// Time from the signal to stop until new connections are refused.
    pub shutdown_delay: Duration,
    /// Time for requests in progress after the signal to stop.
    pub shutdown_timeout: Duration,
    /// Filter of the log.
    pub log: String,
    /// Format of the log.
    pub log_format: LogFormat,
    /// Times that are no settings.
    pub timing: Timing,
    /// Threads that hash passwords: one for each core. No setting either.
    pub hash_threads: usize,
    /// Warnings about these settings for the operator.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads all settings, or returns all their faults.
    pub fn read(mut source: Source) -> Result<Self, Vec<ConfigFault>> {
        let config = Self::read_each(&mut source);
        config.check_together(&mut source);
        config.unless_faulty(source)
    }

    /// Reads each setting. A fault is noted in the source, and the default used in its place.
    fn read_each(s: &mut Source) -> Self {
        let bind = read_bind(s);
        let mode = Mode::read(s, bind);
        let data_dir = PathBuf::from(s.text("HALLPASS_DATA_DIR").unwrap_or("./data".into()));
        let service_name = s.text("HALLPASS_SERVICE_NAME").unwrap_or("Hallpass".into());
        let breached_passwords = read_breached_passwords(s);
        let jwt_algorithm = read_jwt_algorithm(s);
        let public_url = read_public_url(s, bind, mode);
        let trusted_proxies = read_proxies(s, mode);
        let (limits, limit_reports) = read_limits(s, mode, &public_url, &trusted_proxies);
        Self {
            database: read_database(s, &data_dir),
            database_pool: s.number("HALLPASS_DATABASE_POOL", 10, 1, 200),
            prepared_statements: read_prepared_statements(s),
            smtp: read_smtp(s, &public_url),
            public_url,
            secret: read_service_secret(s, mode),
            secret_previous: read_previous_secret(s),
            client_id: read_client_id(s),
            audience: read_audience(s),
            custom_claims: read_custom_claims(s),
            jwt_algorithm,
            jwt_secret: read_jwt_secret(s, jwt_algorithm, mode),
            key_rotation: read_key_rotation(s),
            lifetimes: read_lifetimes(s),
            sessions_per_user: s.number("HALLPASS_SESSIONS_PER_USER", 20, 1, 100),
            password_policy: read_password_policy(s, &service_name, breached_passwords.is_some()),
            service_name,
            breached_passwords,
            bcrypt_cost: read_bcrypt_cost(s, mode),
            email_verification: read_email_verification(s),
            registration: read_registration(s),
            verify_email_proof: read_verify_email_proof(s),
            pages: read_pages(s, mode),
            security_notices: s.is_on("HALLPASS_SECURITY_NOTICES"),
            browsers: read_browsers(s, mode),
            limits,
            limit_reports,
            social: social::read(s, mode),
            trusted_proxies,
            mail_from: read_mail_from(s),
            mail_dir: s.text("HALLPASS_MAIL_DIR").map_or_else(|| data_dir.join("mail"), Into::into),
            event_retention: s.duration("HALLPASS_EVENT_RETENTION", 90 * DAY, DAY, 2 * YEAR),
            mail_templates: s.text("HALLPASS_MAIL_TEMPLATES").map(PathBuf::from),
            drf_jwt: read_drf(s),
            workers: s.number("HALLPASS_WORKERS", cores(), 1, 256),
            max_connections: s.number("HALLPASS_MAX_CONNECTIONS", 8192, 16, 100_000),
            keep_alive: s.duration("HALLPASS_KEEP_ALIVE", 75 * SECOND, SECOND, 10 * MINUTE),
            shutdown_delay: read_shutdown_delay(s, mode),
            shutdown_timeout: read_shutdown_timeout(s),
            log: read_log(s),
            log_format: read_log_format(s),
            timing: Timing::default(),
            hash_threads: cores(),
            warnings: Vec::new(),
            bind,
            development: mode != Mode::Production,
            data_dir,
        }
    }

    /// Returns whether this is development on a loopback address: no other machine reaches the
    /// service.
    pub fn is_local_development(&self) -> bool {
        self.development && self.bind.ip().is_loopback()
    }

    /// Returns the settings with their warnings, or all faults.
    fn unless_faulty(self, source: Source) -> Result<Self, Vec<ConfigFault>> {
        let Source { mut faults, unknown, weak_files, notes, .. } = source;
        if faults.is_empty() {
            let mut warnings = self.warnings(unknown, weak_files);
            warnings.extend(notes);
            return Ok(Self { warnings, ..self });
        }
        // One of them may be what was meant.
        faults.extend(
            unknown.into_iter().map(|name| ConfigFault { advice: names::no_setting(&name), name }),
        );
        Err(faults)
    }

    /// Checks settings that depend on each other.
    fn check_together(&self, s: &mut Source) {
        if !self.development {
            s.refuse_empty();
        }
        if self.jwt_algorithm == SigningAlgorithm::Hs256 && self.jwt_secret.is_none() {
            s.fault("HALLPASS_JWT_SECRET", "is required for HALLPASS_JWT_ALGORITHM=HS256");
        }
        if !self.development && self.smtp.is_some() && s.text("HALLPASS_MAIL_FROM").is_none() {
            s.fault(
                "HALLPASS_MAIL_FROM",
                "is required where mail leaves the machine: no-reply@example.com",
            );
        }
        if !self.development && self.secret.is_none() {
            let advice = "is required outside development: at least 32 random bytes, for example \
                          from `openssl rand -base64 32`";
            s.fault("HALLPASS_SECRET", advice);
        }
        if self.secret_previous.is_some() && self.secret_previous == self.secret {
            s.fault("HALLPASS_SECRET_PREVIOUS", "is the same as HALLPASS_SECRET");
        }
    }
}

/// Returns the number of processors that the process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
