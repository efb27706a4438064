//! Black-box tests: each starts the service on a port of its own, speaks HTTP to it and reads its
//! mail, once on SQLite and once on Postgres. Every answer is compared with the OpenAPI document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that does not find what it needs has failed"
)]

mod support;

mod access;
mod edge;
mod events;
mod instances;
mod language;
mod limits;
mod log_in;
mod page;
mod passwords;
mod policies;
mod races;
mod refresh;
mod register;
mod store;
mod surface;
