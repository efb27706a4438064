//! Black-box tests: each starts the service on a port of its own, speaks HTTP to it and reads its
//! mail, once on SQLite and once on Postgres. Every answer is compared with the OpenAPI document.

pub mod support;

mod account;
mod admin;
#[cfg(feature = "drf-jwt")]
mod drf;
mod http;
mod keys;
mod limits;
mod mail;
mod password;
mod session;
mod social;
mod tables;
mod token;
