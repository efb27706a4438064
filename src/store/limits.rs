//! Counters of attempts, shared by all instances.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::engine::connection::lazy_if_alone;
use super::schema::limits;
use super::{Conn, Result};
use crate::domain::{Counted, UtcTime};

/// State of a counter after a use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Uses in this window, this one included.
    pub uses: i64,
    /// End of the window.
    pub resets_at: UtcTime,
}

#[derive(QueryableByName)]
struct UsedRow {
    #[diesel(sql_type = BigInt)]
    uses: i64,
    #[diesel(sql_type = BigInt)]
    resets_at: i64,
}

/// A window or a wait that ends so much later than any that begins now is from before the clock was
/// set back. (The clocks of instances differ by less.)
const CLOCK_STEP: Duration = Duration::from_mins(1);

/// Counts a use, in a new window if the last one is over. `Err` where uses have to wait, with the
/// moment until when. Until the transaction ends, no other transaction counts on the same counter. Outside
/// a transaction, the commit does not wait for the disk.
pub fn use_counter(
    conn: &mut Conn,
    name: &str,
    window_ends: UtcTime,
    now: UtcTime,
) -> Result<std::result::Result<Used, UtcTime>> {
    let lazy = lazy_if_alone(conn)?;
    // SQLite numbers `$n` by the order in which they first appear, whatever n is.
    let used = diesel::sql_query(format!(
        "INSERT INTO limits (name, uses, resets_at, waits_until) VALUES ($1, 1, $2, 0) \
         ON CONFLICT (name) DO UPDATE SET \
             uses = CASE WHEN limits.resets_at <= $3 OR limits.resets_at > $4 THEN 1 ELSE limits.uses + 1 END, \
             resets_at = CASE WHEN limits.resets_at <= $3 OR limits.resets_at > $4 THEN $2 \
                 ELSE limits.resets_at END, \
             waits_until = 0 \
         WHERE limits.waits_until <= $3 OR limits.waits_until > $4 \
         RETURNING uses, resets_at{lazy}"
    ))
    .bind::<Text, _>(name)
    .bind::<BigInt, _>(window_ends.micros())
    .bind::<BigInt, _>(now.micros())
    .bind::<BigInt, _>(window_ends.after(CLOCK_STEP).micros())
    .get_result::<UsedRow>(conn)
    .optional()?;
    if let Some(UsedRow { uses, resets_at }) = used {
        return Ok(Ok(Used { uses, resets_at: UtcTime::from_micros(resets_at) }));
    }
    let waits_until = limits::table.find(name).select(limits::waits_until).first::<i64>(conn)?;
    Ok(Err(UtcTime::from_micros(waits_until)))
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

/// Takes a use back: it was none of those that are counted.
pub fn return_use(conn: &mut Conn, name: &str) -> Result<()> {
    let last = diesel::delete(limits::table.find(name).filter(limits::uses.le(1))).execute(conn)?;
    if last == 0 {
        diesel::update(limits::table.find(name))
            .set((limits::uses.eq(limits::uses - 1), limits::waits_until.eq(0)))
            .execute(conn)?;
    }
    Ok(())
}

/// Shortens the wait of the next uses by `span`.
pub fn shorten_wait(conn: &mut Conn, name: &str, span: Duration) -> Result<()> {
    let span = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    diesel::update(limits::table.find(name))
        .set(limits::waits_until.eq(limits::waits_until - span))
        .execute(conn)?;
    Ok(())
}

/// Forgets what was counted.
pub fn clear(conn: &mut Conn, name: &str) -> Result<()> {
    diesel::delete(limits::table.find(name)).execute(conn)?;
    Ok(())
}

/// Removes up to `limit` counters whose window and wait are over, or up to `limit` of those of
/// `counted` with fewer uses than `few` whose window ends before `few_end`. Returns whether there
/// may be more.
pub fn purge(
    conn: &mut Conn,
    now: UtcTime,
    counted: Counted,
    few: i64,
    few_end: UtcTime,
    limit: i64,
) -> Result<bool> {
    let mut over = find_over(conn, "", now, now, limit)?;
    if over.is_empty() {
        // Word for word the condition of the index `limits_of_few_failures`.
        let name = format!("{}:", counted.name());
        let few = format!("AND uses < {few} AND substr(name, 1, {}) = '{name}'", name.len());
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

/// Finds up to `limit` counters that are `such`, whose window ends by `end` and whose wait is over.
fn find_over(
    conn: &mut Conn,
    such: &str,
    end: UtcTime,
    now: UtcTime,
    limit: i64,
) -> Result<Vec<NameRow>> {
    // Attempts take their counters in an order of their own: what one of them holds is left for
    // later.
    let skip_locked = match conn {
        Conn::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        Conn::Sqlite(_) => "",
    };
    let over = diesel::sql_query(format!(
        "SELECT name FROM limits WHERE resets_at <= $1 AND waits_until <= $2 {such} \
         ORDER BY resets_at LIMIT $3 {skip_locked}"
    ));
    Ok(over
        .bind::<BigInt, _>(end.micros())
        .bind::<BigInt, _>(now.micros())
        .bind::<BigInt, _>(limit)
        .load(conn)?)
}
