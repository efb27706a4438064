//! Password hashing on threads of its own: as many as there are cores, at low priority, behind a
//! bounded queue. A flood of log-ins fills that queue and is told so; everything else goes on.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use super::{foreign_hashes, password_format};
use crate::domain::{PasswordHash, PlainPassword};

/// A cost-12 hash takes a quarter of a second, so a full queue is a wait of about four seconds.
const QUEUE_PER_THREAD: usize = 16;

/// Low enough that answering requests goes first, not so low that log-ins starve.
const NICENESS: i32 = 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many hashes wait already.
    #[error("too many passwords wait to be hashed")]
    Overloaded,
    /// The hash function failed.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// The outcome of comparing a password.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it is the right one.
    pub matches: bool,
    /// Whether the stored hash should be replaced by one made today.
    pub is_outdated: bool,
}

/// Whether some password can match `stored`: a hash of our own form, or of one that imports bring.
pub fn is_usable(stored: &PasswordHash) -> bool {
    password_format::is_known(stored) || foreign_hashes::is_known(stored)
}

type Task = Box<dyn FnOnce() + Send>;

/// Hashes and verifies. Cheap to clone; the threads end with the last handle.
#[derive(Clone)]
pub struct Hasher {
    queue: SyncSender<Task>,
    cost: u32,
    dummy: PasswordHash,
}

impl Hasher {
    /// Starts `threads` threads for bcrypt of `cost`.
    pub fn start(threads: usize, cost: u32) -> std::io::Result<Self> {
        let (queue, tasks) = sync_channel(threads * QUEUE_PER_THREAD);
        let tasks = Arc::new(Mutex::new(tasks));
        for number in 0..threads {
            let tasks = Arc::clone(&tasks);
            std::thread::Builder::new()
                .name(format!("hasher-{number}"))
                .spawn(move || work(&tasks))?;
        }
        Ok(Self { queue, cost, dummy: password_format::dummy(cost) })
    }

    /// Hashes a new password.
    pub fn hash(&self, password: &PlainPassword) -> Result<PasswordHash, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        self.run(move || password_format::hash(&password, cost))?
            .map_err(|error| HashError::Failed(error.to_string()))
    }

    /// Compares `password` with `stored`. Where there is nothing to compare with (no account, no
    /// usable password) a dummy is verified, so that both arms take the same time.
    pub fn verify(
        &self,
        password: &PlainPassword,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let (password, cost) = (password.clone(), self.cost);
        let (stored, dummy) = (stored.cloned(), self.dummy.clone());
        self.run(move || {
            let known = stored.and_then(|stored| {
                let matches = password_format::verify(&password, &stored)
                    .or_else(|| foreign_hashes::verify(&password, &stored))?;
                let is_outdated = password_format::is_outdated(&stored, cost);
                Some(Verdict { matches, is_outdated })
            });
            known.unwrap_or_else(|| {
                let _same_work = password_format::verify(&password, &dummy);
                Verdict { matches: false, is_outdated: false }
            })
        })
    }

    fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashError> {
        let (reply, answer) = sync_channel(1);
        let task: Task = Box::new(move || drop(reply.send(task())));
        self.queue.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => HashError::Overloaded,
            TrySendError::Disconnected(_) => HashError::Failed("the threads have ended".into()),
        })?;
        answer.recv().map_err(|_| HashError::Failed("a hash did not finish".into()))
    }
}

fn work(tasks: &Mutex<Receiver<Task>>) {
    // On Linux process 0 means the calling thread. To lower one's priority needs no rights; where
    // it fails all the same, hashing is only less polite.
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "hashing threads keep the normal priority");
    }
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // A panic ends one task, not the thread; its caller is told by the closed channel.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(task)).is_err() {
            tracing::error!("a password hash panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_told_and_passes() {
        let hasher = Hasher::start(1, 4).unwrap();
        let (tell_start, started) = sync_channel::<()>(0);
        let (block, blocked) = sync_channel::<()>(0);
        let busy = move || {
            tell_start.send(()).unwrap();
            blocked.recv().unwrap();
        };
        hasher.queue.send(Box::new(busy)).unwrap();
        // Only when the thread has taken this task does the queue stay full.
        started.recv().unwrap();
        while hasher.queue.try_send(Box::new(|| {})).is_ok() {}
        let password = PlainPassword::parse("correct horse").unwrap();
        assert!(matches!(hasher.hash(&password), Err(HashError::Overloaded)));
        block.send(()).unwrap();
        let hash = (0..1000)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                hasher.hash(&password).ok()
            })
            .expect("the queue empties");
        assert!(hasher.verify(&password, Some(&hash)).unwrap().matches);
        assert!(!hasher.verify(&password, None).unwrap().matches);
        assert!(!hasher.verify(&password, Some(&PasswordHash::unusable())).unwrap().matches);
    }
}
