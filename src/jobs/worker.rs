//! A worker claims jobs that are due and runs them. Any number of instances share a queue: a job
//! belongs to the worker that claimed it while the lease is renewed. So it is done once, unless an
//! instance dies between the success of an attempt and the storage of its conclusion.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use super::handler::{Handler, Progress, Stage};
use super::lanes::{LaneGuard, SharedLanes, SlowLanes};
use crate::clock::Clock;
use crate::domain::{JobId, LeaseId, UtcTime};
use crate::store::jobs::lease::{self, Completion, Conclusion, Deferral, Lease};
use crate::store::jobs::{self, Claim, ClaimOrder, ClaimedJob, DueJobs};
use crate::store::{self, Db, WriteKind};

/// Interval of polls without a wake-up: for retries, and for jobs of other instances.
const POLL: Duration = Duration::from_secs(1);
/// Short, so that another instance soon takes over the jobs of one that died.
const LEASE: Duration = Duration::from_secs(20);
const RENEWAL: Duration = Duration::from_secs(5);
/// One of this many claims begins with deferred jobs, so that new jobs do not starve them.
const DEFERRED_FIRST_EVERY: usize = 4;

/// Error of a job that is deferred until its lane opens.
const LANE_BLOCKED: &str = "waits for other jobs with the same destination";

/// A worker of one queue.
#[derive(Clone)]
pub struct Worker<H> {
    /// The database with the queue.
    pub db: Db,
    /// The source of `now`.
    pub clock: Arc<dyn Clock>,
    /// The handler of the jobs.
    pub handler: H,
    /// Time for running attempts to finish after the stop signal.
    pub stop_timeout: Duration,
}

/// Signal that cancels the running attempts: the sender of the channel is dropped.
type Cancellation = watch::Receiver<()>;

impl<H: Handler> Worker<H> {
    /// Runs until `stop` is done, then awaits the running attempts. Those that take longer
    /// than [`Self::stop_timeout`] are cancelled, and other workers can claim their jobs at once.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (running, cancellation) = watch::channel(());
        let mut attempts = JoinSet::new();
        let mut enqueued = self.db.enqueued();
        let lanes = SharedLanes::new(self.handler.capacity());
        let mut claims = 0;
        let mut polls = interval_at(Instant::now() + POLL, POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(stop);
        loop {
            let has_deferred =
                self.start_due(&mut attempts, &lanes, &mut claims, &cancellation).await;
            let is_free = lanes.lock().free_slots(self.clock.now()) > 0;
            tokio::select! {
                () = &mut stop => break,
                () = ready(()), if has_deferred => {}
                Some(_) = attempts.join_next() => {}
                Ok(()) = enqueued.changed(), if is_free => {}
                _ = polls.tick() => self.handler.release_idle().await,
            }
        }
        if timeout(self.stop_timeout, join_all(&mut attempts)).await.is_err() {
            tracing::warn!(
                queue = H::NAME,
                jobs = attempts.len(),
                "the stop time-out is over; cancelling the running attempts"
            );
            drop(running);
            join_all(&mut attempts).await;
        }
        self.handler.close().await;
    }

    /// Claims as many jobs as may begin, and starts each at once, since a lease is short. Returns
    /// whether one was deferred, so that others may be due.
    async fn start_due(
        &self,
        attempts: &mut JoinSet<()>,
        lanes: &SharedLanes,
        claims: &mut usize,
        cancellation: &Cancellation,
    ) -> bool {
        let mut has_deferred = false;
        let now = self.clock.now();
        let free = lanes.lock().free_slots(now);
        for _ in 0..free {
            *claims += 1;
            let order = if claims.is_multiple_of(DEFERRED_FIRST_EVERY) {
                ClaimOrder::DeferredFirst
            } else {
                ClaimOrder::FreshFirst
            };
            let Some(claimed) = self.claim_next(lanes, now, order).await else { break };
            match lanes.begin(&claimed.job, now) {
                Ok(lane) => {
                    attempts.spawn(self.clone().attempt(claimed, lane, cancellation.clone()));
                }
                Err(resumes_at) => {
                    self.defer(claimed, resumes_at).await;
                    has_deferred = true;
                }
            }
        }
        has_deferred
    }

    /// Claims a job. Those of slow lanes come last, unless it is the turn of deferred jobs.
    async fn claim_next(
        &self,
        lanes: &SharedLanes,
        now: UtcTime,
        order: ClaimOrder,
    ) -> Option<ClaimedJob> {
        let [blocked, blocked_or_slow] = [SlowLanes::Included, SlowLanes::Excluded]
            .map(|slow| lanes.lock().blocked_lanes(now, slow));
        let due = |without_lanes| {
            let without_jobs = lanes.running();
            DueJobs { kinds: H::KINDS, without_lanes, without_jobs, now }
        };
        if order == ClaimOrder::FreshFirst && blocked_or_slow.len() > blocked.len() {
            let claimed = self.claim(due(blocked_or_slow), order).await;
            if claimed.is_some() {
                return claimed;
            }
        }
        self.claim(due(blocked), order).await
    }

