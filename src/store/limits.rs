//! Counters of attempts, shared by all instances.

use std::time::Duration;

use diesel::backend::Backend;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::serialize::ToSql;
use diesel::sql_types::{Array, BigInt, Text};

use super::engine::transaction::lazy_if_alone;
use super::schema::limits;
use super::{Conn, Error, Result};
use crate::domain::{Counted, FEW_FAILURES, UtcTime};

/// State of a counter after a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Uses in this window, this one included.
    pub uses: i64,
    /// End of the window.
    pub resets_at: UtcTime,
}

/// Uses of one counter that are counted at once.
#[derive(Clone, Debug)]
pub struct Uses {
    /// Name of the counter.
    pub name: String,
    /// Number of uses.
    pub uses: i64,
    /// End of the window, if these uses begin one.
    pub window_ends: UtcTime,
}

/// Result of counting: the state after the uses, or the moment until when they have to wait.
pub type Counting = std::result::Result<Used, UtcTime>;

/// Counts uses of different counters by one statement, each in a new window if its last one is
/// over. Returns one result per counter, in their order. Until the transaction ends, no other
/// transaction counts on the same counters. Outside a transaction, the commit does not wait for the
/// disk.
pub fn use_counters(conn: &mut Conn, uses: &[Uses], now: UtcTime) -> Result<Vec<Counting>> {
    let mut rows: Vec<(&str, i64, i64)> =
        uses.iter().map(|it| (&*it.name, it.uses, it.window_ends.micros())).collect();
    // Always in the same order, against deadlocks.
    rows.sort_unstable();
    let count = Count { rows, now: now.micros(), lazy_commit: lazy_if_alone(conn)? };
    let rows: Vec<UsedRow> = match conn {
        Conn::Postgres(postgres) => count.load(postgres)?,
        Conn::Sqlite(sqlite) => count.load(sqlite)?,
    };
    let counted = |name: &str| rows.iter().find(|row| row.0 == name);
    let waiting = uses.iter().map(|it| &*it.name).filter(|name| counted(name).is_none());
    let waits = find_waits(conn, waiting.collect())?;
    let result = |it: &Uses| match counted(&it.name) {
        Some((_, uses, resets_at, _)) => {
            Ok(Ok(Used { uses: *uses, resets_at: UtcTime::from_micros(*resets_at) }))
        }
        None => match waits.iter().find(|(name, _)| *name == it.name) {
            Some((_, waits_until)) => Ok(Err(UtcTime::from_micros(*waits_until))),
            // It was deleted meanwhile, which ended the wait.
            None => Ok(Err(now)),
        },
    };
    uses.iter().map(result).collect()
}

/// Counts one use: see [`use_counters`].
pub fn use_counter(
    conn: &mut Conn,
    name: &str,
    window_ends: UtcTime,
    now: UtcTime,
) -> Result<Counting> {
    let uses = Uses { name: name.to_owned(), uses: 1, window_ends };
    let missing = || Error::Internal("a counter has no result".to_owned());
    use_counters(conn, &[uses], now)?.pop().ok_or_else(missing)
}

/// Name, uses, end of the window, and the result of `set_config`, which is not used.
type UsedRow = (String, i64, i64, String);

/// The statement of [`use_counters`]. It is no `sql_query`, whose statement would be parsed and
/// planned each time.
struct Count<'a> {
    /// Name, uses and end of a new window.
    rows: Vec<(&'a str, i64, i64)>,
    now: i64,
    /// Expression that makes the commit lazy.
    lazy_commit: &'static str,
}

