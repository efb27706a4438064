//! Wiring of the service: settings in, a running service out. The binary and the tests start this
//! same object.

mod background;
mod development;
mod drf;
mod secret_file;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use actix_web::cookie::SameSite;
use actix_web::dev::Server;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App as ActixApp, web};
use tokio::sync::watch;

use self::background::{Shutdown, StopSignals, supervised};
use crate::clock::Clock;
use crate::config::{self, Config, LimitMode, SecretText, Timing};
use crate::dev::{self, Development};
use crate::domain::token::Secrets;
use crate::flows::{
    self, ComposedEmail, DatabaseHealth, Flows, KeyLoadError, Links, Policy, SocialLogin,
};
use crate::http::blocking::State;
use crate::http::browsers::{Browsers, Origins};
use crate::http::metrics::Metrics;
use crate::http::operations::{self, Operation};
use crate::http::serving::drain::Draining;
use crate::http::serving::middleware::{Https, catch_panic, surround};
use crate::http::serving::{cors, server};
use crate::http::{self, pages};
use crate::jobs::Worker;
use crate::mail::handler::{Composition, MailHandler};
use crate::mail::messages::Messages;
use crate::mail::transport::Transport;
use crate::security::access_token::{AccessTokens, TokenSettings};
use crate::security::breached::BreachedPasswords;
use crate::security::hasher::Hasher;
use crate::security::key_set::KeySet;
use crate::security::keys::{KeyError, SigningAlgorithm};
use crate::security::revocations::Revocations;
use crate::security::token_times::{LEEWAY, MAX_LIFETIME};
use crate::store::{self, DatabaseUrl, Db, PoolSettings};
use crate::telemetry::counters::Counters;

/// Reasons why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder or the secret in it.
    #[error("the data folder {0} cannot be used: {1}")]
    DataDir(String, io::Error),
    /// The database.
    #[error("{0}: {1}")]
    Database(String, store::Error),
    /// The sessions that ended before the start could not be read.
    #[error("the ended sessions cannot be read: {0}")]
    Revocations(flows::Error),
    /// The seals of the signing keys.
    #[error("the signing keys cannot be sealed with HALLPASS_SECRET: {0}")]
    Seal(flows::Error),
    /// The signing keys.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// Mail templates or transport.
    #[error("mail: {0}")]
    Mail(String),
    /// The address.
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    /// The operating system refuses threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// A contradiction in the settings.
    #[error("{0}")]
    Settings(&'static str),
}

/// Time beyond the shutdown timeout for what became of mail that was cut off to be stored.
const LAST_STORES: Duration = Duration::from_secs(2);

/// A service that is ready to run.
pub struct App {
    server: Server,
    worker: Worker<MailHandler>,
    flows: Arc<Flows>,
    address: SocketAddr,
    stop_signals: StopSignals,
    shutdown: Shutdown,
    shutdown_timeout: Duration,
    timing: Timing,
}

impl App {
    /// Builds the service. `transport` replaces the one of the settings, for tests.
    pub fn build(
        config: &Config,
        clock: Arc<dyn Clock>,
        transport: Option<Transport>,
    ) -> Result<Self, StartError> {
        let flows = Arc::new(build_flows(config, Arc::clone(&clock))?);
        flows.make_first_key().map_err(|error| without_keys(config, error))?;
        flows.seal_keys_anew().map_err(StartError::Seal)?;
        // Before the first request: a token that was revoked before a restart stays revoked.
        flows.first_sync().map_err(StartError::Revocations)?;
        let development = development::of(config);
        let mut worker = build_worker(config, clock, transport, Arc::clone(&flows))?;
        worker.handler.observer = development.as_ref().map(development::observer);
        let listener =
            TcpListener::bind(config.bind).map_err(|error| StartError::Bind(config.bind, error))?;
        let address =
            listener.local_addr().map_err(|error| StartError::Bind(config.bind, error))?;
        let shutdown = Shutdown {
            draining: Draining::default(),
            listener: listener.try_clone().map_err(|error| StartError::Bind(config.bind, error))?,
            delay: config.shutdown_delay,
        };
        let server = start_server(config, listener, &flows, &shutdown.draining, development)
            .map_err(|error| StartError::Bind(config.bind, error))?;
        // From here on a signal is not lost, so nothing may be announced before.
        let stop_signals = StopSignals::listen().map_err(StartError::Threads)?;
        Ok(Self {
            server,
            worker,
            flows,
            address,
            stop_signals,
            shutdown,
            shutdown_timeout: config.shutdown_timeout,
            timing: config.timing,
        })
    }

