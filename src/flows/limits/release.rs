//! Release of uses after a request that the service failed to serve. If the database fails too, the
//! uses are kept in memory and released once it responds.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::domain::{CLOCKS_DIFFER, Counted, Counter, MAILBOX_LATE, UtcTime};
use crate::flows::{Error, Flows, Result};
use crate::store::WriteKind;
use crate::store::limits::{self, Returned};

/// Largest number of uses that are kept in memory: several times those of all requests that can be
/// in progress.
const MOST_UNRELEASED: usize = 8192;

/// Uses that could not be released yet.
#[derive(Debug, Default)]
pub(crate) struct Unreleased(Mutex<Vec<Release>>);

/// Change of a counter.
#[derive(Clone, Copy, Debug)]
enum Change {
    /// The use does not count.
    Return,
    /// No earlier use counts any more.
    Reset,
    /// The next request may use the place.
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
        let space = MOST_UNRELEASED.saturating_sub(kept.len());
        if releases.len() > space {
            tracing::warn!(count = releases.len() - space, "attempts stay counted: too many wait");
        }
        kept.extend(releases.into_iter().take(space));
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
        let Some(limits) = &self.policy.limits else { return Ok(()) };
        // Several requests may have used one counter.
        let (mut returned, mut late) = (BTreeMap::new(), Vec::new());
        for Release { counter, change, ordered_at } in releases {
            let name = self.secrets.counter_name(counter);
            let window = limits.rate(counter.counted).window;
            let uses = match change {
                Change::Return => 1,
                Change::Reset => Returned::ALL,
                Change::ShortenWait => {
                    late.push(name);
                    continue;
                }
            };
            // Another instance may have begun the window.
            let window_ends_by = ordered_at.after(window + CLOCKS_DIFFER);
            let known =
                returned.entry(name.clone()).or_insert(Returned { name, uses: 0, window_ends_by });
            known.uses = known.uses.saturating_add(uses);
            known.window_ends_by = known.window_ends_by.max(window_ends_by);
        }
        let returned: Vec<Returned> = returned.into_values().collect();
        if late.is_empty() {
            return Ok(self.db.write_as(WriteKind::LazyStatement, move |conn| {
                limits::release(conn, &returned)
            })?);
        }
        self.db.write_as(WriteKind::Lazy, move |conn| {
            limits::release(conn, &returned)?;
            for name in &late {
                limits::shorten_wait(conn, name, MAILBOX_LATE)?;
            }
            Ok::<_, Error>(())
        })
    }
}
