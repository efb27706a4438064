//! The queue of password hashes, fair to all clients. Each account has one hash at a time. Known
//! devices and other clients have a share of the work each, and in each share the networks take
//! turns. When a share is full, a job of the network with the most jobs is refused in favour of a
//! network with fewer; in one network, a job of the account with the most jobs. If no network has
//! more jobs than another, a job of the block of networks with the most jobs is refused in favour
//! of a block without any.

mod share;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use self::share::Origin;
pub(super) use self::share::{Job, Start};
use self::share::{Share, Waiting};

/// Waiting jobs of networks per thread. A cost-12 hash takes a quarter of a second, so a full queue
/// is a wait of about four seconds.
const JOBS_PER_THREAD: usize = 16;
/// Waiting jobs per thread that are reserved for known devices.
const RESERVED_PER_THREAD: usize = 8;
/// Largest number of waiting jobs of one account on known devices, however many devices it has.
const MAX_JOBS_OF_ACCOUNT: usize = 3;
/// Jobs of known devices that run in a row while others wait: two thirds of the work.
const KNOWN_IN_A_ROW: u32 = 2;

/// The client of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The account: the user id on a known device and in a session, otherwise the log-in name as
    /// submitted. Its hashes are computed one at a time. With the user id everywhere, the wait of a
    /// log-in by user name for one by e-mail address would reveal that both are of one account.
    pub account: String,
    /// The lane that the job waits in.
    pub lane: Lane,
}

/// A part of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Devices on which the user has logged in before, by network.
    KnownDevice(Origin),
    /// Other clients, by network.
    Network(Origin),
}

/// The load of the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashLoad {
    /// Waiting jobs of known devices.
    pub known_devices: usize,
    /// Waiting jobs of networks.
    pub networks: usize,
    /// Running jobs.
    pub running: usize,
    /// Number of refused jobs.
    pub refused: u64,
    /// Number of started jobs.
    pub begun: u64,
    /// Total waiting time of the started jobs.
    pub waited: Duration,
}

/// The queue, shared by the callers and the threads.
pub(super) struct HashQueue {
    state: Mutex<State>,
    changed: Condvar,
    jobs: usize,
    reserved: usize,
}

#[derive(Default)]
struct State {
    known: Share,
    networks: Share,
    /// The number of jobs of known devices that were started since the last one of another client.
    known_in_a_row: u32,
    /// The accounts whose hashes are being computed.
    busy: HashSet<String>,
    refused: u64,
    begun: u64,
    waited: Duration,
    is_closed: bool,
}

impl HashQueue {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            jobs: threads * JOBS_PER_THREAD,
            reserved: threads * RESERVED_PER_THREAD,
        }
    }

    /// Adds a job, or refuses it or another one.
    pub(super) fn submit(&self, requester: Requester, job: Job) {
        let refused = {
            let mut state = self.lock();
            let refused = state.admit(requester, job, self.jobs, self.reserved);
            state.refused += u64::from(refused.is_some());
            refused
        };
        match refused {
            Some(job) => job(Start::Refused),
            None => self.changed.notify_one(),
        }
    }

    /// Waits for the next job and runs it with `run`; returns false when the queue is closed.
    pub(super) fn run_next(&self, run: impl FnOnce(Job)) -> bool {
        let Waiting { account, job, .. } = {
            let mut state = self.lock();
            loop {
                if state.is_closed {
                    return false;
                }
                if let Some(next) = state.next() {
                    state.begun += 1;
                    state.waited += next.since.elapsed();
                    break next;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        run(job);
        self.lock().busy.remove(&account);
        // A job of the same account may have waited for this one.
        self.changed.notify_all();
        true
    }

    /// Returns the load of the queue.
    pub(super) fn load(&self) -> HashLoad {
        let state = self.lock();
        HashLoad {
            known_devices: state.known.waiting,
            networks: state.networks.waiting,
            running: state.busy.len(),
            refused: state.refused,
            begun: state.begun,
            waited: state.waited,
        }
    }

    /// Ends the threads after their current jobs.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Adds a job, and returns the job that is refused.
    fn admit(
        &mut self,
        requester: Requester,
        job: Job,
        jobs: usize,
        reserved: usize,
    ) -> Option<Job> {
        let Requester { account, lane } = requester;
        let waiting = Waiting { account, job, since: Instant::now() };
        match lane {
            Lane::KnownDevice(_) if self.known.jobs_of(&waiting.account) >= MAX_JOBS_OF_ACCOUNT => {
                Some(waiting.job)
            }
            Lane::KnownDevice(network) => self.known.admit(network, waiting, reserved),
            Lane::Network(network) => self.networks.admit(network, waiting, jobs),
        }
    }

    /// Takes the next job whose account is not being hashed.
    fn next(&mut self) -> Option<Waiting> {
        let is_known_turn = self.known_in_a_row < KNOWN_IN_A_ROW;
        let known = if is_known_turn { self.known.next(&self.busy) } else { None };
        let other = if known.is_none() { self.networks.next(&self.busy) } else { None };
        let is_known = other.is_none();
        let next = known.or(other).or_else(|| self.known.next(&self.busy))?;
        self.known_in_a_row = if is_known { self.known_in_a_row.saturating_add(1) } else { 0 };
        self.busy.insert(next.account.clone());
        Some(next)
    }
}
