//! Social log-in: identities at other services, and log-ins that are in progress.

pub mod flow;
pub mod identity;
