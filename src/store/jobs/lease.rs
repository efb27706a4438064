//! Leases of jobs, and their conclusion.

use diesel::prelude::*;

use crate::domain::{JobId, LeaseId, UtcTime};
use crate::store::schema::outbox;
use crate::store::{Conn, Result};

/// State of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Waits to be done.
    Queued,
    /// Done.
    Done,
    /// No longer needed when it was claimed.
    Dropped,
    /// Failed permanently (a dead letter): refused for good, or after too many attempts.
    Failed,
}

impl JobStatus {
    /// The name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Done => "sent",
            Self::Dropped => "dropped",
            Self::Failed => "dead",
        }
    }

    /// Returns the status of a stored name; `None` if this version has no such status.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [Self::Queued, Self::Done, Self::Dropped, Self::Failed];
        all.into_iter().find(|status| status.name() == name)
    }
}

/// The exclusive right to work on a job, until it expires. It cannot be copied, and
/// [`Lease::conclude`] takes it by value, so a job has one conclusion. If it is dropped, it expires
/// and the job is due again.
#[derive(Debug)]
#[must_use = "a job without an end is done again when its lease expires"]
pub struct Lease {
    job: JobId,
    token: LeaseId,
}

impl Lease {
    pub(super) const fn of(job: JobId, token: LeaseId) -> Self {
        Self { job, token }
    }

    /// The job.
    pub const fn job(&self) -> &JobId {
        &self.job
    }

    /// Prepares the extension of the lease until this time, for [`renew`].
    pub fn renewal(&self, until: UtcTime) -> Renewal {
        Renewal { job: self.job.clone(), token: self.token.clone(), until }
    }

    /// Exchanges the lease for the conclusion of the job, to be stored by [`complete`].
    pub fn conclude(self, conclusion: Conclusion, now: UtcTime) -> Completion {
        Completion { job: self.job, token: self.token, conclusion, now }
    }
}

/// The conclusion of a job.
#[derive(Clone, Debug)]
pub enum Conclusion {
    /// The job is done.
    Done {
        /// The destination in the spelling that was used, if it differs from that of the job.
        target: Option<String>,
    },
    /// The job is no longer needed.
    Dropped,
    /// The job fails permanently, for this reason.
    Failed(String),
    /// The job waits for another attempt.
    Deferred(Deferral),
    /// The attempt was cancelled without effect. The job is as it was before.
    Released,
}

/// The cause of a deferral, its end, and the attempts that it adds.
#[derive(Clone, Debug)]
pub struct Deferral {
    /// The error of the attempt, for operators.
    pub error: String,
    /// The time of the next attempt.
    pub next_attempt_at: UtcTime,
    /// The number of attempts so far.
    pub attempts: i32,
    /// The number of attempts that may have succeeded.
    pub unconfirmed: i32,
}

/// An extension of a lease.
#[derive(Clone, Debug)]
pub struct Renewal {
    job: JobId,
    token: LeaseId,
    until: UtcTime,
}

/// The conclusion of a lease. Storing it twice has no effect, so it is retried until the database
/// has accepted it.
#[derive(Clone, Debug)]
pub struct Completion {
    job: JobId,
    token: LeaseId,
    conclusion: Conclusion,
    now: UtcTime,
}

impl Completion {
    /// The job.
    pub const fn job(&self) -> &JobId {
        &self.job
    }
}

#[diesel::dsl::auto_type(no_type_alias)]
fn leased<'a>(job: &'a JobId, token: &'a LeaseId) -> _ {
    let job: &'a str = job.as_str();
    let token: &'a str = token.as_str();
    outbox::table.find(job).filter(outbox::lease_token.eq(token))
}

/// Extends a lease. Returns false if another worker has claimed the job meanwhile.
pub fn renew(conn: &mut Conn, renewal: &Renewal) -> Result<bool> {
    let renewed = diesel::update(leased(&renewal.job, &renewal.token))
        .set(outbox::lease_until.eq(renewal.until.micros()))
        .execute(conn)?;
    Ok(renewed == 1)
}

/// Confirms a lease, in the first transaction of an attempt and before the attempt has an effect
/// elsewhere. Returns false if the job must be left alone: the database server failed and lost the
/// claim, or another worker has claimed the job meanwhile.
///
/// The claim is not on disk yet ([`WriteKind::Lazy`]). The row is written, though nothing changes,
/// so that the commit waits for the disk and covers the claim.
///
/// [`WriteKind::Lazy`]: crate::store::WriteKind::Lazy
pub fn confirm(conn: &mut Conn, job: &JobId, token: &LeaseId) -> Result<bool> {
    let confirmed = diesel::update(leased(job, token))
        .set(outbox::lease_until.eq(outbox::lease_until))
        .execute(conn)?;
    Ok(confirmed == 1)
}

/// Stores the conclusion of a lease. Returns false, and stores nothing, if another worker has
/// claimed the job meanwhile or the conclusion is already stored.
pub fn complete(conn: &mut Conn, completion: &Completion) -> Result<bool> {
    match &completion.conclusion {
        Conclusion::Done { target } => {
            end(conn, completion, JobStatus::Done, None, target.as_deref())
        }
        Conclusion::Dropped => end(conn, completion, JobStatus::Dropped, None, None),
        Conclusion::Failed(error) => end(conn, completion, JobStatus::Failed, Some(error), None),
        Conclusion::Deferred(deferral) => defer(conn, completion, deferral),
        Conclusion::Released => release(conn, completion),
    }
}

fn end(
    conn: &mut Conn,
    completion: &Completion,
    status: JobStatus,
    error: Option<&str>,
    target: Option<&str>,
) -> Result<bool> {
    let ended = diesel::update(leased(&completion.job, &completion.token))
        .set((
            outbox::status.eq(status.name()),
            outbox::attempts.eq(outbox::attempts + 1),
            outbox::lease_token.eq(None::<String>),
            outbox::lease_until.eq(None::<i64>),
            outbox::finished_at.eq(completion.now.micros()),
            outbox::last_error.eq(error),
            target.map(|target| outbox::recipient.eq(target)),
        ))
        .execute(conn)?;
    Ok(ended == 1)
}

fn defer(conn: &mut Conn, completion: &Completion, deferral: &Deferral) -> Result<bool> {
    let returned = diesel::update(leased(&completion.job, &completion.token))
        .set((
            outbox::attempts.eq(outbox::attempts + deferral.attempts),
            outbox::unconfirmed.eq(outbox::unconfirmed + deferral.unconfirmed),
            outbox::lease_token.eq(None::<String>),
            outbox::lease_until.eq(None::<i64>),
            outbox::next_attempt_at.eq(deferral.next_attempt_at.micros()),
            outbox::last_error.eq(&deferral.error),
        ))
        .execute(conn)?;
    Ok(returned == 1)
}

fn release(conn: &mut Conn, completion: &Completion) -> Result<bool> {
    let released = diesel::update(leased(&completion.job, &completion.token))
        .set((outbox::lease_token.eq(None::<String>), outbox::lease_until.eq(None::<i64>)))
        .execute(conn)?;
    Ok(released == 1)
}
