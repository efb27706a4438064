//! Bridge from the async threads that handle requests to the threads that may block.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::web;
use ipnet::IpNet;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;

use super::browsers::Browsers;
use super::code::Code;
use super::error::ApiError;
use super::metrics::Metrics;
use crate::flows::{Error, Flows};
use crate::http::serving::drain::Draining;
use crate::http::serving::production_limit;

/// Largest number of requests that wait for the database or a hash. More wait only if something is
/// wrong; further requests are refused immediately instead of piling up.
const MAX_WAITING: usize = 512;

/// Largest number of refusals that are held back. Further ones are sent at once: each occupies a
/// connection of a proxy.
const MAX_HELD_BACK: usize = 512;

/// Times of responses.
#[derive(Clone, Copy, Debug)]
pub struct ResponseTimes {
    /// Time limit of a response: the database may hang, or the machine be overloaded.
    pub limit: Duration,
    /// Time for which the refusal of a request beyond a limit, or of one that finds the service
    /// overloaded, is held back.
    pub refusal_pause: Duration,
}

/// Application state of every handler.
#[derive(Clone)]
pub struct State {
    /// The user stories.
    pub flows: Arc<Flows>,
    /// Name of the service in mail and pages.
    pub service_name: Arc<str>,
    /// Browser origins that may use cookies.
    pub browsers: Arc<Browsers>,
    /// Networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Arc<[IpNet]>,
    /// Counters of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// True once the service is stopping.
    pub draining: Draining,
    response_times: ResponseTimes,
    waiting: Arc<Semaphore>,
    held_back: Arc<Semaphore>,
    turn: Arc<Mutex<()>>,
    has_ignored_header: Arc<AtomicBool>,
}

impl State {
    /// Returns the state of one service, shared by its threads.
    pub fn new(
        flows: Arc<Flows>,
        service_name: &str,
        browsers: Browsers,
        trusted_proxies: &[IpNet],
        response_times: ResponseTimes,
        metrics: Metrics,
    ) -> Self {
        Self {
            flows,
            service_name: service_name.into(),
            browsers: Arc::new(browsers),
            trusted_proxies: trusted_proxies.into(),
            metrics: Arc::new(metrics),
            draining: Draining::default(),
            response_times,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            held_back: Arc::new(Semaphore::new(MAX_HELD_BACK)),
            turn: Arc::default(),
            has_ignored_header: Arc::default(),
        }
    }

    /// Returns whether `peer` is a reverse proxy of the operator.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Returns true at the first call.
    pub fn is_first_ignored_header(&self) -> bool {
        !self.has_ignored_header.swap(true, Ordering::Relaxed)
    }

    /// Waits before a refusal is sent, unless that many wait already.
    pub async fn hold_back(&self) {
        if let Ok(_place) = self.held_back.try_acquire() {
            tokio::time::sleep(self.response_times.refusal_pause).await;
        }
    }

    /// Runs a flow on a thread that may block. The flow continues to its end even if the client
    /// disconnects or the time limit has passed.
    pub async fn run<T, F>(&self, flow: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() else {
            return Err(Code::Overloaded.into());
        };
        let flows = Arc::clone(&self.flows);
        let (span, report) = (tracing::Span::current(), production_limit::current());
        let answer = web::block(move || {
            let _place = place;
            span.in_scope(|| report.scope(|| flow(&flows)))
        });
        match timeout(self.response_times.limit, answer).await {
            Ok(Ok(answer)) => Ok(answer?),
            // The flow panicked; the panic hook has logged the place.
            Ok(Err(_)) => Err(Code::InternalError.into()),
            Err(_) => Err(Error::Unavailable("no answer in time".to_owned()).into()),
        }
    }

    /// Runs a flow like [`Self::run`], one at a time: it takes long, and the next one may find its
    /// result made.
    pub async fn run_in_turn<T, F>(&self, flow: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    {
        let _turn = self.turn.lock().await;
        self.run(flow).await
    }
}
