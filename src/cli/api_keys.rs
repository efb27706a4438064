//! `hallpass api-keys create`, `list` and `revoke`

use std::time::Duration;

use super::{Managing, Outcome, flows_of, print, printable, time};
use crate::app::open_database;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::{ApiKey, ApiKeyId, Scope, UtcTime};
use crate::flows::{Error, NewApiKey};
use crate::http::printed;
use crate::store::api_keys;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Create a key and print its secret, which is stored as a hash only.
    Create(Create),
    /// List the keys with their scopes and states, the oldest first.
    List,
    /// Revoke a key at once.
    Revoke {
        /// The id of the key, from `api-keys list`.
        id: String,
    },
}

#[derive(clap::Args)]
pub(super) struct Create {
    /// A name that says which service holds the key.
    #[arg(long)]
    name: String,
    /// A right of the key: users:read, users:write, introspect or revoke. Several are separated by
    /// commas.
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<String>,
    /// The time until the key expires, such as 90d. Not given: it does not expire.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expires_in: Option<Duration>,
}

pub(super) fn run(config: &Config, Managing { command, json }: Managing<Command>) -> Outcome {
    match command {
        Command::Create(arguments) => create(config, &arguments, json),
        Command::List => list(config, json),
        Command::Revoke { id } => revoke(config, &id, json),
    }
}

fn create(config: &Config, arguments: &Create, json: bool) -> Outcome {
    let name = ApiKey::parse_name(&arguments.name)
        .map_err(|fault| format!("--name: {}", fault.message()))?;
    let scope = |name: &String| {
        let names: Vec<&str> = Scope::ALL.iter().map(|scope| scope.name()).collect();
        Scope::from_name(name)
            .ok_or_else(|| format!("--scope: {name} is none of {}", names.join(", ")))
    };
    let scopes = arguments.scopes.iter().map(scope).collect::<Result<Vec<Scope>, String>>()?;
    if arguments.expires_in.is_some_and(|it| it.is_zero() || it > ApiKey::MAX_LIFETIME) {
        return Err("--expires-in: must be more than 0s and at most 10 years".to_owned());
    }
    let new = NewApiKey { name, scopes, lifetime: arguments.expires_in };
    let created = flows_of(config)?.create_api_key_as_operator(new);
    let created = created.map_err(|error: Error| error.to_string())?;
    if json {
        return print(&format!("{}\n", printed::created_api_key(created)));
    }
    print(&format!("{}\n", shown(&created.key, SystemClock.now())))?;
    print(&format!("{}\n", created.secret.expose()))
}

fn list(config: &Config, json: bool) -> Outcome {
    let db = open_database(config).map_err(|error| error.to_string())?;
    let keys = db.read(api_keys::list_keys).map_err(|error| error.to_string())?;
    if json {
        return print(&format!("{}\n", printed::api_keys(keys)));
    }
    if keys.is_empty() {
        return print(&format!("no API keys in {}\n", config.database.redacted()));
    }
    let now = SystemClock.now();
    keys.iter().try_for_each(|key| print(&format!("{}\n", shown(key, now))))
}

fn revoke(config: &Config, id: &str, json: bool) -> Outcome {
    let unknown = || format!("there is no API key with the id {id}");
    let key = ApiKeyId::parse(id).ok_or_else(unknown)?;
    let revoked = flows_of(config)?.revoke_api_key_as_operator(key.clone());
    match revoked {
        Ok(_) if json => print(&format!("{}\n", printed::revoked_api_key(&key))),
        Ok(true) => print("revoked\n"),
        Ok(false) => print("already revoked\n"),
        Err(Error::NotFound) => Err(unknown()),
        Err(error) => Err(error.to_string()),
    }
}

fn shown(key: &ApiKey, now: UtcTime) -> String {
    let at = |word: &str, at: Option<UtcTime>| {
        at.map(|at| format!("  {word} {}", time(at))).unwrap_or_default()
    };
    let (id, name, state) = (&key.id, printable(&key.name), key.state(now).name());
    let (made, scopes) = (time(key.created_at), Scope::to_text(&key.scopes));
    let (expires, used) = (at("expires", key.expires_at), at("last used", key.last_used_at));
    format!("{id}  {state}  {name}  {scopes}  made {made}{expires}{used}")
}
