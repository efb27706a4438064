//! The job queue: work that a transaction requests, done after its commit by any instance of the
//! service.
//!
//! A worker claims jobs that are due with [`claim_due`]. It gets a [`Lease`] with each, renews it
//! while it works, and turns it into one [`lease::Completion`]. If the worker dies, the lease
//! expires and the job is due again. Each handler has its own kinds of jobs, so that several
//! handlers share one table.
//!
//! The table is named `outbox`, after its first use, mail: the previous version works on it at the
//! same time.

pub mod backlog;
pub mod lease;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text};

use self::lease::{JobStatus, Lease};
use super::engine::wake_up;
use super::schema::outbox;
use super::{Conn, Result};
use crate::domain::{JobId, LeaseId, UserId, UtcTime};

/// A job to be enqueued. It holds no secret and no content: its handler creates them when it runs.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// The kind, which names the handler.
    pub kind: &'a str,
    /// The destination: `name@lane`, or the lane alone.
    pub target: &'a str,
    /// The language of the content.
    pub locale: &'a str,
    /// The id of the subject.
    pub subject_id: &'a str,
    /// The account that the job is about, if it is known.
    pub about: Option<UserId>,
    /// The number of its request among those of the client, for limits of the handler; 1 without.
    pub rank: i64,
}

/// A job, as its handler gets it.
#[derive(Clone, Debug)]
pub struct Job {
    /// The id.
    pub id: JobId,
    /// The kind, which names the handler.
    pub kind: String,
    /// The destination: `name@lane`, or the lane alone.
    pub target: String,
    /// The language of the content.
    pub locale: String,
    /// The id of the subject.
    pub subject_id: String,
    /// The account that the job is about, if it is known.
    pub about: Option<UserId>,
    /// The number of its request among those of the client.
    pub rank: i64,
    /// The number of attempts before this one.
    pub attempts: i32,
    /// The number of attempts that may have succeeded: their answer was lost.
    pub unconfirmed: i32,
    /// True if the job was deferred, for another attempt or for a limit.
    pub was_deferred: bool,
    /// The time at which it was enqueued.
    pub created_at: UtcTime,
    /// The token of the lease, for [`lease::confirm`].
    pub lease: LeaseId,
}

impl Job {
    /// Returns the lane in lower case. Jobs of one lane have the same peer: they fail together.
    pub fn lane(&self) -> String {
        let lane = self.target.split_once('@').map_or(self.target.as_str(), |(_, lane)| lane);
        lane.to_ascii_lowercase()
    }
}

/// A job and the lease of it.
#[derive(Debug)]
pub struct ClaimedJob {
    /// The job.
    pub job: Job,
    /// The lease, for as long as it is renewed.
    pub lease: Lease,
}

/// A selection of jobs that are due.
#[derive(Clone, Debug)]
pub struct DueJobs {
    /// The kinds of one handler. Kinds of a newer version are left to it.
    pub kinds: &'static [&'static str],
    /// Lanes whose jobs are not claimed, in lower case.
    pub without_lanes: Vec<String>,
    /// Jobs that the worker still runs. Their leases expire when the machine stands still or its
    /// clock jumps.
    pub without_jobs: Vec<JobId>,
    /// The current time.
    pub now: UtcTime,
}

/// A claim of jobs that are due.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The jobs that may be claimed.
    pub due: DueJobs,
    /// The token of the leases.
    pub lease: LeaseId,
    /// The largest number of jobs that are claimed.
    pub limit: i64,
    /// The order of the claim.
    pub order: ClaimOrder,
    /// The time at which the leases end.
    pub until: UtcTime,
}

/// Jobs that are claimed first. Those of one kind are claimed by the time at which they were due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOrder {
    /// Jobs without an attempt.
    FreshFirst,
    /// Jobs that were deferred.
    DeferredFirst,
}

/// Times of a new job.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    enqueued_at: UtcTime,
    due_at: UtcTime,
}

impl Schedule {
    /// Returns the times of a job that is enqueued `now` and not due before `due_at`.
    pub fn new(now: UtcTime, due_at: UtcTime) -> Self {
        Self { enqueued_at: now, due_at: due_at.max(now) }
    }
}

/// The times of a job that is due at once.
impl From<UtcTime> for Schedule {
    fn from(now: UtcTime) -> Self {
        Self::new(now, now)
    }
}

/// Inserts a job. Workers are woken after the commit.
pub fn enqueue(conn: &mut Conn, job: &NewJob<'_>, schedule: impl Into<Schedule>) -> Result<()> {
    let Schedule { enqueued_at, due_at } = schedule.into();
    diesel::insert_into(outbox::table)
        .values((
            outbox::id.eq(JobId::new(enqueued_at).as_str()),
            outbox::kind.eq(job.kind),
            outbox::recipient.eq(job.target),
            outbox::locale.eq(job.locale),
            outbox::subject_id.eq(job.subject_id),
            outbox::status.eq(JobStatus::Queued.name()),
            outbox::attempts.eq(0),
            outbox::next_attempt_at.eq(due_at.micros()),
            outbox::created_at.eq(enqueued_at.micros()),
            outbox::user_id.eq(job.about.map(|user| user.0)),
            outbox::rank.eq(job.rank),
        ))
        .execute(conn)?;
    wake_up::note_enqueued();
    Ok(())
}

/// Condition and index of jobs that were never deferred.
const IS_FRESH: (&str, &str) = ("next_attempt_at <= created_at", "outbox_fresh");
/// Condition and index of jobs that were deferred, for another attempt or for a limit.
const IS_DEFERRED: (&str, &str) = ("next_attempt_at > created_at", "outbox_waiting");

