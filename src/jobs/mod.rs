//! Workers of the job queue ([`crate::store::jobs`]). They claim jobs that are due, renew the
//! leases, and share the attempts between lanes. Only the [`Handler`] of a job knows its content.

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
