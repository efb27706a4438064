//! Rate limits. Uses are counted in the database before the work that they cost, for all instances
//! together. No limit locks a user out permanently: failures of others cause waits that end, known
//! devices have their own counters, and sessions and verifications by mail are not counted with
//! log-ins.

pub(crate) mod attempts;
pub(crate) mod release;
mod reserve;

use std::fmt::Display;

use self::reserve::{Reached, Reserved, judge};
use super::{Error, Flows, Result, bounds::Bounds};
use crate::domain::{Counted, Counter, Device};
use crate::store::{Conn, WriteKind, limits};

pub(crate) use attempts::Attempt;
pub(super) use attempts::{account_of, requester, reset_failed_logins, start_cooldown};
pub(super) use reserve::{reserve, reserve_all};

impl Flows {
    /// Counts one use on each counter, then runs `work`. On a temporary error the uses are
    /// released.
    ///
    /// # Errors
    /// [`Error::RateLimited`] if a counter is at its limit; `work` is not done.
    pub(crate) fn count<T>(
        &self,
        counters: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.reserve_leniently(counters.clone())?;
        self.do_counted(counters, work)
    }

    /// Runs `work` of a request that is already counted on `counters`. On a temporary error the
    /// uses are released.
    pub(crate) fn do_counted<T>(
        &self,
        counters: Vec<Counter>,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let outcome = work();
        if outcome.as_ref().is_err_and(Error::is_temporary) {
            self.release(counters);
        }
        outcome
    }

    fn reserve_leniently(&self, counters: Vec<Counter>) -> Result<Reserved> {
        let Some(bounds) = self.bounds().filter(|_| !counters.is_empty()) else {
            return Ok(Reserved::default());
        };
        if let [counter] = &counters[..]
            && !counter.counted.is_guess()
            && !counter.counted.is_lenient()
        {
            return self.reserve_alone(&bounds, counter);
        }
        let (secrets, now) = (self.secrets.clone(), self.now());
        // Counts may be lost in a power failure. They must not wait for the disk, since all uses of
        // a counter wait for each other.
        self.db.write_as(WriteKind::Lazy, move |conn| {
            reserve_all(conn, &secrets, &bounds, counters, now)
        })
    }

    /// Counts one use outside a transaction. Uses beyond the limit are refused by their number, so
    /// the wait need not be stored by the same statement.
    fn reserve_alone(&self, bounds: &Bounds, counter: &Counter) -> Result<Reserved> {
        let (name, now) = (self.secrets.counter_name(counter), self.now());
        let window_ends = bounds.limits.window_ends(counter.counted, now);
        let counting = self.db.use_counter(&name, window_ends, now)?;
        let (_, reached) = judge(bounds, counter, counting, now)?;
        let Some(Reached { hit, meanwhile }) = reached else { return Ok(Reserved::default()) };
        // The next uses are refused by their number too, if the wait is not stored.
        let set_wait = move |conn: &mut Conn| limits::set_wait(conn, &name, meanwhile);
        if let Err(error) = self.db.write_as(WriteKind::LazyStatement, set_wait) {
            tracing::warn!(%error, "the wait of a limit is not stored");
        }
        Ok(Reserved { reached: vec![hit], ..Reserved::default() })
    }

    /// Counts one use, then runs `work`, which is one statement on Postgres. There the use has its
    /// own transaction: in that of `work`, it would lock the counter until the commit is on disk.
    pub(super) fn write_counted<T: Send + 'static>(
        &self,
        counter: Counter,
        work: impl FnOnce(&mut Conn) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        if self.db.has_one_writer() {
            let (secrets, bounds, now) = (self.secrets.clone(), self.bounds(), self.now());
            return self.db.write(move |conn| {
                if let Some(bounds) = &bounds {
                    reserve(conn, &secrets, bounds, vec![counter], now)?;
                }
                work(conn)
            });
        }
        self.count(vec![counter], || self.db.write_as(WriteKind::DurableStatement, work))
    }

    /// Counts the hash of a password for the caller with that id, as `counted` and by network, then
    /// runs `work`. If the service is overloaded, the uses are released.
    pub(super) fn count_hashes<T>(
        &self,
        counted: Counted,
        id: impl Display,
        device: &Device,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let counters = vec![
            Counter::new(counted, id.to_string()),
            Counter::new(Counted::HashesOfNetwork, &device.network),
        ];
        self.count(counters, work)
    }
}
