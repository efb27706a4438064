//! Black-box tests: each starts the service on a port of its own, speaks HTTP to it and reads its
//! mail, once on SQLite and once on Postgres. Every answer is compared with the OpenAPI document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that does not find what it needs has failed"
)]

mod support;

mod access;
mod account_pages;
mod account_races;
mod change_email;
mod delete_account;
mod edge;
mod export;
mod instances;
mod language;
mod limits;
mod log_in;
mod notices;
mod page;
mod password_change;
mod password_reset;
mod passwords;
mod policies;
mod profile;
mod races;
mod refresh;
mod register;
mod reset_codes;
mod store;
mod surface;
mod thief_races;
mod undo;
