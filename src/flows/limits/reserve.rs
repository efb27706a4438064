//! Counting of uses in the database, and the refusals of limits that are reached.

use crate::domain::secrets::Secrets;
use crate::domain::{Counted, Counter, LimitHit, Limits, UtcTime};
use crate::flows::bounds::Bounds;
use crate::flows::{Error, Result};
use crate::store::Conn;
use crate::store::limits::{self, Counting, Uses};

/// Outcome of counting uses.
#[derive(Default)]
pub(in crate::flows) struct Reserved {
    /// The limits that the uses reached.
    pub(super) reached: Vec<LimitHit>,
    /// The lenient limits that were reached before: these uses are not counted.
    pub(in crate::flows) exceeded: Vec<Counted>,
    /// The number of uses of each other counter.
    pub(super) uses: Vec<(Counted, i64)>,
}

impl Reserved {
    /// Returns the number of uses of a counter in its window, with the counted one.
    pub(in crate::flows) fn uses(&self, counted: Counted) -> i64 {
        self.uses.iter().find(|(it, _)| *it == counted).map_or(0, |(_, uses)| *uses)
    }
}

/// Counts one use on each counter. A refusal rolls the transaction back, so that none is counted.
pub(in crate::flows) fn reserve(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    counters: Vec<Counter>,
    now: UtcTime,
) -> Result<()> {
    reserve_all(conn, secrets, bounds, counters, now).map(drop)
}

/// Counts uses as [`reserve`] does, and returns the outcome.
pub(in crate::flows) fn reserve_all(
    conn: &mut Conn,
    secrets: &Secrets,
    bounds: &Bounds,
    mut counters: Vec<Counter>,
    now: UtcTime,
) -> Result<Reserved> {
    if counters.is_empty() {
        return Ok(Reserved::default());
    }
    // Of several refusals, the first one is the answer: always the same.
    counters.sort();
    let window_ends = |counter: &Counter| bounds.limits.window_ends(counter.counted, now);
    let uses: Vec<Uses> = counters
        .iter()
        .map(|it| Uses { name: secrets.counter_name(it), uses: 1, window_ends: window_ends(it) })
        .collect();
    let counted = limits::use_counters(conn, &uses, now)?;
    let mut reserved = Reserved::default();
    for ((counter, Uses { name, .. }), counting) in counters.iter().zip(&uses).zip(counted) {
        match judge(bounds, counter, counting, now) {
            Ok((uses, reached)) => {
                reserved.uses.push((counter.counted, uses));
                if let Some(Reached { hit, meanwhile }) = reached {
                    limits::set_wait(conn, name, meanwhile)?;
                    reserved.reached.push(hit);
                }
            }
            Err(Error::RateLimited(_)) if counter.counted.is_lenient() => {
                reserved.exceeded.push(counter.counted);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reserved)
}

/// A limit that a use has reached, and the time until which other uses wait for its outcome.
pub(super) struct Reached {
    pub(super) hit: LimitHit,
    pub(super) meanwhile: UtcTime,
}

/// Returns the number of a use that was counted, and the limit if the use reached it.
///
/// # Errors
/// The refusal if the use has to wait, also of a lenient limit.
pub(super) fn judge(
    bounds: &Bounds,
    counter: &Counter,
    counting: Counting,
    now: UtcTime,
) -> Result<(i64, Option<Reached>)> {
    let what = counter.counted;
    let rate = bounds.limits.rate(what);
    let used = match counting {
        Ok(used) => used,
        // Beyond a lenient limit a use continues with a lower priority.
        Err(until) if what.is_lenient() => return Err(Error::RateLimited(until.remaining(now))),
        Err(until) => {
            bounds.refuse(what, until.remaining(now))?;
            return Ok((rate.uses.saturating_add(1), None));
        }
    };
    let wait = bounds.limits.wait_after(what, used.uses, used.resets_at.remaining(now));
    if used.uses > rate.uses && !what.is_guess() && !what.is_lenient() {
        // The use that reached the limit has not stored its wait yet, or the limit was lowered.
        bounds.refuse(what, wait)?;
    }
    if wait.is_zero() {
        return Ok((used.uses, None));
    }
    let meanwhile = now.after(Limits::wait_meanwhile(what, wait));
    let hit = LimitHit { counter: counter.clone(), waits_until: now.after(wait) };
    Ok((used.uses, Some(Reached { hit, meanwhile })))
}
