//! `hallpass copy-database`

use std::io::{IsTerminal as _, Write as _};

use super::{Outcome, print};
use crate::app::prepare_folder;
use crate::config::database_url;
use crate::store::copy::{Comparison, Progress, Source, Step, Summary};

/// The settings of the service are not read here: the arguments name both databases.
#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The database to copy, `sqlite://PATH` or `postgres://USER@HOST/DATABASE`. Others on this
    /// machine can see a password here in the list of processes; libpq also finds it in ~/.pgpass.
    #[arg(long, value_name = "URL")]
    from: String,
    /// The database to copy to. It must be empty; its tables are created.
    #[arg(long, value_name = "URL")]
    to: String,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let from = database_url(&arguments.from).map_err(|advice| format!("--from: {advice}"))?;
    let to = database_url(&arguments.to).map_err(|advice| format!("--to: {advice}"))?;
    let source = Source::open(&from).map_err(|error| nothing_copied(&error))?;
    prepare_folder(&to).map_err(|error| error.to_string())?;
    let mut last_line = LastLine::default();
    let comparisons = source.copy_into(&to, &mut |progress| last_line.show(progress));
    let comparisons = comparisons.map_err(|error| nothing_copied(&error))?;
    print(&table(&comparisons))?;
    if comparisons.iter().all(Comparison::is_equal) {
        return print(&format!("copied {} to {}\n", from.redacted(), to.redacted()));
    }
    Err("what was read back differs from the source: nothing was kept of the copy".to_owned())
}

fn nothing_copied(error: &dyn std::error::Error) -> String {
    format!("nothing was copied: {error}")
}

/// On a terminal one line per table that counts up; elsewhere, such as in a log, its end and a line
/// now and then.
#[derive(Default)]
struct LastLine {
    lines_told: u64,
}

impl LastLine {
    const ROWS_A_LINE: u64 = 10_000;

    fn show(&mut self, progress: Progress<'_>) {
        let Progress { step, table, rows, total } = progress;
        let step = match step {
            Step::Copy => "copied",
            Step::Compare => "compared",
        };
        let line = format!("{step} {table}: {rows} of {total}");
        let complete = rows >= total;
        let lines = if complete { 0 } else { rows / Self::ROWS_A_LINE };
        // A failed write cannot be reported anywhere.
        drop(if std::io::stderr().is_terminal() {
            let end = if complete { "\n" } else { "" };
            write!(std::io::stderr(), "\r{line}{end}")
        } else if complete || lines > self.lines_told {
            writeln!(std::io::stderr(), "{line}")
        } else {
            Ok(())
        });
        self.lines_told = lines;
    }
}

fn table(comparisons: &[Comparison]) -> String {
    let width = comparisons.iter().map(|it| it.table.len()).max().unwrap_or(0);
    let line = |table: &str, side: &str, summary: &Summary, end: &str| {
        format!("{table:width$}  {side}  {:>10}  {:032x}{end}\n", summary.rows, summary.checksum)
    };
    let lines = |it: &Comparison| {
        let end = if it.is_equal() { "  equal" } else { "  DIFFERENT" };
        line(&it.table, "source", &it.source, "") + &line("", "target", &it.target, end)
    };
    let head = format!("{:width$}  {:6}  {:>10}  checksum\n", "table", "", "rows");
    head + &comparisons.iter().map(lines).collect::<String>()
}