impl<DB: Backend> QueryFragment<DB> for Count<'_>
where
    str: ToSql<Text, DB>,
    i64: ToSql<BigInt, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        out.push_sql("INSERT INTO limits (name, uses, resets_at, waits_until) VALUES ");
        for (number, (name, uses, window_ends)) in self.rows.iter().enumerate() {
            out.push_sql(if number == 0 { "(" } else { ", (" });
            out.push_bind_param::<Text, _>(*name)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(uses)?;
            out.push_sql(", ");
            out.push_bind_param::<BigInt, _>(window_ends)?;
            out.push_sql(", 0)");
        }
        let is_running = |out: &mut AstPass<'_, 'b, DB>| {
            out.push_sql("limits.resets_at > ");
            out.push_bind_param::<BigInt, _>(&self.now)?;
            out.push_sql(" AND limits.resets_at <= excluded.resets_at + ");
            out.push_sql(CLOCK_STEP_MICROS);
            QueryResult::Ok(())
        };
        out.push_sql(" ON CONFLICT (name) DO UPDATE SET uses = excluded.uses + CASE WHEN ");
        is_running(&mut out)?;
        out.push_sql(" THEN limits.uses ELSE 0 END, resets_at = CASE WHEN ");
        is_running(&mut out)?;
        out.push_sql(
            " THEN limits.resets_at ELSE excluded.resets_at END, waits_until = 0 \
             WHERE limits.waits_until <= ",
        );
        out.push_bind_param::<BigInt, _>(&self.now)?;
        out.push_sql(" OR limits.waits_until > excluded.resets_at + ");
        out.push_sql(CLOCK_STEP_MICROS);
        out.push_sql(" RETURNING name, uses, resets_at, ");
        out.push_sql(self.lazy_commit);
        Ok(())
    }
}

/// Tolerance, a minute: a window or a wait that ends later than a new one by more than this was
/// stored before the clock was set back, and is ignored. Clocks of instances differ by less
/// ([`crate::domain::CLOCKS_DIFFER`]).
const CLOCK_STEP_MICROS: &str = "60000000";

impl QueryId for Count<'_> {
    type QueryId = ();

    // The number of rows changes the statement.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Count<'_> {
    type SqlType = (Text, BigInt, BigInt, Text);
}

impl<Connection> RunQueryDsl<Connection> for Count<'_> {}

/// Returns until when uses of these counters have to wait.
fn find_waits(conn: &mut Conn, names: Vec<&str>) -> Result<Vec<(String, i64)>> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let waiting = limits::table.filter(limits::name.eq_any(names));
    Ok(waiting.select((limits::name, limits::waits_until)).load(conn)?)
}

/// Returns until when uses of the counter have to wait, if they have to.
pub fn find_wait(conn: &mut Conn, name: &str, now: UtcTime) -> Result<Option<UtcTime>> {
    let waits_until = limits::table
        .find(name)
        .filter(limits::waits_until.gt(now.micros()))
        .select(limits::waits_until);
    Ok(waits_until.first::<i64>(conn).optional()?.map(UtcTime::from_micros))
}

/// Makes the next uses wait.
pub fn set_wait(conn: &mut Conn, name: &str, waits_until: UtcTime) -> Result<()> {
    diesel::update(limits::table.find(name))
        .set(limits::waits_until.eq(waits_until.micros()))
        .execute(conn)?;
    Ok(())
}

/// Uses of one counter that count no longer.
#[derive(Clone, Debug)]
pub struct Returned {
    /// Name of the counter.
    pub name: String,
    /// Number of uses; [`Returned::ALL`] resets the counter.
    pub uses: i64,
    /// Latest end of the window in which they were counted. Later windows have no such use.
    pub window_ends_by: UtcTime,
}

impl Returned {
    /// More uses than any counter has.
    pub const ALL: i64 = i64::MAX;

    /// Uses of the present window, whichever it is.
    pub fn of(name: String, uses: i64) -> Self {
        Self { name, uses, window_ends_by: UtcTime::from_micros(i64::MAX) }
    }
}

/// Subtracts uses of different counters, and ends their waits. On Postgres it is one statement.
/// Outside a transaction, its commit does not wait for the disk.
pub fn release(conn: &mut Conn, returned: &[Returned]) -> Result<()> {
    let lazy_commit = lazy_if_alone(conn)?;
    if let Conn::Postgres(postgres) = conn {
        let names = returned.iter().map(|it| &*it.name).collect();
        let uses = returned.iter().map(|it| it.uses).collect();
        let ends = returned.iter().map(|it| it.window_ends_by.micros()).collect();
        Release { names, uses, ends, lazy_commit }.execute(postgres)?;
        return Ok(());
    }
    for Returned { name, uses, window_ends_by } in returned {
        let counter =
            || limits::table.find(name).filter(limits::resets_at.le(window_ends_by.micros()));
        let last = diesel::delete(counter().filter(limits::uses.le(uses))).execute(conn)?;
        if last == 0 {
            diesel::update(counter())
                .set((limits::uses.eq(limits::uses - uses), limits::waits_until.eq(0)))
                .execute(conn)?;
        }
    }
    Ok(())
}