    async fn claim(&self, due: DueJobs, order: ClaimOrder) -> Option<ClaimedJob> {
        let (lease, until) = (LeaseId::new(due.now), due.now.after(LEASE));
        let claim = Claim { due, lease, limit: 1, order, until };
        let claimed = self
            .store(move |db| {
                // Most polls find nothing; they must not take SQLite's write lock.
                if !db.read(|conn| jobs::is_any_due(conn, &claim.due))? {
                    return Ok(Vec::new());
                }
                // An attempt begins with a durable write that confirms the claim.
                db.write_as(WriteKind::Lazy, move |conn| jobs::claim_due(conn, &claim))
            })
            .await;
        match claimed {
            Ok(jobs) => jobs.into_iter().next(),
            Err(error) => {
                tracing::warn!(queue = H::NAME, %error, "cannot claim jobs");
                None
            }
        }
    }

    /// Defers a job of a blocked lane until its pause ends: a claim excludes a limited number of
    /// lanes.
    async fn defer(&self, claimed: ClaimedJob, resumes_at: UtcTime) {
        let conclusion = Conclusion::Deferred(Deferral {
            error: LANE_BLOCKED.to_owned(),
            next_attempt_at: resumes_at,
            attempts: 0,
            unconfirmed: 0,
        });
        self.store_conclusion(claimed.lease.conclude(conclusion, self.clock.now())).await;
    }

    /// Runs one attempt. Its slot in the lane is kept until the conclusion is stored.
    async fn attempt(self, claimed: ClaimedJob, lane: LaneGuard, mut cancellation: Cancellation) {
        let ClaimedJob { job, lease } = claimed;
        let progress = Progress::new(lane.is_slow());
        let conclusion = tokio::select! {
            biased;
            conclusion = self.handler.attempt(&job, &lane, &progress) => conclusion,
            never = self.renew_lease(&lease) => match never {},
            // No value is ever sent: the receiver wakes when the sender is dropped.
            _ = cancellation.changed() => if progress.stage() == Stage::Submitted {
                self.handler.conclude_cancelled(&job)
            } else {
                Conclusion::Released
            },
        };
        self.store_conclusion(lease.conclude(conclusion, self.clock.now())).await;
        drop(lane);
    }

    /// Renews the lease until the attempt ends.
    async fn renew_lease(&self, lease: &Lease) -> Infallible {
        loop {
            tokio::time::sleep(RENEWAL).await;
            let renewal = lease.renewal(self.clock.now().after(LEASE));
            let renewed =
                self.store(move |db| db.write(move |conn| lease::renew(conn, &renewal))).await;
            match renewed {
                Ok(true) => {}
                // A running attempt cannot be cancelled. Its conclusion will not be stored.
                Ok(false) => return pending().await,
                Err(error) => {
                    let job_id = lease.job();
                    tracing::warn!(queue = H::NAME, %job_id, %error, "cannot renew the lease of a job");
                }
            }
        }
    }

    /// Stores the conclusion of a lease. It is retried until it succeeds: a short outage of the
    /// database must not repeat a job that is done.
    async fn store_conclusion(&self, completion: Completion) {
        let job_id = completion.job().clone();
        loop {
            let completion = completion.clone();
            let stored = self
                .store(move |db| db.write(move |conn| lease::complete(conn, &completion)))
                .await;
            match stored {
                Ok(true) => return,
                Ok(false) => return self.log_unstored(&job_id).await,
                Err(error) => {
                    tracing::warn!(queue = H::NAME, %job_id, %error, "cannot store the conclusion of a job");
                    tokio::time::sleep(POLL).await;
                }
            }
        }
    }

    /// Logs that a conclusion has no lease any more: a deletion has erased the job, or another
    /// worker has claimed it.
    async fn log_unstored(&self, job_id: &JobId) {
        let id = job_id.clone();
        let is_there = self.store(move |db| db.read(|conn| jobs::is_there(conn, &id))).await;
        if matches!(is_there, Ok(false)) {
            tracing::info!(queue = H::NAME, %job_id, "a job was erased before its conclusion");
        } else {
            tracing::warn!(queue = H::NAME, %job_id, "the lease of a job expired before its conclusion");
        }
    }

    async fn store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> store::Result<T> + Send + 'static,
    ) -> store::Result<T> {
        let db = self.db.clone();
        tokio::task::spawn_blocking(move || work(&db))
            .await
            .unwrap_or_else(|panic| Err(store::Error::Internal(panic.to_string())))
    }
}

async fn join_all(attempts: &mut JoinSet<()>) {
    while attempts.join_next().await.is_some() {}
}
