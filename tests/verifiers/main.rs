//! The examples of `examples/verify-token`, as they stand there: services that check access tokens
//! themselves. They are run against a real Hallpass and, for what a real one never signs, against an
//! issuer of the test's own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/postgres.rs"]
mod postgres;

#[path = "../process/api.rs"]
#[allow(dead_code, reason = "what the stories of processes need besides")]
mod api;
#[path = "../process/service.rs"]
#[allow(dead_code, reason = "what the stories of processes need besides")]
mod service;

#[path = "../../examples/verify-token/rust/service.rs"]
mod rust_service;
#[path = "../../examples/verify-token/rust/verifier.rs"]
mod verifier;

mod examples;
mod issuer;

mod forged;
mod genuine;
