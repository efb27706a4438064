//! `hallpass mail list` and `hallpass mail retry`

use super::{Outcome, masked, print, printable, time};
use crate::app::open_database;
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::domain::{Email, UtcTime};
use crate::store::jobs::backlog::{self, Retryable};
use crate::store::jobs::lease::JobStatus;
use crate::store::outbox::{self, MailLine, Selection};
use crate::store::{Db, Error};

/// Mails that one transaction makes due: the service writes in between.
const AT_ONCE: usize = 100;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// List queued and failed mail, the oldest first.
    List(List),
    /// Send all failed mail again, or one mail.
    Retry {
        /// The id of one mail, from `mail list`.
        #[arg(conflicts_with = "waiting")]
        id: Option<String>,
        /// Send queued mail instead of failed mail.
        #[arg(long)]
        waiting: bool,
    },
}

#[derive(clap::Args)]
pub(super) struct List {
    /// List all mail to this address, in any state, the newest first.
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// List mail that was sent, the newest first.
    #[arg(long)]
    sent: bool,
    /// The most lines that are listed.
    #[arg(long, value_name = "LINES", default_value_t = 1000)]
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

pub(super) fn run(config: &Config, command: &Command) -> Outcome {
    let db = open_database(config).map_err(|error| error.to_string())?;
    match command {
        Command::List(arguments) => list(&db, &config.database.redacted(), arguments),
        Command::Retry { id: Some(id), .. } => match retry_one(&db, id) {
            Ok(true) => print("1 to be sent again\n"),
            Ok(false) => Err(format!("no mail with the id {id} waits or failed")),
            Err(error) => Err(error.to_string()),
        },
        Command::Retry { id: None, waiting } => {
            match retry_all(&db, *waiting).map_err(|error| error.to_string())? {
                0 if *waiting => match waiting_mails(&db).map_err(|error| error.to_string())? {
                    0 => print("no mail waits\n"),
                    due => print(&format!("no mail waits for a later time; {due} due already\n")),
                },
                0 => print("no mail failed\n"),
                count => print(&format!("{count} to be sent again\n")),
            }
        }
    }
}

fn list(db: &Db, database: &str, arguments: &List) -> Outcome {
    let selection = match (&arguments.to, arguments.sent) {
        (None, false) => Selection::Open,
        (None, true) => Selection::Sent,
        (Some(to), false) => Selection::To(Email::unchecked(to.trim())),
        (Some(to), true) => Selection::SentTo(Email::unchecked(to.trim())),
    };
    let limit = arguments.limit;
    let (lines, count) = db
        .read(|conn| Ok((outbox::list(conn, &selection, limit)?, outbox::count(conn, &selection)?)))
        .map_err(|error: Error| error.to_string())?;
    if lines.is_empty() {
        return print(&match selection {
            Selection::Open => format!("no mail waits in {database}\n"),
            Selection::Sent => format!("no mail was sent in {database}\n"),
            Selection::To(_) => format!("no mail to this address in {database}\n"),
            Selection::SentTo(_) => format!("no mail was sent to this address in {database}\n"),
        });
    }
    lines.iter().try_for_each(|line| print(&shown(line)))?;
    match count - i64::try_from(lines.len()).unwrap_or(i64::MAX) {
        more @ 1.. => print(&format!("and {more} more: --limit {count} lists all\n")),
        _ => Ok(()),
    }
}

fn waiting_mails(db: &Db) -> Result<i64, Error> {
    db.read(|conn| Ok(backlog::count_open(conn)?.waiting))
}

/// Makes one mail due. Returns whether it is queued or failed.
fn retry_one(db: &Db, id: &str) -> Result<bool, Error> {
    let (now, id) = (SystemClock.now(), id.to_owned());
    db.write(move |conn| backlog::retry(conn, &id, now))
}

/// Makes all mails due, in short transactions, that are queued or failed now. Returns their number.
fn retry_all(db: &Db, waiting: bool) -> Result<usize, Error> {
    let now = SystemClock.now();
    let which = if waiting { Retryable::Deferred } else { Retryable::Failed };
    let ids = db.read(|conn| backlog::list_retryable(conn, which, now))?;
    let mut total = 0;
    for some in ids.chunks(AT_ONCE) {
        let some = some.to_vec();
        total += db.write(move |conn| backlog::retry_listed(conn, which, &some, now))?;
    }
    Ok(total)
}

fn shown(line: &MailLine) -> String {
    let at = |micros: Option<i64>| time(UtcTime::from_micros(micros.unwrap_or_default()));
    let when = match JobStatus::from_name(&line.status) {
        Some(JobStatus::Queued) => format!("next try {}", at(Some(line.next_attempt_at))),
        Some(JobStatus::Done) => format!("sent {}", at(line.finished_at)),
        Some(JobStatus::Dropped) => format!("not needed {}", at(line.finished_at)),
        Some(JobStatus::Failed) => "failed".to_owned(),
        None => printable(&line.status),
    };
    let error = line.last_error.as_deref().unwrap_or("-");
    let (id, kind, tries) = (&line.id, &line.kind, line.attempts);
    let (to, error) = (printable(&masked(&line.recipient)), printable(error));
    format!("{id}  {kind}  to {to}  {tries} tries  {when}  {error}\n")
}
