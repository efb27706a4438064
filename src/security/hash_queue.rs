//! The queue of passwords that wait to be hashed. No client can keep the others from theirs: one hash at a time
//! for each account, known devices first, then the networks in turn. When the queue is full, a job of the
//! network with the most jobs gives way to one of a network with fewer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The jobs of networks that wait for each thread. A cost-12 hash takes a quarter of a second, so a full
/// queue is a wait of about four seconds.
const JOBS_PER_THREAD: usize = 16;
/// The places for each thread that only known devices have.
const RESERVED_PER_THREAD: usize = 8;

/// The client that a hash is computed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The account, as it was submitted. One hash of it is computed at a time.
    pub account: String,
    /// The lane that the job waits in.
    pub lane: Lane,
}

/// A part of the queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Devices that the user has logged in on before.
    KnownDevice,
    /// A network: an IPv4 /24 or an IPv6 /48.
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
    known: VecDeque<Waiting>,
    networks: HashMap<String, VecDeque<Waiting>>,
    /// The networks with jobs, the one whose turn it is first.
    turns: VecDeque<String>,
    /// The number of jobs of networks.
    waiting: usize,
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
            known_devices: state.known.len(),
            networks: state.waiting,
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
        let network = match lane {
            Lane::KnownDevice if self.known.len() >= reserved => return Some(job),
            Lane::KnownDevice => {
                self.known.push_back(Waiting { account, job, since: Instant::now() });
                return None;
            }
            Lane::Network(network) => network,
        };
        let mut refused = None;
        if self.waiting >= jobs {
            let own = self.networks.get(&network).map_or(0, VecDeque::len);
            let longest = self.networks.iter_mut().max_by_key(|(_, lane)| lane.len());
            match longest.filter(|(_, lane)| lane.len() > own + 1) {
                Some((_, lane)) => refused = lane.pop_back().map(|it| it.job),
                None => return Some(job),
            }
            self.waiting -= 1;
        }
        let lane = self.networks.entry(network.clone()).or_default();
        if lane.is_empty() {
            self.turns.push_back(network);
        }
        lane.push_back(Waiting { account, job, since: Instant::now() });
        self.waiting += 1;
        refused
    }

    /// Takes the next job whose account has none that is being computed.
    fn next(&mut self) -> Option<Waiting> {
        if let Some(next) = take_idle(&mut self.known, &self.busy) {
            self.busy.insert(next.account.clone());
            return Some(next);
        }
        for _ in 0..self.turns.len() {
            let network = self.turns.pop_front()?;
            let lane = self.networks.get_mut(&network)?;
            let next = take_idle(lane, &self.busy);
            if lane.is_empty() {
                self.networks.remove(&network);
            } else {
                self.turns.push_back(network);
            }
            if let Some(next) = next {
                self.waiting -= 1;
                self.busy.insert(next.account.clone());
                return Some(next);
            }
        }
        None
    }
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

    fn known(account: &str) -> Requester {
        Requester { account: account.into(), lane: Lane::KnownDevice }
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
            while self.queue.lock().waiting > 0 || !self.queue.lock().known.is_empty() {
                self.queue.run_next(|job| job(Start::Run));
            }
            self.told.try_iter().filter(|it| it.1 == Start::Run).map(|it| it.0).collect()
        }

        fn refused(&self) -> Vec<String> {
            self.told.try_iter().filter(|it| it.1 == Start::Refused).map(|it| it.0).collect()
        }
    }

    #[test]
    fn known_devices_go_first_and_networks_take_turns() {
        let bench = Bench::new();
        for number in 0..3 {
            bench.submit(&format!("a{number}"), from(&format!("a{number}"), "a"));
        }
        bench.submit("b0", from("b0", "b"));
        bench.submit("k0", known("k0"));
        assert_eq!(bench.run_all(), ["k0", "a0", "b0", "a1", "a2"]);
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
            bench.submit(&format!("k{number}"), known(&format!("k{number}")));
        }
        assert_eq!(bench.refused(), ["k8"]);
        let ran = bench.run_all();
        assert_eq!(ran[8..10], ["a0", "b0"]);
        assert_eq!(ran.len(), 24);
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
