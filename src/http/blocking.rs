//! Bridge from the async threads that handle requests to the threads that may block.

use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::code::Code;
use super::error::ApiError;
use super::serving::production_limit;
use crate::flows::{Error, Flows};

/// Largest number of requests that wait for the database or a hash. More wait only if something is
/// wrong; further requests are refused immediately instead of piling up.
const MAX_WAITING: usize = 512;
/// Largest number of flows of [`Turn::Own`]. They run one after the other.
const MAX_WAITING_FOR_OWN: usize = 16;

/// Bridge to the threads that may block, with its limits.
pub struct Blocking {
    /// Time limit of a response: the database may hang, or the machine be overloaded.
    limit: Duration,
    waiting: Arc<Semaphore>,
    shared_turn: Arc<Mutex<()>>,
    own_turn: Arc<Mutex<()>>,
    waiting_for_own: Arc<Semaphore>,
}

/// A flow that takes long, by those that it takes turns with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Others wait for the same result, and find it made.
    Shared,
    /// Its result is for one request. Beyond a number of such flows, further ones are refused.
    Own,
}

impl Blocking {
    /// Returns a bridge whose flows have `limit` to respond.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            shared_turn: Arc::default(),
            own_turn: Arc::default(),
            waiting_for_own: Arc::new(Semaphore::new(MAX_WAITING_FOR_OWN)),
        }
    }

    /// Runs a flow on a thread that may block. The flow continues to its end even if the client
    /// disconnects or the time limit has passed.
    pub async fn run<T: Send + 'static>(
        &self,
        flows: &Arc<Flows>,
        flow: impl FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Err(Code::Overloaded.into());
        };
        let flows = Arc::clone(flows);
        let (span, report) = (tracing::Span::current(), production_limit::current());
        let answer = web::block(move || {
            let _place = place;
            span.in_scope(|| report.scope(|| flow(&flows)))
        });
        match timeout(self.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer?),
            // The flow panicked; the panic hook has logged the place.
            Ok(Err(_)) => Err(Code::InternalError.into()),
            Err(_) => Err(Error::Unavailable("no answer in time".to_owned()).into()),
        }
    }

    /// Runs a flow like [`Self::run`], one at a time: it takes long. Flows with a shared result do
    /// not wait for the others.
    pub async fn run_in_turn<T: Send + 'static>(
        &self,
        flows: &Arc<Flows>,
        turn: Turn,
        flow: impl FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (lock, place) = match turn {
            Turn::Shared => (&self.shared_turn, None),
            Turn::Own => match Arc::clone(&self.waiting_for_own).try_acquire_owned() {
                Ok(place) => (&self.own_turn, Some(place)),
                Err(_) => return Err(Code::Overloaded.into()),
            },
        };
        // Held to the end of the flow, which may come after that of the request.
        let held = (Arc::clone(lock).lock_owned().await, place);
        self.run(flows, move |flows| {
            let _held = held;
            flow(flows)
        })
        .await
    }
}
