//! `hallpass mail list` and `hallpass mail retry`

use super::{Outcome, masked, print};
use crate::app::open_database;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::store::outbox::{self, MailLine};
use crate::store::{Db, Error};

/// The most lines that are listed.
const LIMIT: i64 = 1000;
/// The number of mails that one transaction makes due: the service writes in between.
const AT_ONCE: i64 = 100;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List mail that waits to be sent or was given up, the oldest first.
    List,
    /// Send all mail again that was given up, or one mail that was given up or waits.
    Retry {
        /// The id of one mail, from `mail list`.
        id: Option<String>,
    },
}

pub(super) fn run(config: &Config, command: &Command) -> Outcome {
    let db = open_database(config).map_err(|error| error.to_string())?;
    match command {
        Command::List => {
            let lines = db
                .read(|conn| outbox::list_open(conn, LIMIT))
                .map_err(|error| error.to_string())?;
            if lines.is_empty() {
                return print(&format!("no mail waits in {}\n", config.database.redacted()));
            }
            lines.iter().try_for_each(|line| print(&shown(line)))
        }
        Command::Retry { id } => {
            match (retry(&db, id.as_deref()).map_err(|error| error.to_string())?, id) {
                (0, Some(id)) => Err(format!("no mail with the id {id} waits or was given up")),
                (0, None) => print("no mail was given up\n"),
                (count, _) => print(&format!("{count} to be sent again\n")),
            }
        }
    }
}

/// Makes one mail due, or in short transactions all that were given up by now. Returns how many.
fn retry(db: &Db, id: Option<&str>) -> Result<usize, Error> {
    let now = SystemClock.now();
    if let Some(id) = id.map(str::to_owned) {
        return db.write(move |conn| outbox::retry(conn, &id, now)).map(usize::from);
    }
    let mut total = 0;
    loop {
        match db.write(move |conn| outbox::retry_dead(conn, now, AT_ONCE))? {
            0 => return Ok(total),
            count => total += count,
        }
    }
}

fn shown(line: &MailLine) -> String {
    let next = u64::try_from(line.next_attempt_at).unwrap_or(0);
    let next = std::time::UNIX_EPOCH + std::time::Duration::from_micros(next);
    let when = match line.status.as_str() {
        "queued" => format!("next try {}", humantime::format_rfc3339_seconds(next)),
        _ => "given up".to_owned(),
    };
    let error = line.last_error.as_deref().unwrap_or("-");
    let (id, kind, tries) = (&line.id, &line.kind, line.attempts);
    format!("{id}  {kind}  to {}  {tries} tries  {when}  {error}\n", masked(&line.recipient))
}
