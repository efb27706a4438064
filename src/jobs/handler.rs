//! Handlers, which know the content of jobs.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lanes::{Capacity, LaneGuard};
use crate::store::jobs::Job;
use crate::store::jobs::lease::Conclusion;

/// Progress of an attempt, for a worker that has to stop before the attempt ends.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Records whether the attempt may have succeeded if it is cancelled now.
    pub fn note(&self, may_have_succeeded: bool) {
        self.0.store(may_have_succeeded, Ordering::Release);
    }

    /// Returns whether the attempt may have succeeded.
    pub fn may_have_succeeded(&self) -> bool {
        self.0.load(Ordering::Acquire)
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

    /// Attempts a job once and returns its conclusion. Consequences for other jobs are reported to
    /// `lane`. From the point where it may have succeeded, this is recorded in `progress`.
    fn attempt(
        &self,
        job: &Job,
        lane: &LaneGuard,
        progress: &Progress,
    ) -> impl Future<Output = Conclusion> + Send;

    /// Returns the conclusion of an attempt that was cancelled after it may have succeeded.
    fn cut_off(&self, job: &Job) -> Conclusion;

    /// Called about once a second: releases resources that no attempt has used lately.
    fn release_idle(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Called when the worker stops, after the last attempt.
    fn close(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
