//! The examples of `examples/verify-token`, as they stand there: services that check access tokens
//! themselves. They are run against a real Hallpass and, for what a real one never signs, against
//! an issuer of the test's own.

#[path = "../../examples/verify-token/rust/service.rs"]
mod rust_service;
#[path = "../../examples/verify-token/rust/verifier.rs"]
pub mod verifier;

mod examples;
mod issuer;

mod forged;
mod genuine;
