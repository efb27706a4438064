//! Workers of the job queue ([`crate::store::jobs`]): they claim jobs that are due, keep the leases, and
//! share their attempts out between lanes. What a kind of job is about is its [`Handler`]'s business.

mod backoff;
mod handler;
mod lanes;
mod worker;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use handler::{Handler, Progress};
pub use lanes::{Capacity, LaneGuard, Learned, Lesson, Trouble};
pub use worker::Worker;
