//! The queue of passwords that wait to be hashed. No client can keep the others from theirs: one
//! hash at a time for each account, a share of the work each for known devices and for the others,
//! and in each share the networks in turn. When a share is full, a job of the network with the most
//! jobs gives way to one of a network with fewer, or a job of the account with the most jobs to one
//! of another account in the same network.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The jobs of networks that wait for each thread. A cost-12 hash takes a quarter of a second, so a
/// full queue is a wait of about four seconds.
const JOBS_PER_THREAD: usize = 16;
/// The places for each thread that only known devices have.
const RESERVED_PER_THREAD: usize = 8;
/// The jobs of one account on known devices that wait. Twenty devices of one account are not twenty
/// users.
const PLACES_OF_ACCOUNT: usize = 3;
/// The jobs of known devices that are begun in a row while others wait: two thirds of the work are
/// theirs.
const KNOWN_IN_A_ROW: u32 = 2;

/// The client that a hash is computed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The account: the user id where the client is known to the user, otherwise the log-in name as
    /// it was submitted. One hash of it is computed at a time.
    pub account: String,
    /// The lane that the job waits in.
    pub lane: Lane,
}

/// A part of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Devices that the user has logged in on before, by network.
    KnownDevice(String),
    /// Other clients, by network: an IPv4 /24 or an IPv6 /48.
    Network(String),
}

/// The load of the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct HashLoad {
    /// Jobs of known devices that wait.
    pub known_devices: usize,
    /// Jobs of networks that wait.
    pub networks: usize,
    /// Jobs that run.
    pub running: usize,
    /// Jobs that had no place.
    pub refused: u64,
    /// Jobs that were begun.
    pub begun: u64,
    /// The time that those waited, together.
    pub waited: Duration,
}

/// A job. It is told to run, or that there is no place for it.
pub(super) type Job = Box<dyn FnOnce(Start) + Send>;

/// The start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    Run,
    Refused,
}

/// The queue, shared by those who submit jobs and the threads that take them.
pub(super) struct HashQueue {
    state: Mutex<State>,
    changed: Condvar,
    jobs: usize,
    reserved: usize,
}

/// A job with its account and the time it was submitted at.
struct Waiting {
    account: String,
    job: Job,
    since: Instant,
}

#[derive(Default)]
struct State {
    known: Share,
    networks: Share,
    /// The number of jobs of known devices that were begun since the last one of another client.
    known_in_a_row: u32,
    /// The accounts whose hashes are being computed.
    busy: HashSet<String>,
    refused: u64,
    begun: u64,
    waited: Duration,
    is_closed: bool,
}

/// The jobs that share a part of the places and of the work.
#[derive(Default)]
struct Share {
    networks: HashMap<String, VecDeque<Waiting>>,
    /// The networks with jobs, the one whose turn it is first.
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

    /// Lets a job wait for its turn, or refuses it or another one.
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

    /// Waits for the next job and runs it with `run`; `false` when the queue is closed.
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

    /// Returns how much there is to do.
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

    /// Ends the threads after the jobs that they have begun.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the job that has no place.
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

    /// Takes the next job whose account has none that is being computed.
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
    /// Returns the job that has no place: there are `places`.
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

    /// Submits jobs that say their name when they run or are refused; nothing takes them yet.
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
