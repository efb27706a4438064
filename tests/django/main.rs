//! The Django face, over HTTP on a real port: against the recording of the real stack, and where
//! that stack has nothing to say.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a surprise ends the test")]

mod corpus;
#[path = "../support/missing.rs"]
mod missing;
mod own_rules;
#[path = "../support/postgres.rs"]
mod postgres;
mod replay;
mod service;
mod tokens;
mod wire;
