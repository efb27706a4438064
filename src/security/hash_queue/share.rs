//! A share of the hash queue: jobs by network, which take turns.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

/// The network of a client; empty if it is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// An IPv4 /24 or an IPv6 /48.
    pub network: String,
    /// Its block: an IPv4 /16 or an IPv6 /32.
    pub block: String,
}

/// A job. Its argument says whether it runs or is refused.
pub(in crate::security) type Job = Box<dyn FnOnce(Start) + Send>;

/// The start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::security) enum Start {
    Run,
    Refused,
}

/// A job with its account and the time of its submission.
pub(super) struct Waiting {
    pub(super) account: String,
    pub(super) job: Job,
    pub(super) since: Instant,
}

/// The jobs of one share.
#[derive(Default)]
pub(super) struct Share {
    networks: HashMap<Origin, VecDeque<Waiting>>,
    /// The networks with jobs, the next one first.
    turns: VecDeque<Origin>,
    /// The number of jobs.
    pub(super) waiting: usize,
}

impl Share {
    /// Adds a job to a share of `places`, and returns the job that is refused.
    pub(super) fn admit(&mut self, network: Origin, job: Waiting, places: usize) -> Option<Job> {
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

    /// Removes a job of the network with the most jobs, if `network` has fewer; one of the account
    /// with the most jobs in `network`, if `account` has fewer; or one of the block with the most
    /// jobs, if the block of `network` has none.
    fn make_room(&mut self, network: &Origin, account: &str) -> Option<Waiting> {
        let own = self.networks.get(network).map_or(0, VecDeque::len);
        let longest = self.networks.values_mut().max_by_key(|lane| lane.len());
        let removed = match longest.filter(|lane| lane.len() > own + 1) {
            Some(lane) => lane.pop_back(),
            None => match self.networks.get_mut(network) {
                Some(lane) => remove_repeated(lane, account),
                None => self.remove_of_large_block(&network.block),
            },
        };
        self.waiting -= usize::from(removed.is_some());
        removed
    }

    /// Removes the newest job of the block with the most jobs, if that has several and `block` has
    /// none. A client with many networks has them in few blocks.
    fn remove_of_large_block(&mut self, block: &str) -> Option<Waiting> {
        let mut jobs: HashMap<&str, usize> = HashMap::new();
        for (network, lane) in &self.networks {
            *jobs.entry(&network.block).or_default() += lane.len();
        }
        let (largest, most) = jobs.iter().max_by_key(|(_, jobs)| **jobs)?;
        if jobs.contains_key(block) || *most < 2 {
            return None;
        }
        let lanes = self.networks.iter().filter(|(network, _)| network.block == *largest);
        let newest = lanes.max_by_key(|(_, lane)| lane.back().map(|job| job.since))?.0.clone();
        let lane = self.networks.get_mut(&newest)?;
        let removed = lane.pop_back();
        if lane.is_empty() {
            self.networks.remove(&newest);
            self.turns.retain(|network| *network != newest);
        }
        removed
    }

    /// Returns the number of jobs of an account.
    pub(super) fn jobs_of(&self, account: &str) -> usize {
        self.networks.values().flatten().filter(|it| it.account == account).count()
    }

    /// Takes the next job whose account is not in `busy`.
    pub(super) fn next(&mut self, busy: &HashSet<String>) -> Option<Waiting> {
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
