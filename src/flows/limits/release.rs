//! Release of uses after a request that the service failed to serve. If the database fails too, the
//! uses are kept in memory and released once it responds.

use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Counted, Counter, MAILBOX_LATE, UtcTime};
use crate::flows::{Flows, Result};
use crate::store::limits;

/// Largest number of uses that are kept in memory: several times those of all requests that can be
/// in progress.
const MOST_UNRELEASED: usize = 8192;

/// Uses that could not be released yet.
#[derive(Debug, Default)]
pub(crate) struct Unreleased(Mutex<Vec<Release>>);

/// What happens to a counter.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The use does not count.
    Return,
    /// No earlier use counts either.
    Reset,
    /// Its place goes to the next request.
    ShortenWait,
}

#[derive(Clone, Debug)]
struct Release {
    counter: Counter,
    change: Change,
    ordered_at: UtcTime,
}

impl Unreleased {
    fn keep(&self, releases: Vec<Release>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST_UNRELEASED.saturating_sub(kept.len());
        kept.extend(releases.into_iter().take(room));
    }

    fn take(&self) -> Vec<Release> {
        mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Flows {
    /// Releases the uses of an attempt that was not completed.
    pub(crate) fn release(&self, counters: Vec<Counter>) {
        self.release_or_reset(counters, |counted| match counted {
            Counted::MailboxLate => Change::ShortenWait,
            _ => Change::Return,
        });
    }

    /// Releases the use of a guess that was not wrong. After a failure, a user waits a little.
    pub(super) fn reset_failures(&self, guesses: Vec<Counter>) {
        self.release_or_reset(guesses, |counted| match counted {
            Counted::FailedLoginsPerAccount => Change::Return,
            _ => Change::Reset,
        });
    }

    /// Releases the uses that could not be released when their requests failed.
    pub fn release_unreleased(&self) -> Result<()> {
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        let now = self.now();
        let mut kept = self.unreleased.take();
        // The uses of a window that is over count no longer.
        kept.retain(|it| now < it.ordered_at.after(limits.rate(it.counter.counted).window));
        if kept.is_empty() {
            return Ok(());
        }
        let released = self.release_all(&kept);
        if released.is_err() {
            self.unreleased.keep(kept);
        }
        released
    }

    /// Releases uses. If the database fails, [`Self::release_unreleased`] does it later.
    fn release_or_reset(&self, counters: Vec<Counter>, change: fn(Counted) -> Change) {
        if self.policy.limits.is_none() || counters.is_empty() {
            return;
        }
        let ordered_at = self.now();
        let releases = counters.into_iter().map(|counter| {
            let change = change(counter.counted);
            Release { counter, change, ordered_at }
        });
        let releases: Vec<Release> = releases.collect();
        if let Err(error) = self.release_all(&releases) {
            tracing::warn!(%error, "a failed attempt stays counted until the database responds");
            self.unreleased.keep(releases);
        }
    }

    fn release_all(&self, releases: &[Release]) -> Result<()> {
        let (mut returned, mut reset, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for release in releases {
            let names = match release.change {
                Change::Return => &mut returned,
                Change::Reset => &mut reset,
                Change::ShortenWait => &mut late,
            };
            names.push(self.secrets.counter_name(&release.counter));
        }
        if late.is_empty() {
            return Ok(self
                .db
                .count_alone(move |conn| limits::release(conn, &returned, &reset))?);
        }
        Ok(self.db.count(move |conn| {
            for name in &late {
                limits::shorten_wait(conn, name, MAILBOX_LATE)?;
            }
            limits::release(conn, &returned, &reset)
        })?)
    }
}