/// Returns the name of the function that returns the position of the second text in the first, or
/// 0.
const fn position(conn: &Conn) -> &'static str {
    match conn {
        Conn::Postgres(_) => "strpos",
        Conn::Sqlite(_) => "instr",
    }
}

/// The condition that a job has one of the kinds, is not leased at `$1`, is in no lane of `$2`, and
/// is none of `$3`.
fn is_claimable(conn: &Conn, kinds: &[&'static str]) -> String {
    let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
    let (kinds, position) = (kinds.join(", "), position(conn));
    format!(
        "next_attempt_at <= $1 AND kind IN ({kinds}) AND (lease_until IS NULL OR lease_until <= $1) \
         AND {position}($2, '@' || lower(substr(recipient, {position}(recipient, '@') + 1)) || '@') = 0 \
         AND {position}($3, '@' || id || '@') = 0"
    )
}

/// Returns the names in one text, each between `@`: the statement is the same for any number.
fn joined<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().flat_map(|name| ["@", name, "@"]).collect()
}

impl DueJobs {
    fn lanes(&self) -> String {
        joined(self.without_lanes.iter().map(String::as_str))
    }

    fn jobs(&self) -> String {
        joined(self.without_jobs.iter().map(JobId::as_str))
    }
}

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = Bool)]
    found: bool,
}

/// Returns whether one of the jobs is due that no worker has claimed.
pub fn is_any_due(conn: &mut Conn, due: &DueJobs) -> Result<bool> {
    let is_claimable = is_claimable(conn, due.kinds);
    let any = diesel::sql_query(format!(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE status = 'queued' AND {is_claimable}) AS found"
    ));
    let any = any.bind::<BigInt, _>(due.now.micros());
    let any = any.bind::<Text, _>(due.lanes()).bind::<Text, _>(due.jobs());
    Ok(any.get_result::<Found>(conn)?.found)
}

/// Returns whether a job exists. A deletion of its account erases it, and so does the purge.
pub fn is_there(conn: &mut Conn, job: &JobId) -> Result<bool> {
    Ok(diesel::select(exists(outbox::table.find(job.as_str()))).get_result(conn)?)
}

/// Claims jobs that are due and not claimed by another worker.
pub fn claim_due(conn: &mut Conn, claim: &Claim) -> Result<Vec<ClaimedJob>> {
    let order = match claim.order {
        ClaimOrder::FreshFirst => [IS_FRESH, IS_DEFERRED],
        ClaimOrder::DeferredFirst => [IS_DEFERRED, IS_FRESH],
    };
    let mut claimed = Vec::new();
    for those in order {
        let limit = claim.limit - i64::try_from(claimed.len()).unwrap_or(i64::MAX);
        if limit > 0 {
            claimed.extend(claim_those(conn, claim, those, limit)?);
        }
    }
    Ok(claimed)
}

#[derive(QueryableByName)]
struct ClaimedRow {
    #[diesel(sql_type = Text)]
    id: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Text)]
    recipient: String,
    #[diesel(sql_type = Text)]
    locale: String,
    #[diesel(sql_type = Text)]
    subject_id: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    user_id: Option<i64>,
    #[diesel(sql_type = BigInt)]
    rank: i64,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Integer)]
    unconfirmed: i32,
    #[diesel(sql_type = BigInt)]
    next_attempt_at: i64,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
}

fn claim_those(
    conn: &mut Conn,
    claim: &Claim,
    (condition, index): (&str, &str),
    limit: i64,
) -> Result<Vec<ClaimedJob>> {
    // SQLite would choose the index of all queued jobs.
    let (indexed_by, skip_locked) = match conn {
        Conn::Postgres(_) => (String::new(), "FOR UPDATE SKIP LOCKED"),
        Conn::Sqlite(_) => (format!("INDEXED BY {index}"), ""),
    };
    let is_claimable = is_claimable(conn, claim.due.kinds);
    // SQLite numbers `$n` by the order in which they first appear, whatever n is.
    let rows = diesel::sql_query(format!(
        "WITH due AS MATERIALIZED ( \
             SELECT id FROM outbox {indexed_by} WHERE status = 'queued' AND {condition} \
             AND {is_claimable} ORDER BY next_attempt_at, id LIMIT $4 {skip_locked}) \
         UPDATE outbox SET lease_token = $5, lease_until = $6 WHERE id IN (SELECT id FROM due) \
         RETURNING id, kind, recipient, locale, subject_id, user_id, rank, attempts, unconfirmed, \
         next_attempt_at, created_at"
    ))
    .bind::<BigInt, _>(claim.due.now.micros())
    .bind::<Text, _>(claim.due.lanes())
    .bind::<Text, _>(claim.due.jobs())
    .bind::<BigInt, _>(limit)
    .bind::<Text, _>(claim.lease.as_str())
    .bind::<BigInt, _>(claim.until.micros())
    .load::<ClaimedRow>(conn)?;
    Ok(rows.into_iter().map(|row| claimed_job(row, &claim.lease)).collect())
}

fn claimed_job(row: ClaimedRow, token: &LeaseId) -> ClaimedJob {
    let job = Job {
        id: JobId(row.id),
        kind: row.kind,
        target: row.recipient,
        locale: row.locale,
        subject_id: row.subject_id,
        about: row.user_id.map(UserId),
        rank: row.rank,
        attempts: row.attempts,
        unconfirmed: row.unconfirmed,
        was_deferred: row.next_attempt_at > row.created_at,
        created_at: UtcTime::from_micros(row.created_at),
        lease: token.clone(),
    };
    let lease = Lease::of(job.id.clone(), token.clone());
    ClaimedJob { job, lease }
}
