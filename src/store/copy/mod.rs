//! Copy of a whole database into an empty one, of either kind.
//!
//! The source is read in one snapshot and never written. The copy is written in one transaction,
//! read back and compared before the commit: a copy is complete and equal, or does not exist.

mod counter;
mod insert;
mod rows;
pub(super) mod tables;

use std::path::Path;

use diesel::connection::SimpleConnection as _;

use crate::store::engine::connection::{Manager, ReadOnly, open_to_look};
use crate::store::engine::migrations::scratch;
use crate::store::engine::transaction::{begin, begin_snapshot, commit};
use crate::store::{self, Conn, DatabaseUrl, Error};
use counter::{continue_after, last_number};
use insert::insert;
pub use rows::Summary;
use rows::{count, for_each_row, summarise};
use tables::{Table, applied_migrations, names_of_tables, of_this_version, same_database};

/// Reasons why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The source has no tables of Hallpass.
    #[error("the source ({0}) is no database of Hallpass")]
    Foreign(String),
    /// The source has the tables of an older version.
    #[error(
        "the tables of the source ({0}) are older than this version: \
         run `hallpass migrate` with it as DATABASE_URL first"
    )]
    Older(String),
    /// The source has the tables of a newer version.
    #[error("the tables of the source ({0}) are newer than this version: use the newer hallpass")]
    Newer(String),
    /// Source and target are the same database.
    #[error("source and target are the same database")]
    Same,
    /// The target is not empty.
    #[error("the target ({0}) is not empty, it has rows: {1}")]
    Occupied(String, String),
    /// The source failed.
    #[error("the source ({0}): {1}")]
    Source(String, Error),
    /// The target failed.
    #[error("the target ({0}): {1}")]
    Target(String, Error),
}

/// Progress of a copy.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Current step.
    pub step: Step,
    /// The current table.
    pub table: &'a str,
    /// Number of rows done.
    pub rows: u64,
    /// Number of rows of the table.
    pub total: u64,
}

/// Steps of the copy of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read and write a table.
    Copy,
    /// Read it again on both sides.
    Compare,
}

/// Summaries of one table on both sides.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// The name of the table.
    pub table: String,
    /// Summary of the source.
    pub source: Summary,
    /// Summary of the target.
    pub target: Summary,
}

impl Comparison {
    /// Returns whether both sides have the same rows.
    pub fn is_equal(&self) -> bool {
        self.source == self.target
    }
}

/// Rows between two reports of progress.
const ROWS_AT_ONCE: usize = 1000;

/// A database in one snapshot.
pub struct Source {
    url: DatabaseUrl,
    conn: Conn,
    tables: Vec<Table>,
}

impl Source {
    /// Opens the snapshot, which ends when this is dropped.
    pub fn open(url: &DatabaseUrl) -> Result<Self, CopyError> {
        let fault = source_fault(url);
        let (tables, newest) =
            scratch().and_then(|mut conn| of_this_version(&mut conn)).map_err(fault)?;
        let mut conn = open_to_look(url).map_err(fault)?;
        begin_snapshot(&mut conn).map_err(fault)?;
        let Some(applied) = applied_migrations(&mut conn).map_err(fault)? else {
            return Err(CopyError::Foreign(url.redacted()));
        };
        if !applied.is_subset(&newest) {
            return Err(CopyError::Newer(url.redacted()));
        }
        if applied != newest {
            return Err(CopyError::Older(url.redacted()));
        }
        Ok(Self { url: url.clone(), conn, tables })
    }

