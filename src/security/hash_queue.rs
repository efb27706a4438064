//! The queue of password hashes, fair to all clients: one hash at a time for each account, a share
//! of the work each for known devices and for other clients, and in each share the networks in
//! turn. When a share is full, a job of the network with the most jobs is refused in favour of a
//! network with fewer. In one network, a job of the account with the most jobs is refused.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Waiting jobs of networks per thread. A cost-12 hash takes a quarter of a second, so a full queue
/// is a wait of about four seconds.
const JOBS_PER_THREAD: usize = 16;
/// Waiting jobs per thread that are reserved for known devices.
const RESERVED_PER_THREAD: usize = 8;
/// Waiting jobs of one account on known devices, whatever their number.
const PLACES_OF_ACCOUNT: usize = 3;
/// Jobs of known devices that run in a row while others wait: two thirds of the work.
const KNOWN_IN_A_ROW: u32 = 2;

/// The client of a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The account: the user id on a known device, otherwise the log-in name as submitted. Its
    /// hashes are computed one at a time.
    pub account: String,
    /// The lane that the job waits in.
    pub lane: Lane,
}

/// A part of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Devices on which the user has logged in before, by network.
    KnownDevice(String),
    /// Other clients, by network: an IPv4 /24 or an IPv6 /48.
    Network(String),
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

/// A job. Its argument says whether it runs or is refused.
pub(super) type Job = Box<dyn FnOnce(Start) + Send>;

/// The start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Run,
    Refused,
}

/// The queue, shared by the callers and the threads.
pub(super) struct HashQueue {
    state: Mutex<State>,
    changed: Condvar,
    jobs: usize,
    reserved: usize,
}

