//! Faults around a service, with the real binary: `cargo test --test it faults::`.
//! docs/operations.md describes the behaviour for each of them.

mod challenges;
mod clock;
mod connections;
mod crash;
mod disk_full;
mod failover;
mod held_connections;
mod isolation;
mod keep_alive;
mod mail_black_hole;
mod outage;
mod pool;
mod shutdown;
mod two_versions;
mod unsuitable;
mod versions;

use std::time::Duration;

use crate::client::Answer;

/// A refused request gets a response in time, with a hint when to retry, and no details.
fn assert_unavailable(answer: &Answer, limit: Duration) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.content_type, "application/problem+json");
    assert_eq!(answer.body["code"], "unavailable", "{answer:?}");
    assert!(answer.retry_after.is_some(), "{answer:?}");
    assert!(answer.took < limit, "it took {:?}", answer.took);
    let body = answer.body.to_string();
    assert!(!body.contains("127.0.0.1") && !body.contains("postgres"), "{body}");
}
