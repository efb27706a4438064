//! `hallpass keys list` and `hallpass keys rotate`

use super::{Outcome, flows_of, print, printable, time};
use crate::app::open_database;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::{SealedKey, UtcTime};
use crate::flows::Rotation;
use crate::security::key_schedule::{KeyDates, KeySchedule};
use crate::security::keys::SigningAlgorithm;
use crate::store::signing_keys;

const SHARED_SECRET: &str = "access tokens are signed with HALLPASS_JWT_SECRET (HS256), a setting \
     of the operator; keys of the database are not used\n";

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List the keys with their state and times, the oldest first.
    List,
    /// Create a key that takes over in 20 minutes, when every service that checks tokens knows it.
    /// Running instances reload it, and sessions continue.
    Rotate {
        /// For compromised keys: the new key signs immediately and all others expire immediately.
        /// Every access token becomes invalid; sessions continue, and clients get new access tokens
        /// by their refresh tokens.
        #[arg(long)]
        now: bool,
    },
}

pub(super) fn run(config: &Config, command: &Command) -> Outcome {
    match command {
        Command::List => list(config),
        Command::Rotate { now } => rotate(config, *now),
    }
}

fn list(config: &Config) -> Outcome {
    if config.jwt_algorithm == SigningAlgorithm::Hs256 {
        print(SHARED_SECRET)?;
    }
    let db = open_database(config).map_err(|error| error.to_string())?;
    let keys = db.read(signing_keys::list_keys).map_err(|error| error.to_string())?;
    let keys: Vec<KeyDates> = keys.iter().map(SealedKey::dates).collect();
    if keys.is_empty() {
        return print(&format!("no keys in {}\n", config.database.redacted()));
    }
    let now = SystemClock.now();
    keys.iter().try_for_each(|key| {
        let life = KeySchedule::of(key, &keys, config.jwt_algorithm.name());
        print(&shown(key, life, now))
    })
}

fn shown(key: &KeyDates, life: KeySchedule, now: UtcTime) -> String {
    let (kid, algorithm, state) =
        (printable(&key.kid), printable(&key.algorithm), life.state(now).name());
    let (made, begins) = (time(key.created_at), time(life.begins_at));
    let until = |word: &str, at: Option<UtcTime>| {
        at.map(|at| format!("  {word} {}", time(at))).unwrap_or_default()
    };
    let (signs, counts) = (until("to", life.replaced_at), until("counts until", life.ends_at));
    format!("{kid}  {algorithm}  {state}  made {made}  signs from {begins}{signs}{counts}\n")
}

fn rotate(config: &Config, at_once: bool) -> Outcome {
    let flows = flows_of(config)?;
    let rotated = if at_once { flows.replace_keys() } else { flows.rotate_keys() };
    let Rotation { kid, signs_from } = rotated.map_err(|error| error.to_string())?;
    let algorithm = config.jwt_algorithm.name();
    if at_once {
        return print(&format!(
            "{kid} ({algorithm}) signs now and is the only key; running instances see it within a \
             second. Services that check tokens themselves accept the old keys until they fetch \
             /.well-known/jwks.json again: restart them\n"
        ));
    }
    print(&format!(
        "{kid} ({algorithm}) is published and signs from {}; running instances see it by themselves\n",
        time(signs_from)
    ))
}