    /// Copies everything into `to`, with migrations if it has no tables. It commits only if all
    /// comparisons are equal.
    pub fn copy_into(
        mut self,
        to: &DatabaseUrl,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<Vec<Comparison>, CopyError> {
        let fault = target_fault(to);
        self.refuse_same(to)?;
        // A target that has rows is not even migrated.
        let manager = Manager::new(to.clone(), ReadOnly(false));
        refuse_occupied(&mut manager.open().map_err(fault)?, &self.tables, to)?;
        store::migrate(to).map_err(fault)?;
        let mut target = manager.open().map_err(fault)?;
        begin_alone(&mut target, &self.tables).map_err(fault)?;
        refuse_occupied(&mut target, &self.tables, to)?;

        let mut comparisons = Vec::new();
        for step in [Step::Copy, Step::Compare] {
            for table in &self.tables {
                let total = count(&mut self.conn, table).map_err(source_fault(&self.url))?;
                let mut tell = |rows| progress(Progress { step, table: &table.name, rows, total });
                let mut sides =
                    Sides { source: &mut self.conn, from: &self.url, target: &mut target, to };
                match step {
                    Step::Copy => sides.copy(table, &mut tell)?,
                    Step::Compare => comparisons.push(sides.compare(table, &mut tell)?),
                }
            }
        }
        // Dropping the connection rolls back.
        if comparisons.iter().all(Comparison::is_equal) {
            commit(&mut target).map_err(fault)?;
        }
        Ok(comparisons)
    }

    fn refuse_same(&mut self, to: &DatabaseUrl) -> Result<(), CopyError> {
        let same = match (&self.url, to) {
            (DatabaseUrl::Sqlite(from), DatabaseUrl::Sqlite(to)) => {
                let real = |path: &Path| path.canonicalize().ok();
                real(from).is_some_and(|from| real(to) == Some(from))
            }
            (DatabaseUrl::Postgres(_), DatabaseUrl::Postgres(_)) => {
                let fault = target_fault(to);
                let mut conn = open_to_look(to).map_err(fault)?;
                same_database(&mut self.conn, &mut conn).map_err(fault)?
            }
            _ => false,
        };
        if same { Err(CopyError::Same) } else { Ok(()) }
    }
}

/// The two connections of a running copy.
struct Sides<'a> {
    source: &'a mut Conn,
    from: &'a DatabaseUrl,
    target: &'a mut Conn,
    to: &'a DatabaseUrl,
}

impl Sides<'_> {
    fn copy(&mut self, table: &Table, tell: &mut dyn FnMut(u64)) -> Result<(), CopyError> {
        let (source_fault, target_fault) = (source_fault(self.from), target_fault(self.to));
        let mut done = 0;
        let mut waiting = Vec::with_capacity(ROWS_AT_ONCE);
        let mut write = |rows: &mut Vec<_>| {
            insert(self.target, table, rows).map_err(target_fault)?;
            done += rows.len() as u64;
            rows.clear();
            tell(done);
            Ok::<_, CopyError>(())
        };
        for_each_row(self.source, table, source_fault, |row| {
            if waiting.len() == ROWS_AT_ONCE {
                write(&mut waiting)?;
            }
            waiting.push(row);
            Ok(())
        })?;
        write(&mut waiting)?;
        if let Some(column) = &table.counter {
            let last = last_number(self.source, table, column).map_err(source_fault)?;
            continue_after(self.target, table, column, last).map_err(target_fault)?;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        table: &Table,
        tell: &mut dyn FnMut(u64),
    ) -> Result<Comparison, CopyError> {
        let source = summarise(self.source, table, source_fault(self.from))?;
        let target = summarise(self.target, table, target_fault(self.to))?;
        tell(target.rows);
        Ok(Comparison { table: table.name.clone(), source, target })
    }
}

fn source_fault(url: &DatabaseUrl) -> impl Fn(Error) -> CopyError + Copy {
    |error| CopyError::Source(url.redacted(), error)
}

fn target_fault(url: &DatabaseUrl) -> impl Fn(Error) -> CopyError + Copy {
    |error| CopyError::Target(url.redacted(), error)
}

/// Begins the one transaction, and locks out other writers until it ends.
fn begin_alone(conn: &mut Conn, tables: &[Table]) -> Result<(), Error> {
    begin(conn)?;
    if let Conn::Postgres(postgres) = conn {
        let names: Vec<String> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
        postgres.batch_execute(&format!(
            "SET LOCAL lock_timeout = '5s'; LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            names.join(", ")
        ))?;
    }
    Ok(())
}

fn refuse_occupied(conn: &mut Conn, tables: &[Table], to: &DatabaseUrl) -> Result<(), CopyError> {
    let fault = target_fault(to);
    let present = names_of_tables(conn).map_err(fault)?;
    let mut occupied = Vec::new();
    for table in tables.iter().filter(|table| present.contains(&table.name)) {
        match count(conn, table).map_err(fault)? {
            0 => {}
            rows => occupied.push(format!("{rows} in {}", table.name)),
        }
    }
    if occupied.is_empty() {
        return Ok(());
    }
    Err(CopyError::Occupied(to.redacted(), occupied.join(", ")))
}
