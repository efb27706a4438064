//! Combined work on one row. The first caller executes a statement for all that wait by then;
//! callers that arrive meanwhile form the next batch.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::{Error, Result};

/// Combines the work of concurrent callers, by key.
pub(crate) struct Combiner<T> {
    /// The callers that wait, for each key whose turn has begun.
    waiting: Mutex<HashMap<String, Vec<Caller<T>>>>,
}

/// Sender to a waiting caller.
type Caller<T> = SyncSender<Message<T>>;

enum Message<T> {
    Outcome(Result<T>),
    /// The turn of the caller to work for all that wait.
    Turn,
}

impl<T> Default for Combiner<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<T> Combiner<T> {
    /// Returns an outcome of `work`, which is called for a number of callers with the same `key`
    /// and returns one outcome for each. The `work` of all callers with the same key must be the
    /// same.
    ///
    /// # Errors
    /// If `work` fails, all callers that wait by then get its error, so a broken connection fails a
    /// whole batch, and no caller waits for more than two statements.
    pub(crate) fn run(&self, key: &str, work: impl FnOnce(usize) -> Result<Vec<T>>) -> Result<T> {
        if let Message::Outcome(outcome) = self.wait_for_turn(key)? {
            return outcome;
        }
        // Ends the turn after a panic too.
        let turn = Turn { combiner: self, key };
        let others = self.take_waiting(key);
        let mut outcomes = match work(1 + others.len()) {
            Ok(outcomes) => outcomes.into_iter(),
            Err(error) => {
                for caller in others.into_iter().chain(self.take_waiting(key)) {
                    drop(caller.send(Message::Outcome(Err(error.clone()))));
                }
                return Err(error);
            }
        };
        drop(turn);
        let missing = || Error::Internal("no outcome for a caller".to_owned());
        let own = outcomes.next().ok_or_else(missing);
        for caller in others {
            let outcome = outcomes.next().ok_or_else(missing);
            drop(caller.send(Message::Outcome(outcome)));
        }
        own
    }

    /// Returns when there is an outcome for the caller, or its turn.
    fn wait_for_turn(&self, key: &str) -> Result<Message<T>> {
        let (caller, message) = sync_channel(1);
        match self.lock().entry(key.to_owned()) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push(caller),
            Entry::Vacant(none) => {
                none.insert(Vec::new());
                return Ok(Message::Turn);
            }
        }
        message.recv().map_err(|_| Error::Internal("the caller at its turn has ended".to_owned()))
    }

    fn take_waiting(&self, key: &str) -> Vec<Caller<T>> {
        self.lock().get_mut(key).map(std::mem::take).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Vec<Caller<T>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of a caller. Its end begins that of the first one that waits.
struct Turn<'a, T> {
    combiner: &'a Combiner<T>,
    key: &'a str,
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        let mut waiting = self.combiner.lock();
        let callers = waiting.get_mut(self.key).filter(|callers| !callers.is_empty());
        match callers.map(|callers| callers.remove(0)) {
            // The caller waits for exactly one message.
            Some(next) => drop(next.send(Message::Turn)),
            None => drop(waiting.remove(self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    /// Runs callers, the first of whom begins alone and works until `others` wait. Returns their
    /// outcomes and the size of each batch.
    fn together(
        others: usize,
        work: impl Fn(usize) -> Result<Vec<usize>> + Send + Sync + 'static,
    ) -> (Vec<thread::Result<Result<usize>>>, Vec<usize>) {
        let (combiner, work) = (Arc::new(Combiner::default()), Arc::new(work));
        let batches = Arc::new(Mutex::new(Vec::new()));
        let begin = || {
            let (combiner, work, batches) = (combiner.clone(), work.clone(), batches.clone());
            thread::spawn(move || {
                combiner.run("key", |callers| {
                    let is_first = {
                        let mut batches = batches.lock().unwrap();
                        batches.push(callers);
                        batches.len() == 1
                    };
                    while is_first && combiner.lock()["key"].len() < others {
                        thread::yield_now();
                    }
                    work(callers)
                })
            })
        };
        let mut callers = vec![begin()];
        while batches.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        callers.extend((0..others).map(|_| begin()));
        let outcomes = callers.into_iter().map(thread::JoinHandle::join).collect();
        assert!(combiner.lock().is_empty());
        let batches = batches.lock().unwrap().clone();
        (outcomes, batches)
    }

    #[test]
    fn callers_that_wait_are_served_together() {
        let next = AtomicUsize::new(0);
        let (outcomes, batches) = together(7, move |callers| {
            let first = next.fetch_add(callers, Ordering::SeqCst);
            Ok((first..first + callers).collect())
        });
        assert_eq!(batches, [1, 7]);
        let mut numbers: Vec<usize> =
            outcomes.into_iter().map(|outcome| outcome.unwrap().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_failure_is_that_of_all_that_wait() {
        let (outcomes, batches) =
            together(3, |_| Err(Error::Unavailable("switched off".to_owned())));
        assert_eq!(batches, [1]);
        for outcome in outcomes {
            assert!(matches!(outcome.unwrap(), Err(Error::Unavailable(_))));
        }
    }

    #[test]
    fn after_a_panic_the_next_caller_has_its_turn() {
        let has_panicked = AtomicUsize::new(0);
        let (outcomes, batches) = together(3, move |callers| {
            assert!(has_panicked.fetch_add(1, Ordering::SeqCst) > 0, "as the test wants");
            Ok(vec![0; callers])
        });
        assert_eq!(batches, [1, 3]);
        assert_eq!(outcomes.iter().filter(|it| it.is_err()).count(), 1);
        assert_eq!(outcomes.iter().flatten().filter(|it| it.is_ok()).count(), 3);
    }

    #[test]
    fn other_keys_do_not_wait() {
        let combiner = Combiner::<usize>::default();
        let outcome =
            combiner.run("one", |_| combiner.run("other", |_| Ok(vec![2])).map(|it| vec![it]));
        assert_eq!(outcome.unwrap(), 2);
    }
}
