//! Enforcement of limits: a refusal, or in development a report of the refusal of production.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Error, Flows, Result};
use crate::domain::{Counted, Limits};
use crate::telemetry::REFUSALS;

thread_local! {
    static CURRENT: RefCell<LimitReport> = RefCell::default();
}

/// A refusal of production that was not enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unenforced {
    /// The limit.
    pub counted: Counted,
    /// The time to wait; `None` if only a verification by mail lifts the limit.
    pub wait: Option<Duration>,
}

/// The refusals that were not enforced for one request. The default report records none.
#[derive(Clone, Debug, Default)]
pub struct LimitReport(Option<Arc<Mutex<Vec<Unenforced>>>>);

impl LimitReport {
    /// Returns a report that records refusals.
    pub fn open() -> Self {
        Self(Some(Arc::default()))
    }

    fn is_open(&self) -> bool {
        self.0.is_some()
    }

    /// Runs `work` on this thread with this report.
    pub fn scope<T>(self, work: impl FnOnce() -> T) -> T {
        // A thread serves many requests: a panic must not leave its report behind.
        struct Closing;
        impl Drop for Closing {
            fn drop(&mut self) {
                CURRENT.take();
            }
        }
        CURRENT.set(self);
        let _closing = Closing;
        work()
    }

    /// Returns the report of the request that this thread serves.
    pub(super) fn current() -> Self {
        CURRENT.with_borrow(Clone::clone)
    }

    pub(super) fn add(&self, refusal: Unenforced) {
        let Some(refusals) = &self.0 else { return };
        let mut refusals = refusals.lock().unwrap_or_else(PoisonError::into_inner);
        // A transaction that met a conflict runs again.
        refusals.retain(|known| known.counted != refusal.counted);
        refusals.push(refusal);
    }

    /// Returns the first refusal: production would have stopped there.
    pub fn first(&self) -> Option<Unenforced> {
        let refusals = self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.first().copied()
    }
}

/// The limits of the operator, and their enforcement.
#[derive(Clone)]
pub(crate) struct Bounds {
    pub(super) limits: Limits,
    /// The report that replaces refusals, if it is open.
    report: LimitReport,
}

impl Bounds {
    /// Refuses a use that has to wait, or records the refusal and returns `Ok`.
    pub(super) fn refuse(&self, counted: Counted, wait: Duration) -> Result<()> {
        let wait = wait.max(Duration::from_secs(1));
        let setting = counted.setting();
        let counted_name = counted.name();
        if self.are_reported() {
            let by_mail_only = counted == Counted::ConsecutiveFailedLogins;
            self.report.add(Unenforced { counted, wait: Some(wait).filter(|_| !by_mail_only) });
            tracing::info!(
                target: REFUSALS, counted = counted_name, setting,
                "over the limit: production would refuse this"
            );
            return Ok(());
        }
        tracing::info!(
            target: REFUSALS, counted = counted_name, setting, "refused: over the limit"
        );
        Err(match counted {
            Counted::ConsecutiveFailedLogins => Error::ProofRequired,
            _ => Error::RateLimited(wait),
        })
    }

    /// Returns whether refusals are only reported.
    pub(super) fn are_reported(&self) -> bool {
        self.report.is_open()
    }
}

impl Flows {
    /// Returns the limits for the request that this thread serves; `None` if there are none.
    pub(crate) fn bounds(&self) -> Option<Bounds> {
        self.policy.limits.map(|limits| Bounds { limits, report: LimitReport::current() })
    }
}
