//! Builds the flows from the settings: secrets, database, signing keys, policy.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::secret_file;
use super::start_error::StartError;
use crate::clock::Clock;
use crate::config::{Config, SecretText};
use crate::domain::secrets::Secrets;
use crate::flows::{
    self, DatabaseHealth, Flows, KeyLoadError, Links, Policy, SocialLogin, Unreleased,
};
use crate::http::pages;
use crate::private_files::create_folder;
use crate::security::access_token::{AccessTokens, TokenSettings};
use crate::security::breached::BreachedPasswords;
use crate::security::hasher::Hasher;
use crate::security::key_set::KeySet;
use crate::security::keys::SigningAlgorithm;
use crate::security::revocations::Revocations;
use crate::security::token_times::{LEEWAY, MAX_LIFETIME};
use crate::store::{DatabaseUrl, Db, PoolSettings};
use crate::telemetry::counters::Counters;

/// Builds the flows over the configured database, without a server, for commands.
pub fn build_flows(config: &Config, clock: Arc<dyn Clock>) -> Result<Flows, StartError> {
    let secret = service_secret(config)?;
    let mut secrets = Secrets::derive(secret.expose());
    if let Some(previous) = &config.secret_previous {
        secrets = secrets.accepting(previous.expose());
    }
    let db = open_database(config)?;
    let access_tokens = Arc::new(build_access_tokens(config)?);
    let hasher = Hasher::start(config.hash_threads, config.bcrypt_cost);
    let hasher = hasher.map_err(StartError::Threads)?;
    let flows = Flows {
        db,
        clock,
        hasher,
        breached_passwords: config.breached_passwords.as_ref().map(BreachedPasswords::at),
        secrets,
        access_tokens,
        policy: Arc::new(policy(config)),
        social: Arc::new(SocialLogin::new(&config.social, &config.public_url)),
        health: DatabaseHealth::default(),
        log_ins: Counters::new(&flows::LOG_INS),
        mails: Arc::default(),
        unreleased: Unreleased::default(),
        stopping: AtomicBool::new(false),
    };
    flows.open_keys().map_err(|error| without_keys(config, error))?;
    Ok(flows)
}

/// Returns the error of a start without keys.
pub(super) fn without_keys(config: &Config, error: KeyLoadError) -> StartError {
    match error {
        KeyLoadError::Store(error) => StartError::Database(config.database.redacted(), error),
        KeyLoadError::Key(error) => StartError::Keys(error),
    }
}

/// Opens the configured database and applies its migrations.
pub fn open_database(config: &Config) -> Result<Db, StartError> {
    prepare_folder(&config.database)?;
    let settings = PoolSettings {
        size: config.database_pool,
        wait: config.timing.database_wait,
        prepared_statements: config.prepared_statements,
    };
    Db::open(&config.database, settings)
        .map_err(|error| StartError::Database(config.database.redacted(), error))
}

/// Creates the folder of a database that is a file.
pub fn prepare_folder(database: &DatabaseUrl) -> Result<(), StartError> {
    let DatabaseUrl::Sqlite(path) = database else { return Ok(()) };
    let folder = path.parent().unwrap_or(Path::new(""));
    create_folder(folder).map_err(|error| StartError::Folder(folder.display().to_string(), error))
}

/// Returns whether there is a secret: one is generated only by a command that serves or changes
/// something.
pub fn has_secret(config: &Config) -> bool {
    config.secret.is_some() || secret_file::is_there(&config.data_dir)
}

fn service_secret(config: &Config) -> Result<SecretText, StartError> {
    match &config.secret {
        Some(secret) => Ok(secret.clone()),
        None if config.development => secret_file::load_or_create(&config.data_dir)
            .map_err(|error| StartError::Folder(config.data_dir.display().to_string(), error)),
        None => Err(StartError::Settings("HALLPASS_SECRET is required outside development")),
    }
}

/// Builds the access tokens without keys, unless the key is a setting.
fn build_access_tokens(config: &Config) -> Result<AccessTokens, StartError> {
    let keys = match (config.jwt_algorithm, &config.jwt_secret) {
        (SigningAlgorithm::Hs256, Some(secret)) => KeySet::shared(secret.expose()),
        (SigningAlgorithm::Hs256, None) => {
            return Err(StartError::Settings("HALLPASS_JWT_SECRET is required for HS256"));
        }
        (algorithm, _) => KeySet::empty(algorithm),
    };
    let keep = MAX_LIFETIME + 2 * LEEWAY;
    let settings = TokenSettings {
        issuer: config.public_url.clone(),
        audience: config.audience.clone(),
        client_id: config.client_id.clone(),
        lifetime: config.lifetimes.access_token,
        custom_claims: config.custom_claims.clone(),
    };
    let revocations = Revocations::new(keep, config.lifetimes.revocations_max_age);
    Ok(AccessTokens::new(settings, keys, revocations))
}

fn policy(config: &Config) -> Policy {
    let link = |chosen: &Option<String>, built_in: &str| {
        let built_in = || format!("{}{built_in}?token={{token}}", config.public_url);
        chosen.clone().unwrap_or_else(built_in)
    };
    Policy {
        email_verification: config.email_verification,
        verify_email_proof: config.verify_email_proof,
        registration: config.registration.clone(),
        password: config.password_policy.clone(),
        refresh_idle: config.lifetimes.refresh_token,
        session_lifetime: config.lifetimes.session,
        refresh_grace: config.lifetimes.refresh_grace,
        sessions_per_user: config.sessions_per_user,
        limits: config.limits,
        limit_reports: config.limit_reports,
        reauth_window: config.lifetimes.reauth_window,
        security_notices: config.security_notices,
        event_retention: config.event_retention,
        key_rotation: config.key_rotation,
        links: Links {
            verify_email: link(&config.pages.verify_email, pages::VERIFY_EMAIL),
            password_reset: link(&config.pages.password_reset, pages::PASSWORD_RESET),
            not_me: link(&config.pages.not_me, pages::NOT_ME),
        },
    }
}