/// A job with its account and the time of its submission.
struct Waiting {
    account: String,
    job: Job,
    since: Instant,
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

/// The jobs of one share.
#[derive(Default)]
struct Share {
    networks: HashMap<String, VecDeque<Waiting>>,
    /// The networks with jobs, the next one first.
    turns: VecDeque<String>,
    /// The number of jobs.
    waiting: usize,
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
            Lane::KnownDevice(_) if self.known.jobs_of(&waiting.account) >= PLACES_OF_ACCOUNT => {
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

impl Share {
    /// Adds a job to a share of `places`, and returns the job that is refused.
    fn admit(&mut self, network: String, job: Waiting, places: usize) -> Option<Job> {
        let mut refused = None;
        if self.waiting >= places {
            match self.make_room(&network, &job.account) {
                Some(other) => refused = Some(other.job),
                None => return Some(job.job),
            }
        }
        let lane = self.networks.entry(network.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(network);
        }
        lane.push_back(job);
        self.waiting += 1;
        refused
    }

    /// Removes a job of the network with the most jobs, if `network` has fewer, or one of the
    /// account with the most jobs in `network`, if `account` has fewer.
    fn make_room(&mut self, network: &str, account: &str) -> Option<Waiting> {
        let own = self.networks.get(network).map_or(0, VecDeque::len);
        let longest = self.networks.values_mut().max_by_key(|lane| lane.len());
        let removed = match longest.filter(|lane| lane.len() > own + 1) {
            Some(lane) => lane.pop_back(),
            None => remove_repeated(self.networks.get_mut(network)?, account),
        };
        self.waiting -= usize::from(removed.is_some());
        removed
    }

    fn jobs_of(&self, account: &str) -> usize {
        self.networks.values().flatten().filter(|it| it.account == account).count()
    }

    fn next(&mut self, busy: &HashSet<String>) -> Option<Waiting> {
        for _ in 0..self.turns.len() {
            let network = self.turns.pop_front()?;
            let lane = self.networks.get_mut(&network)?;
            let next = take_idle(lane, busy);
            if lane.is_empty() {
                self.networks.remove(&network);
            } else {
                self.turns.push_back(network);
            }
            if next.is_some() {
                self.waiting -= 1;
                return next;
            }
        }
        None
    }
}

/// Removes the last job of the account with the most jobs, if that has two more than `account`.
fn remove_repeated(lane: &mut VecDeque<Waiting>, account: &str) -> Option<Waiting> {
    let count = |name: &str| lane.iter().filter(|it| it.account == name).count();
    let (jobs, at) = lane.iter().enumerate().map(|(at, it)| (count(&it.account), at)).max()?;
    if jobs > count(account) + 1 { lane.remove(at) } else { None }
}

fn take_idle(lane: &mut VecDeque<Waiting>, busy: &HashSet<String>) -> Option<Waiting> {
    let at = lane.iter().position(|it| !busy.contains(&it.account))?;
    lane.remove(at)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    fn from(account: &str, network: &str) -> Requester {
        Requester { account: account.into(), lane: Lane::Network(network.into()) }
    }

    fn known(account: &str, network: &str) -> Requester {
        Requester { account: account.into(), lane: Lane::KnownDevice(network.into()) }
    }

    /// Submits jobs that record their name when they run or are refused. Nothing takes them yet.
    struct Bench {
        queue: HashQueue,
        tell: mpsc::Sender<(String, Start)>,
        told: mpsc::Receiver<(String, Start)>,
    }

    impl Bench {
        fn new() -> Self {
            let (tell, told) = mpsc::channel();
            Self { queue: HashQueue::new(1), tell, told }
        }

        fn submit(&self, name: &str, requester: Requester) {
            let (tell, name) = (self.tell.clone(), name.to_owned());
            self.queue.submit(requester, Box::new(move |start| tell.send((name, start)).unwrap()));
        }

        fn run_all(&self) -> Vec<String> {
            while self.queue.load().networks + self.queue.load().known_devices > 0 {
                self.queue.run_next(|job| job(Start::Run));
            }
            self.told.try_iter().filter(|it| it.1 == Start::Run).map(|it| it.0).collect()
        }

        fn refused(&self) -> Vec<String> {
            self.told.try_iter().filter(|it| it.1 == Start::Refused).map(|it| it.0).collect()
        }
    }

    #[test]
    fn known_devices_have_two_thirds_of_the_work_and_networks_take_turns() {
        let bench = Bench::new();
        for number in 0..3 {
            bench.submit(&format!("a{number}"), from(&format!("a{number}"), "a"));
        }
        bench.submit("b0", from("b0", "b"));
        for number in 0..4 {
            bench.submit(&format!("k{number}"), known(&format!("k{number}"), "a"));
        }
        assert_eq!(bench.run_all(), ["k0", "k1", "a0", "k2", "k3", "b0", "a1", "a2"]);
    }

    #[test]
    fn a_full_queue_gives_way_to_networks_with_fewer_jobs_and_keeps_places_for_known_devices() {
        let bench = Bench::new();
        for number in 0..20 {
            bench.submit(&format!("a{number}"), from(&format!("a{number}"), "a"));
        }
        assert_eq!(bench.refused(), ["a16", "a17", "a18", "a19"]);
        bench.submit("b0", from("b0", "b"));
        assert_eq!(bench.refused(), ["a15"]);
        for number in 0..9 {
            bench.submit(&format!("k{number}"), known(&format!("k{number}"), "a"));
        }
        assert_eq!(bench.refused(), ["k8"]);
        bench.submit("l0", known("l0", "b"));
        assert_eq!(bench.refused(), ["k7"]);
        assert_eq!(bench.run_all().len(), 24);
    }

    #[test]
    fn one_account_has_few_places_and_gives_way_to_others_in_its_network() {
        let bench = Bench::new();
        for account in ["a", "b", "c"] {
            for number in 0..4 {
                bench.submit(&format!("{account}{number}"), known(account, "x"));
            }
        }
        // Three places each, and eight in all.
        assert_eq!(bench.refused(), ["a3", "b3", "c2", "c3"]);
        bench.submit("d0", known("d", "x"));
        assert_eq!(bench.refused(), ["b2"]);
        assert_eq!(bench.run_all(), ["a0", "a1", "a2", "b0", "b1", "c0", "c1", "d0"]);
    }

    #[test]
    fn of_one_account_one_hash_is_computed_at_a_time() {
        let queue = Arc::new(HashQueue::new(4));
        let (tell, told) = mpsc::channel();
        let (go_on, waits) = mpsc::channel::<()>();
        let waits = Arc::new(Mutex::new(waits));
        for number in 0..3 {
            let (tell, waits) = (tell.clone(), Arc::clone(&waits));
            let job: Job = Box::new(move |_| {
                tell.send(number).unwrap();
                waits.lock().unwrap().recv().unwrap();
            });
            queue.submit(from("mina", &number.to_string()), job);
        }
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                std::thread::spawn(move || while queue.run_next(|job| job(Start::Run)) {})
            })
            .collect();
        for number in 0..3 {
            assert_eq!(told.recv().unwrap(), number);
            assert!(told.try_recv().is_err(), "another one runs beside it");
            assert_eq!(queue.lock().busy.len(), 1);
            go_on.send(()).unwrap();
        }
        queue.close();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