    /// The address that was bound.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the service, as SIGTERM does.
    pub fn handle(&self) -> actix_web::dev::ServerHandle {
        self.server.handle()
    }

    /// Serves until SIGTERM, SIGHUP, SIGINT or [`Self::handle`] stop it; then finishes the work in
    /// progress: requests first, then mail, each within the shutdown timeout.
    pub async fn run(self) -> io::Result<()> {
        let (stop, stopped) = watch::channel(());
        let worker = self.worker;
        let stop_mail = stopped.clone();
        let mail = tokio::spawn(supervised("mail", move || {
            worker.clone().run(background::stop_of(stop_mail.clone()))
        }));
        let sync = tokio::spawn(background::repeat(
            Arc::clone(&self.flows),
            self.timing.sync_period,
            Flows::sync,
            background::stop_of(stopped.clone()),
        ));
        let keys = tokio::spawn(background::repeat(
            Arc::clone(&self.flows),
            self.timing.keys_period,
            Flows::rotate_keys_if_due,
            background::stop_of(stopped.clone()),
        ));
        let purge = tokio::spawn(background::repeat(
            Arc::clone(&self.flows),
            background::PURGE_PERIOD,
            Flows::purge,
            background::stop_of(stopped.clone()),
        ));
        let clock = tokio::spawn(background::repeat(
            Arc::clone(&self.flows),
            background::CLOCK_PERIOD,
            Flows::check_clock,
            background::stop_of(stopped.clone()),
        ));
        let probe = tokio::spawn(background::repeat(
            Arc::clone(&self.flows),
            background::PROBE_PERIOD,
            Flows::probe_writes,
            background::stop_of(stopped),
        ));
        let signals = tokio::spawn(self.stop_signals.stop(self.server.handle(), self.shutdown));
        let outcome = self.server.await;
        signals.abort();
        drop(stop);
        self.flows.stop_upkeep();
        let finished = tokio::time::timeout(self.shutdown_timeout + LAST_STORES, async {
            for task in [mail, sync, keys, purge, clock, probe] {
                if let Err(error) = task.await {
                    tracing::error!(%error, "a background task failed");
                }
            }
        });
        if finished.await.is_err() {
            // No mail is lost: its lease expires, and another instance or the next start sends it.
            tracing::warn!("a background task took too long to wait for");
        }
        self.flows.forget_deleted();
        outcome
    }
}

/// Builds the flows over the configured database, without a server, for commands.
pub fn build_flows(config: &Config, clock: Arc<dyn Clock>) -> Result<Flows, StartError> {
    let secret = service_secret(config)?;
    let mut secrets = Secrets::derive(secret.expose());
    if let Some(previous) = &config.secret_previous {
        secrets = secrets.accepting(previous.expose());
    }
    let db = open_database(config)?;
    let access_tokens = build_access_tokens(config)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let hasher = Hasher::start(threads, config.bcrypt_cost).map_err(StartError::Threads)?;
    let flows = Flows {
        db,
        clock,
        hasher,
        breached_passwords: config.breached_passwords.as_ref().map(BreachedPasswords::at),
        secrets,
        access_tokens,
        policy: policy(config),
        social: Arc::new(SocialLogin::new(&config.social, &config.public_url)),
        health: DatabaseHealth::default(),
        log_ins: Counters::new(flows::LOG_INS),
        mails: Arc::default(),
        stopping: AtomicBool::new(false),
    };
    flows.open_keys().map_err(|error| without_keys(config, error))?;
    Ok(flows)
}

