//! Black-box tests: they speak HTTP to the service on a real port.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

mod django;
mod service;
