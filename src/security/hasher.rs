//! Password hashing on its own threads: as many as there are cores, at low priority, behind a
//! bounded queue. A flood of log-ins fills that queue and is refused; other requests are not
//! affected.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::hash_queue::{HashLoad, HashQueue, Job, Requester, Start};
use super::{imported_hashes, password_format};
use crate::domain::{PasswordHash, PlainPassword};

/// Low enough that other requests go first, not so low that log-ins starve.
const NICENESS: i32 = 10;

/// Reasons why a hash failed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// The queue is full.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The hash function failed.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// Result of a verification.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// True if the password is right.
    pub matches: bool,
    /// True if the stored hash should be replaced by one of the current cost and format.
    pub is_outdated: bool,
}

/// Returns whether a password can match `stored`: a hash of our own format, or of an import.
pub fn is_usable(stored: &PasswordHash) -> bool {
    password_format::is_known(stored) || imported_hashes::is_known(stored)
}

/// Hashes and verifies. Cheap to clone; the threads end with the last handle.
#[derive(Clone)]
pub struct Hasher {
    queue: Arc<Handle>,
    cost: u32,
    dummy: PasswordHash,
}

/// The submitting end of the queue.
struct Handle(Arc<HashQueue>);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Hasher {
    /// Starts `threads` threads for bcrypt of `cost`.
    pub fn start(threads: usize, cost: u32) -> std::io::Result<Self> {
        let queue = Arc::new(HashQueue::new(threads));
        let handle = Arc::new(Handle(Arc::clone(&queue)));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("hasher-{number}"))
                .spawn(move || work(&queue))?;
        }
        Ok(Self { queue: handle, cost, dummy: password_format::dummy(cost) })
    }

    /// Hashes a new password.
    pub fn hash(
        &self,
        requester: Requester,
        password: &PlainPassword,
    ) -> Result<PasswordHash, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        self.run(requester, move || password_format::hash(&password, cost))?
            .map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Compares `password` with `stored`. Without an account or a usable hash, it verifies a dummy
    /// hash, so that both cases take the same time.
    pub fn verify(
        &self,
        requester: Requester,
        password: &PlainPassword,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        let (stored, dummy) = (stored.cloned(), self.dummy.clone());
        self.run(requester, move || {
            let known = stored.and_then(|stored| {
                let matches = password_format::verify(&password, &stored)
                    .or_else(|| imported_hashes::verify(&password, &stored))?;
                let is_outdated = password_format::is_outdated(&stored, cost);
                Some(Verdict { matches, is_outdated })
            });
            known.unwrap_or_else(|| {
                let _same_work = password_format::verify(&password, &dummy);
                Verdict { matches: false, is_outdated: false }
            })
        })
    }

    /// Returns the load of the queue.
    pub fn load(&self) -> HashLoad {
        self.queue.0.load()
    }

    fn run<T: Send + 'static>(
        &self,
        requester: Requester,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, answer) = sync_channel(1);
        let job: Job = Box::new(move |start| {
            // The caller waits for it.
            drop(reply.send((start == Start::Run).then(task)));
        });
        self.queue.0.submit(requester, job);
        let answer =
            answer.recv().map_err(|_| HashError::Failed("a hash did not finish".into()))?;
        answer.ok_or(HashError::Overloaded)
    }
}

fn work(queue: &HashQueue) {
    // On Linux, process 0 is the calling thread. Lowering a priority needs no rights; a failure
    // only means that hashing competes with requests.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "hashing threads keep the normal priority");
    }
    let run = |job: Job| {
        // A panic ends one job, not the thread; its caller sees the closed channel.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(Start::Run))).is_err() {
            tracing::error!("a password hash panicked");
        }
    };
    while queue.run_next(run) {}
}

#[cfg(test)]
mod tests {
    use super::super::hash_queue::{Lane, Origin};
    use super::*;

    #[test]
    fn passwords_are_hashed_and_compared_and_what_cannot_match_takes_a_dummy() {
        let hasher = Hasher::start(1, 4).unwrap();
        let whose =
            || Requester { account: "mina".into(), lane: Lane::KnownDevice(Origin::default()) };
        let password = PlainPassword::parse("correct horse").unwrap();
        let hash = hasher.hash(whose(), &password).unwrap();
        assert!(hasher.verify(whose(), &password, Some(&hash)).unwrap().matches);
        assert!(!hasher.verify(whose(), &password, None).unwrap().matches);
        let unusable = PasswordHash::unusable();
        assert!(!hasher.verify(whose(), &password, Some(&unusable)).unwrap().matches);
    }
}