/// [`release`] on Postgres. The rows are locked first, in the order of [`use_counters`].
struct Release<'a> {
    names: Vec<&'a str>,
    uses: Vec<i64>,
    ends: Vec<i64>,
    lazy_commit: &'static str,
}

impl QueryFragment<Pg> for Release<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        out.push_sql("WITH held AS (SELECT name, uses, resets_at FROM limits WHERE name = ANY(");
        out.push_bind_param::<Array<Text>, _>(&self.names)?;
        out.push_sql(
            ") ORDER BY name COLLATE \"C\" FOR UPDATE), \
             due AS (SELECT name, less, held.uses <= less AS is_over FROM held JOIN unnest(",
        );
        out.push_bind_param::<Array<Text>, _>(&self.names)?;
        out.push_sql("::text[], ");
        out.push_bind_param::<Array<BigInt>, _>(&self.uses)?;
        out.push_sql("::bigint[], ");
        out.push_bind_param::<Array<BigInt>, _>(&self.ends)?;
        out.push_sql(
            "::bigint[]) AS returned (name, less, ends) USING (name) WHERE resets_at <= ends), \
             gone AS (DELETE FROM limits USING due WHERE limits.name = due.name AND is_over), \
             less AS ( \
                 UPDATE limits SET uses = uses - less, waits_until = 0 FROM due \
                 WHERE limits.name = due.name AND NOT is_over) \
             SELECT ",
        );
        out.push_sql(self.lazy_commit);
        Ok(())
    }
}

impl QueryId for Release<'_> {
    type QueryId = ();

    // The end of the statement differs.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<PgConnection> for Release<'_> {}

/// Shortens the wait of the next uses by `span`.
pub fn shorten_wait(conn: &mut Conn, name: &str, span: Duration) -> Result<()> {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    diesel::update(limits::table.find(name))
        .set(limits::waits_until.eq(limits::waits_until - span))
        .execute(conn)?;
    Ok(())
}

/// Removes up to `limit` counters whose window and wait are over, or up to `limit` of those of few
/// consecutive failures ([`FEW_FAILURES`]) whose window ends before `few_end`. Returns whether there
/// may be more.
pub fn purge(conn: &mut Conn, now: UtcTime, few_end: UtcTime, limit: i64) -> Result<bool> {
    let mut over = find_over(conn, "", now, now, limit)?;
    if over.is_empty() {
        // Word for word the condition of the index `limits_of_few_failures`.
        let name = format!("{}:", Counted::ConsecutiveFailedLogins.name());
        let few =
            format!("AND uses < {FEW_FAILURES} AND substr(name, 1, {}) = '{name}'", name.len());
        over = find_over(conn, &few, few_end, now, limit)?;
    }
    if over.is_empty() {
        return Ok(false);
    }
    let names = over.into_iter().map(|row| row.name);
    diesel::delete(limits::table.filter(limits::name.eq_any(names))).execute(conn)?;
    Ok(true)
}

#[derive(QueryableByName)]
struct NameRow {
    #[diesel(sql_type = Text)]
    name: String,
}

/// Finds up to `limit` counters that meet `condition`, whose window ends by `end` and whose wait is
/// over.
fn find_over(
    conn: &mut Conn,
    condition: &str,
    end: UtcTime,
    now: UtcTime,
    limit: i64,
) -> Result<Vec<NameRow>> {
    // Attempts lock counters in another order: locked rows are skipped until the next purge.
    let skip_locked = match conn {
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        Conn::Sqlite(_) => "",
    };
    let over = diesel::sql_query(format!(
        "SELECT name FROM limits WHERE resets_at <= $1 AND waits_until <= $2 {condition} \
         ORDER BY resets_at LIMIT $3 {skip_locked}"
    ));
    Ok(over
        .bind::<BigInt, _>(end.micros())
        .bind::<BigInt, _>(now.micros())
        .bind::<BigInt, _>(limit)
        .load(conn)?)
}
