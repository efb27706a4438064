//! Application state of every handler.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ipnet::IpNet;

use super::blocking::{Blocking, Turn};
use super::browsers::Browsers;
use super::error::ApiError;
use super::metrics::Metrics;
use super::serving::drain::Draining;
use super::serving::held_bodies::HeldBodies;
use super::serving::refusal_pause::RefusalPause;
use crate::flows::{Error, Flows};

/// State of one service, shared by its threads.
pub struct State {
    /// The user stories.
    pub flows: Arc<Flows>,
    /// Name of the service in mail and pages.
    pub service_name: String,
    /// Browser origins that may use cookies.
    pub browsers: Browsers,
    /// Networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Counters of `/metrics`.
    pub metrics: Arc<Metrics>,
    /// True once the service is stopping.
    pub draining: Draining,
    /// Bridge to the threads that may block.
    pub blocking: Blocking,
    /// The revocation lists that are being sent.
    pub revocation_lists: HeldBodies,
    /// Pause before refusals that ask a client to wait.
    pub refusal_pause: RefusalPause,
    /// True once a forwarding header was ignored.
    pub has_ignored_header: AtomicBool,
}

impl State {
    /// Returns whether `peer` is a reverse proxy of the operator.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }

    /// Returns true at the first call.
    pub fn is_first_ignored_header(&self) -> bool {
        !self.has_ignored_header.swap(true, Ordering::Relaxed)
    }

    /// Runs a flow on a thread that may block: see [`Blocking::run`].
    pub async fn run<T: Send + 'static>(
        &self,
        flow: impl FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking.run(&self.flows, flow).await
    }

    /// Runs a long flow on a thread that may block: see [`Blocking::run_in_turn`].
    pub async fn run_in_turn<T: Send + 'static>(
        &self,
        turn: Turn,
        flow: impl FnOnce(&Flows) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.blocking.run_in_turn(&self.flows, turn, flow).await
    }
}
