//! Handlers, which know the content of jobs.

use std::future::{Future, ready};

use super::lanes::{Capacity, LaneGuard};
use crate::store::jobs::Job;
use crate::store::jobs::lease::Conclusion;

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
    /// `lane`.
    fn attempt(&self, job: &Job, lane: &LaneGuard) -> impl Future<Output = Conclusion> + Send;

    /// Called about once a second: releases resources that no attempt has used lately.
    fn release_idle(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Called when the worker stops, after the last attempt.
    fn close(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}