fn without_keys(config: &Config, error: KeyLoadError) -> StartError {
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
    secret_file::create_folder(folder)
        .map_err(|error| StartError::DataDir(folder.display().to_string(), error))
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
            .map_err(|error| StartError::DataDir(config.data_dir.display().to_string(), error)),
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
        limits: Some(config.limits).filter(|_| config.limit_mode != LimitMode::Off),
        reports_limits: config.limit_mode == LimitMode::Report,
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

fn build_worker(
    config: &Config,
    clock: Arc<dyn Clock>,
    transport: Option<Transport>,
    flows: Arc<Flows>,
) -> Result<Worker<MailHandler>, StartError> {
    let transport = match transport {
        Some(transport) => transport,
        None => transport_of(config).map_err(StartError::Mail)?,
    };
    let messages = Messages::load(config.mail_templates.as_deref()).map_err(StartError::Mail)?;
    let db = flows.db.clone();
    let handler = MailHandler {
        clock: Arc::clone(&clock),
        transport,
        messages: Arc::new(messages),
        sender: config.mail_from.parse().map_err(StartError::Mail)?,
        service_name: config.service_name.clone(),
        outcomes: Arc::clone(&flows.mails),
        observer: None,
        compose: Arc::new(move |order| match flows.compose_mail(order) {
            Ok(Some(ComposedEmail { message, language, recipient })) => {
                Ok(Composition::Send(Box::new(message), language, recipient))
            }
            Ok(None) => Ok(Composition::Skip),
            Err(flows::Error::RateLimited(wait)) => Ok(Composition::Defer(wait)),
            Err(error) => Err(error.to_string()),
        }),
    };
    Ok(Worker { db, clock, handler, stop_timeout: config.shutdown_timeout })
}

/// Returns the mail transport that the settings select.
pub fn transport_of(config: &Config) -> Result<Transport, String> {
    match &config.smtp {
        Some(smtp) => Transport::smtp(smtp),
        None => Ok(Transport::directory(config.mail_dir.clone())),
    }
}

fn start_server(
    config: &Config,
    listener: TcpListener,
    flows: &Arc<Flows>,
    draining: &Draining,
    development: Option<Development>,
) -> io::Result<Server> {
    let browsers = Browsers {
        own_origin: config.public_url.clone(),
        other_origins: origins_of(config),
        headers: config.browsers.headers.clone(),
        same_site: match config.browsers.same_site {
            config::SameSite::Strict => SameSite::Strict,
            config::SameSite::Lax => SameSite::Lax,
            config::SameSite::None => SameSite::None,
        },
    };
    let mut state = State::new(
        Arc::clone(flows),
        &config.service_name,
        browsers,
        &config.trusted_proxies,
        config.timing.answer_limit,
        Metrics::new(operations::DOCUMENTED.iter().chain(drf::operations()).map(Operation::name)),
    );
    state.draining = draining.clone();
    let state = web::Data::new(state);
    let (origins, headers) = (origins_of(config), config.browsers.headers.clone());
    let adapter = drf::routes(config, flows);
    let https = Https(config.public_url.starts_with("https:"));
    let metrics = Arc::clone(&state.metrics);
    let settings = server::Settings {
        workers: config.workers,
        max_connections: config.max_connections,
        keep_alive: config.keep_alive,
        shutdown_timeout: config.shutdown_timeout,
        https,
    };
    server::start(settings, listener, metrics, move || {
        ActixApp::new()
            .app_data(state.clone())
            .app_data(https)
            .wrap(from_fn(catch_panic))
            .wrap(Condition::new(!origins.is_empty(), cors::allow(&origins, &headers)))
            .wrap(from_fn(surround))
            .configure(|app| {
                if let Some(development) = &development {
                    dev::configure(app, development);
                }
                http::configure(app, &adapter);
            })
    })
}

fn origins_of(config: &Config) -> Origins {
    let browsers = &config.browsers;
    Origins { named: browsers.origins.clone(), loopback: browsers.loopback_origins }
}
