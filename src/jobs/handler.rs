//! The side of a queue that knows what its jobs are about.

use std::future::{Future, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::lanes::{Capacity, LaneGuard};
use crate::store::jobs::Job;
use crate::store::jobs::lease::Conclusion;

/// How far an attempt has come, for a worker that has to stop before its end.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicBool>);

impl Progress {
    /// Notes that the attempt may succeed from now on although its end is not seen, or no longer.
    pub fn note(&self, may_have_succeeded: bool) {
        self.0.store(may_have_succeeded, Ordering::Release);
    }

    /// Returns whether the attempt may have succeeded.
    pub fn may_have_succeeded(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A handler of jobs. The worker claims jobs of its kinds, has each attempted, and stores the conclusion.
///
/// An attempt may run again although it succeeded: if the process dies before the conclusion is stored, the
/// lease expires and another worker claims the job. A handler that panics leaves the job to that, too.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The name of the queue in the log.
    const NAME: &'static str;
    /// The kinds of jobs that it handles; no other handler has them.
    const KINDS: &'static [&'static str];

    /// The number of attempts that may run at once.
    fn capacity(&self) -> Capacity;

    /// Attempts a job once and says what becomes of it. What the attempt showed about other jobs goes to `lane`,
    /// and that it may have succeeded before its end to `progress`.
    fn attempt(
        &self,
        job: &Job,
        lane: &LaneGuard,
        progress: &Progress,
    ) -> impl Future<Output = Conclusion> + Send;

    /// Says what becomes of a job whose attempt was cut off after it may have succeeded.
    fn cut_off(&self, job: &Job) -> Conclusion;

    /// Called about once a second: releases what no attempt has used lately.
    fn release_idle(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Called when the worker stops, after the last attempt.
    fn close(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
