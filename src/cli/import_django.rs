//! `hallpass import-django`

use std::fmt::Write as _;

use super::{Outcome, masked, print};
use crate::app::open_database;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config};
use crate::domain::UserId;
use crate::flows::{self, Collision, Conflict, ImportChoices, ImportReport, Place, Shared};
use crate::store::DatabaseUrl;
use crate::store::django_source;

/// Progress is told after so many accounts, so that small imports are silent.
const STEP: usize = 10_000;

/// From where, and what to do about conflicts.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The site's database, `sqlite:///PATH` or `postgres://USER@HOST/DATABASE`. It is only read.
    /// Others on this machine can see what stands here: a password can come from `PGPASSWORD`.
    #[arg(long, value_name = "URL")]
    from: String,
    /// Tell what would happen, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import the accounts that collide with nothing, where the others would stop them too.
    #[arg(long)]
    skip_conflicts: bool,
    /// Where several accounts have one address, let them come without, except the one that is in
    /// Hallpass already or is the only one to have proven it.
    #[arg(long)]
    drop_shared_emails: bool,
}

pub(super) fn run(config: &Config, arguments: &Arguments) -> Outcome {
    let source = DatabaseUrl::parse(&arguments.from)
        .map_err(str::to_owned)
        .and_then(|url| config::may_connect(&url).map(|()| url).map_err(str::to_owned))
        .map_err(|fault| format!("--from {fault}"))?;
    let accounts = django_source::read_accounts(&source, |count| tell("read", count))
        .map_err(|error| format!("{}: {error}", source.redacted()))?
        .ok_or_else(|| {
            format!("{}: there is no table auth_user of a Django site", source.redacted())
        })?;
    let choices = ImportChoices {
        dry_run: arguments.dry_run,
        skip_conflicts: arguments.skip_conflicts,
        drop_shared_emails: arguments.drop_shared_emails,
    };
    let db = open_database(config).map_err(|error| error.to_string())?;
    let now = SystemClock.now();
    let report = flows::import_django(&db, accounts, choices, now, |count| tell("written", count))
        .map_err(|error| {
            format!("{}: {error}; nothing was imported", config.database.redacted())
        })?;
    print(&shown(&report, choices))?;
    match report.conflicts.len() {
        count if count > 0 && !choices.skip_conflicts => Err(format!(
            "{count} accounts collide, so nothing {} (--skip-conflicts imports the others)",
            if choices.dry_run { "would be imported" } else { "was imported" },
        )),
        _ => Ok(()),
    }
}

fn tell(done: &str, count: usize) {
    if count >= STEP && count.is_multiple_of(STEP) {
        eprintln!("{count} accounts {done}");
    }
}

fn shown(report: &ImportReport, choices: ImportChoices) -> String {
    let mut text = String::new();
    for conflict in &report.conflicts {
        text.push_str(&shown_conflict(conflict));
    }
    let mut line = |count: usize, what: &str, ids: &[UserId]| {
        if count > 0 {
            let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
            let colon = if ids.is_empty() { "" } else { ": " };
            // To write into a text cannot fail.
            let _ = writeln!(text, "{count} {what}{colon}{}", ids.join(", "));
        }
    };
    line(report.already_here, "here already, left as they are", &[]);
    line(report.conflicts.len(), "collide", &[]);
    let without = &report.without_shared_email;
    line(without.len(), "without the address that another has too", without);
    line(report.further_emails, "further addresses stay behind", &[]);
    line(report.without_password, "without a password", &[]);
    let unknown = &report.unknown_hashes;
    line(unknown.len(), "whose password cannot be checked here; they need a new one", unknown);
    let verb = if choices.dry_run { "would be imported" } else { "imported" };
    let _ = writeln!(text, "{} {verb}", report.imported);
    text
}

fn shown_conflict(conflict: &Conflict) -> String {
    let mut text = String::new();
    let name = shown_name(&conflict.username);
    for Collision { shared, place, others } in &conflict.collisions {
        let what = match shared {
            Shared::Number => "the number".to_owned(),
            Shared::Name => "the name".to_owned(),
            Shared::Address(address) => format!("the address {}", masked(address)),
        };
        let ids: Vec<String> = others.iter().map(ToString::to_string).collect();
        let place = match place {
            Place::Django => "in Django",
            Place::Hallpass => "in Hallpass",
        };
        let _ =
            writeln!(text, "{} {name}: {what} is that of {} {place}", conflict.id, ids.join(", "));
    }
    text
}

/// A name that is an address is not told whole either.
fn shown_name(name: &str) -> String {
    if name.contains('@') { masked(name) } else { format!("{name:?}") }
}
