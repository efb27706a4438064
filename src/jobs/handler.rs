//! Handlers, which know the content of jobs.

use std::future::{Future, ready};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::lanes::{Capacity, LaneGuard};
use crate::store::jobs::Job;
use crate::store::jobs::lease::Conclusion;

/// Stage of an attempt, which decides whether it can be cancelled without effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The attempt waits for a connection, or its outcome is known.
    #[default]
    Idle,
    /// The peer of the lane has had a request since then. If cancelled now, the attempt has no
    /// effect.
    AwaitingReply(Instant),
    /// The attempt may have succeeded if it is cancelled now.
    Submitted,
}

/// Progress of an attempt, read before it is cancelled.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    stage: Arc<Mutex<Stage>>,
    is_slow: bool,
}

impl Progress {
    /// Returns the progress of a new attempt, in a slow lane or in another one.
    pub fn new(is_slow: bool) -> Self {
        Self { stage: Arc::default(), is_slow }
    }

    /// Sets the stage.
    pub fn set_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// Returns the stage.
    pub fn stage(&self) -> Stage {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the lane was slow when the attempt began.
    pub const fn is_slow(&self) -> bool {
        self.is_slow
    }
}

/// A handler of jobs. The worker claims jobs of its kinds, runs an attempt of each, and stores the
/// conclusion.
///
/// An attempt may run again although it succeeded: if the process dies before the conclusion is
/// stored, the lease expires and another worker claims the job. The same happens after a panic of
/// the handler.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The name of the queue in the log.
    const NAME: &'static str;
    /// The kinds of jobs that it handles. No other handler has them.
    const KINDS: &'static [&'static str];

    /// The number of attempts that may run at once.
    fn capacity(&self) -> Capacity;

    /// Attempts a job once and returns its conclusion. The health of the peer is recorded
    /// in `lane`, the stages in `progress`.
    ///
    /// Before it has an effect elsewhere, it confirms the lease by a durable write
    /// ([`lease::confirm`](crate::store::jobs::lease::confirm)).
    fn attempt(
        &self,
        job: &Job,
        lane: &LaneGuard,
        progress: &Progress,
    ) -> impl Future<Output = Conclusion> + Send;

    /// Returns the conclusion of an attempt that was cancelled after it may have succeeded.
    fn conclude_cancelled(&self, job: &Job) -> Conclusion;

    /// Called about once a second: releases resources that no attempt has used lately.
    fn release_idle(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Called when the worker stops, after the last attempt.
    fn close(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
