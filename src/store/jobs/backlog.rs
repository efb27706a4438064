//! Unfinished jobs: their number, their retry by an operator, and the deletion of finished ones.

use diesel::dsl::sql;
use diesel::expression::SqlLiteral;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Text};

use super::lease::JobStatus;
use crate::domain::UtcTime;
use crate::store::schema::outbox;
use crate::store::{Conn, Result};

/// Numbers of unfinished jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenJobs {
    /// Number of jobs that wait.
    pub waiting: i64,
    /// Number of jobs that failed permanently (dead letters).
    pub failed: i64,
    /// Time of the oldest waiting job.
    pub oldest: Option<UtcTime>,
}

/// Counts the jobs that wait and those that failed permanently.
pub fn count_open(conn: &mut Conn) -> Result<OpenJobs> {
    // Postgres knows how rare a status is only if the statement names it.
    let count = |conn: &mut Conn, status: &str| {
        outbox::table.filter(sql::<Bool>(status)).count().get_result(conn)
    };
    let oldest: Option<i64> = outbox::table
        .filter(sql::<Bool>("status = 'queued'"))
        .select(outbox::created_at)
        .order(outbox::created_at)
        .first(conn)
        .optional()?;
    Ok(OpenJobs {
        waiting: count(conn, "status = 'queued'")?,
        failed: count(conn, "status = 'dead'")?,
        oldest: oldest.map(UtcTime::from_micros),
    })
}

/// An error because of which jobs were deferred.
#[derive(Clone, Debug, QueryableByName)]
pub struct DeferralCause {
    /// The error of their last attempt.
    #[diesel(sql_type = Text)]
    pub error: String,
    /// The number of jobs.
    #[diesel(sql_type = BigInt)]
    pub jobs: i64,
}

/// Returns up to `limit` errors of deferred jobs, the most frequent first.
pub fn deferral_causes(conn: &mut Conn, limit: i64) -> Result<Vec<DeferralCause>> {
    let errors = diesel::sql_query(
        "SELECT last_error AS error, count(*) AS jobs FROM outbox \
         WHERE status = 'queued' AND last_error IS NOT NULL \
         GROUP BY last_error ORDER BY count(*) DESC, last_error LIMIT $1",
    );
    Ok(errors.bind::<BigInt, _>(limit).load(conn)?)
}

/// Makes a job due at once, if it failed permanently or waits. Returns whether it did.
pub fn retry(conn: &mut Conn, id: &str, now: UtcTime) -> Result<bool> {
    let unfinished = [JobStatus::Failed.name(), JobStatus::Queued.name()];
    let chosen = outbox::table.find(id).filter(outbox::status.eq_any(unfinished));
    Ok(diesel::update(chosen).set(as_new(now)).execute(conn)? == 1)
}

/// Jobs that can be made due at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// Jobs that failed permanently, at any time.
    Failed,
    /// Jobs that are deferred to a later time.
    Deferred,
}

/// Returns the condition of these jobs at this time.
fn is_retryable(which: Retryable, now: UtcTime) -> SqlLiteral<Bool> {
    sql(&match which {
        Retryable::Failed => "status = 'dead'".to_owned(),
        Retryable::Deferred => format!("status = 'queued' AND next_attempt_at > {}", now.micros()),
    })
}

/// Returns the ids of these jobs, for [`retry_listed`]. The list is taken once, so a job that
/// fails permanently again meanwhile is not retried endlessly.
pub fn list_retryable(conn: &mut Conn, which: Retryable, now: UtcTime) -> Result<Vec<String>> {
    let jobs = outbox::table.filter(is_retryable(which, now));
    Ok(jobs.select(outbox::id).load(conn)?)
}

/// Makes the listed jobs due at once that are still in this state. Returns how many.
pub fn retry_listed(
    conn: &mut Conn,
    which: Retryable,
    ids: &[String],
    now: UtcTime,
) -> Result<usize> {
    let jobs = outbox::table.filter(is_retryable(which, now)).filter(outbox::id.eq_any(ids));
    Ok(diesel::update(jobs).set(as_new(now)).execute(conn)?)
}

/// Makes a job due at once, with the shortest delays again. Earlier attempts stay counted as one:
/// the limits of the e-mail address have counted it.
#[diesel::dsl::auto_type(no_type_alias)]
fn as_new(now: UtcTime) -> _ {
    let queued: &'static str = JobStatus::Queued.name();
    let now: i64 = now.micros();
    let open: Option<i64> = None;
    let once_at_most: SqlLiteral<Integer> = sql("CASE WHEN attempts > 0 THEN 1 ELSE 0 END");
    (
        outbox::status.eq(queued),
        outbox::attempts.eq(once_at_most),
        outbox::unconfirmed.eq(0_i32),
        outbox::next_attempt_at.eq(now),
        outbox::finished_at.eq(open),
    )
}

/// Deletes up to `limit` jobs that were done, dropped or failed permanently before `forget_before`.
/// Returns whether there may be more.
pub fn purge(conn: &mut Conn, forget_before: UtcTime, limit: i64) -> Result<bool> {
    let over: Vec<String> = outbox::table
        .filter(outbox::finished_at.lt(forget_before.micros()))
        .order(outbox::finished_at)
        .select(outbox::id)
        .limit(limit)
        .load(conn)?;
    if over.is_empty() {
        return Ok(false);
    }
    // A command may have made a failed one due again meanwhile.
    let finished = outbox::table.filter(outbox::finished_at.is_not_null());
    diesel::delete(finished.filter(outbox::id.eq_any(over))).execute(conn)?;
    Ok(true)
}
