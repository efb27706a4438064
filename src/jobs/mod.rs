//! Workers of the job queue ([`crate::store::jobs`]). They claim jobs that are due, keep the
//! leases, and share their attempts between lanes. The content of a job is up to its [`Handler`].

mod backoff;
mod handler;
mod lanes;
mod worker;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use handler::{Handler, Progress, Stage};
pub use lanes::{Capacity, Failure, LaneGuard, LaneStatus, PeerHealth};
pub use worker::Worker;
