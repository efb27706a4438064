//! The command line.

mod api_keys;
mod backup;
mod copy_database;
mod create_superuser;
mod doctor;
mod healthcheck;
mod import_django;
mod keys;
mod mail;
mod serve;
mod users;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Parser, Subcommand};

use crate::app::build_flows;
use crate::clock::SystemClock;
use crate::config::{Config, LogFormat, Source};
use crate::domain::UtcTime;
use crate::flows::Flows;
use crate::http::openapi;
use crate::store::DatabaseUrl;
use crate::{config, store, telemetry};

/// A headless JSON auth service. Settings are environment variables; see .env.example.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service (the default).
    Serve,
    /// Apply the database migrations; `serve` does so at its start.
    Migrate,
    /// Create a superuser.
    CreateSuperuser(create_superuser::Arguments),
    /// Import the accounts of a Django site, with their passwords.
    ImportDjango(import_django::Arguments),
    /// Print the OpenAPI document.
    Openapi {
        /// The version of OpenAPI: 3.0 is for generators that do not know 3.1.
        #[arg(long, value_parser = ["3.0", "3.1"], default_value = "3.1")]
        version: String,
        /// The form: markdown is the page docs/api.md.
        #[arg(long, value_parser = ["json", "markdown"], default_value = "json")]
        format: String,
    },
    /// Print every setting with its default, as for .env.example.
    EnvExample,
    /// List the keys that sign access tokens, or rotate them.
    #[command(subcommand)]
    Keys(keys::Command),
    /// List, show, create, invite, change and delete accounts.
    Users(Managing<users::Command>),
    /// Create, list and revoke the API keys of services.
    ApiKeys(Managing<api_keys::Command>),
    /// List queued and failed mail, or send it again.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Check settings, database, keys, mail, browsers and proxies.
    Doctor,
    /// Copy the database into an empty one: from SQLite to Postgres, or back.
    CopyDatabase(copy_database::Arguments),
    /// Back up the SQLite file while it is in use.
    Backup(backup::Arguments),
    /// Check that the service on this machine responds, for container health checks.
    Healthcheck,
}

/// Arguments of a command that manages objects of the API.
#[derive(clap::Args)]
struct Managing<C: Subcommand> {
    #[command(subcommand)]
    command: C,
    /// Print JSON, the objects of the API.
    #[arg(long, global = true)]
    json: bool,
}

/// Result of a command; an error is its message to the operator.
type Outcome = Result<(), String>;

/// Builds the flows of a command.
fn flows_of(config: &Config) -> Result<Flows, String> {
    build_flows(config, Arc::new(SystemClock)).map_err(|error| error.to_string())
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    // The data folder holds secrets and hashes: files in it belong to the owner only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let (outcome, log_format) = match Arguments::parse().command.unwrap_or(Command::Serve) {
        Command::Openapi { version, format } => plain(print(&match (&*format, &*version) {
            ("markdown", _) => openapi::reference(),
            (_, "3.0") => openapi::document_3_0(),
            _ => openapi::document(),
        })),
        Command::EnvExample => plain(print(&config::example())),
        Command::CopyDatabase(arguments) => plain(copy_database::run(&arguments)),
        command => {
            let source = Source::from_environment();
            let log_format = source.log_format();
            (configured(command, source), log_format)
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            tell(&telemetry::failure_line(log_format, &fault));
            ExitCode::FAILURE
        }
    }
}

/// Returns the outcome of a command without settings, which has no log.
fn plain(outcome: Outcome) -> (Outcome, LogFormat) {
    (outcome, LogFormat::Text)
}

/// Default log filter of commands, which print their results themselves.
const LOG_OF_COMMANDS: &str = "warn";

fn configured(command: Command, source: Source) -> Outcome {
    let has_log_filter = source.has_log_filter();
    let mut config = Config::read(source).map_err(|faults| {
        let lines: Vec<String> = faults.iter().map(|fault| format!("\n  {fault}")).collect();
        format!("it cannot start with these settings:{}", lines.concat())
    })?;
    if !has_log_filter && !matches!(command, Command::Serve) {
        LOG_OF_COMMANDS.clone_into(&mut config.log);
    }
    let _log = telemetry::init(&match command {
        // Its checks report by themselves whether the database accepts writes.
        Command::Doctor => Config {
            log: format!("{},hallpass::store::engine::health=off", config.log),
            ..config.clone()
        },
        _ => config.clone(),
    });
    match command {
        // The service first prepares its log, and doctor prints them among its results.
        Command::Serve | Command::Doctor => {}
        _ => log_warnings(&config),
    }
    if let Command::CreateSuperuser(_)
    | Command::Users(_)
    | Command::ApiKeys(_)
    | Command::Mail(_)
    | Command::Keys(_) = command
    {
        tell_of_new_database(&config.database);
    }
    match command {
        Command::Serve => serve::run(&config),
        Command::Migrate => migrate(&config),
        Command::CreateSuperuser(arguments) => create_superuser::run(&config, arguments),
        Command::ImportDjango(arguments) => import_django::run(&config, &arguments),
        Command::Keys(command) => keys::run(&config, &command),
        Command::Users(arguments) => users::run(&config, arguments),
        Command::ApiKeys(arguments) => api_keys::run(&config, arguments),
        Command::Mail(command) => mail::run(&config, &command),
        Command::Doctor => doctor::run(&config),
        Command::Backup(arguments) => backup::run(&config, &arguments),
        Command::Healthcheck => healthcheck::run(&config),
        Command::Openapi { .. } | Command::EnvExample | Command::CopyDatabase(_) => Ok(()),
    }
}

/// Logs the warnings about the settings, such as a misspelt name.
fn log_warnings(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

fn migrate(config: &Config) -> Outcome {
    crate::app::prepare_folder(&config.database).map_err(|error| error.to_string())?;
    let place = config.database.redacted();
    let applied = store::migrate(&config.database).map_err(|error| format!("{place}: {error}"))?;
    if applied.is_empty() {
        return print(&format!("{place}: up to date\n"));
    }
    applied.iter().try_for_each(|name| print(&format!("applied {name}\n")))
}

/// Warns of a database file that the command is about to create: started in another folder than the
/// service, it would manage the accounts of a database that nothing else uses.
fn tell_of_new_database(database: &DatabaseUrl) {
    if let DatabaseUrl::Sqlite(file) = database
        && !file.exists()
    {
        tell(&format!(
            "{} is a new database. For the one of the service, use its folder or set HALLPASS_DATA_DIR\n",
            file.display()
        ));
    }
}

/// Writes to standard error, and ignores failures.
fn tell(text: &str) {
    use std::io::Write as _;
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Writes to standard output; a closed pipe is no reason to panic.
fn print(text: &str) -> Outcome {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// A time as RFC 3339 writes it, in whole seconds.
fn time(at: UtcTime) -> String {
    let since_epoch = Duration::from_micros(u64::try_from(at.micros()).unwrap_or(0));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + since_epoch).to_string()
}

/// Returns stored text for the terminal: control characters, line breaks and invisible characters
/// are escaped, so that it cannot control the terminal nor pass for another line (CWE-150).
fn printable(text: &str) -> String {
    text.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")
}

/// Masks an e-mail address: enough to recognise it, too little to write to it.
fn masked(address: &str) -> String {
    match address.split_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}***@{domain}")
        }
        None => "***".to_owned(),
    }
}
