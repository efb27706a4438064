//! The database of `doctor`: whether a start and its requests could work with it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Bad, Doubtful, Finding, Good, Site, open};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::UtcTime;
use crate::private_files::try_folder;
use crate::store::{self, DatabaseUrl, PREPARED_BEHIND_A_POOLER, PreparedStatements};

/// Clocks that are further apart make tokens count too early or too late.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);

pub(super) fn check(site: &Site) -> Finding {
    let config = &site.config;
    let place = config.database.redacted();
    if let DatabaseUrl::Sqlite(path) = &config.database
        && !config.database.is_there()
    {
        return match first_start(path) {
            Ok(()) => Doubtful(format!("{place} does not exist; the first start makes it")),
            Err((folder, error)) => Bad(format!(
                "{place} does not exist and cannot be made in {}: {error}",
                folder.display()
            )),
        };
    }
    let pending = match store::pending(&config.database) {
        Ok(pending) => pending,
        Err(error) => return Bad(format!("{place} cannot be opened: {error}")),
    };
    site.is_up_to_date.get_or_init(|| pending.is_empty());
    if !pending.is_empty() {
        let pending = pending.join(", ");
        return Doubtful(format!(
            "{place} lacks {pending}; `hallpass migrate` or the next start brings it up to date"
        ));
    }
    let looked = open(config).and_then(|db| {
        let its_clock = db.clock()?;
        Ok((its_clock, db.try_write()))
    });
    match looked {
        Ok((Some(_), Err(store::Error::ReadOnly(_)))) => Bad(format!(
            "{place} takes no writes: it is a standby, or read-only by default_transaction_read_only"
        )),
        Ok((_, Err(error))) => Bad(format!("{place} takes no writes: {error}")),
        Ok((None, Ok(()))) => Good(format!("{place} is up to date")),
        Ok((Some(its_clock), Ok(()))) => pooler(config, clock(&place, its_clock)),
        Err(error) => Bad(format!("{place} does not answer: {error}")),
    }
}

/// Adds a warning about prepared statements behind a pooler to a good finding.
fn pooler(config: &Config, finding: Finding) -> Finding {
    let keeps_statements = config.prepared_statements == PreparedStatements::Always;
    match finding {
        Good(text) if keeps_statements => match store::is_pooled(&config.database) {
            Ok(false) => Good(text),
            Ok(true) => Doubtful(format!("{text}; {PREPARED_BEHIND_A_POOLER}")),
            Err(error) => Bad(format!("{text}, but refuses another connection: {error}")),
        },
        finding => finding,
    }
}

fn clock(place: &str, its_clock: UtcTime) -> Finding {
    let own = SystemClock.now();
    let apart = its_clock.remaining(own).max(own.remaining(its_clock));
    let shown = humantime::format_duration(Duration::from_millis(
        u64::try_from(apart.as_millis()).unwrap_or(u64::MAX),
    ));
    if apart <= CLOCK_TOLERANCE {
        return Good(format!("{place} is up to date; its clock and ours are {shown} apart"));
    }
    Bad(format!("the clocks of {place} and this machine are {shown} apart: keep them with NTP"))
}

/// Checks that the first start can make folders and this file, by a trial file beside it.
///
/// # Errors
///
/// The folder that takes none, and the cause.
pub(super) fn first_start(file: &Path) -> Result<(), (PathBuf, io::Error)> {
    let file = std::path::absolute(file).map_err(|error| (file.to_owned(), error))?;
    let is_there = |folder: &&Path| folder.symlink_metadata().is_ok();
    let folder = file.ancestors().skip(1).find(is_there).unwrap_or(Path::new("/"));
    try_folder(folder).map_err(|error| (folder.to_owned(), error))
}
