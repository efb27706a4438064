//! Release of uses after a request that the service failed to serve. If the database fails too, the
//! uses are kept in memory and released once it responds.

use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::domain::{Counted, Counter, MAILBOX_LATE, UtcTime};
use crate::flows::{Error, Flows, Result};
use crate::store::{self, Conn, limits};

/// Largest number of uses that are kept in memory: several times those of all requests that can be
/// in progress.
const MOST_UNRELEASED: usize = 8192;

/// Uses that could not be released yet.
#[derive(Debug, Default)]
pub(crate) struct Unreleased(Mutex<Vec<Release>>);

/// A store function that changes a counter.
type ReleaseOrReset = fn(&mut Conn, &str) -> store::Result<()>;

#[derive(Clone, Debug)]
struct Release {
    counter: Counter,
    how: ReleaseOrReset,
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
            // Its place goes to the next request.
            Counted::MailboxLate => |conn, name| limits::shorten_wait(conn, name, MAILBOX_LATE),
            _ => limits::return_use,
        });
    }

    /// Releases the use of a guess that was not wrong.
    pub(super) fn reset_failures(&self, guesses: Vec<Counter>) {
        self.release_or_reset(guesses, |counted| match counted {
            Counted::FailedLoginsPerAccount => limits::return_use,
            _ => limits::clear,
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
    fn release_or_reset(&self, counters: Vec<Counter>, how: fn(Counted) -> ReleaseOrReset) {
        if self.policy.limits.is_none() || counters.is_empty() {
            return;
        }
        let ordered_at = self.now();
        let releases = counters.into_iter().map(|counter| {
            let how = how(counter.counted);
            Release { counter, how, ordered_at }
        });
        let releases: Vec<Release> = releases.collect();
        if let Err(error) = self.release_all(&releases) {
            tracing::warn!(%error, "a failed attempt stays counted until the database responds");
            self.unreleased.keep(releases);
        }
    }

    fn release_all(&self, releases: &[Release]) -> Result<()> {
        let names = releases.iter().map(|it| (it.how, self.secrets.counter_name(&it.counter)));
        let names: Vec<(ReleaseOrReset, String)> = names.collect();
        self.db.count(move |conn| {
            for (release, name) in &names {
                release(conn, name)?;
            }
            Ok::<_, Error>(())
        })
    }
}
