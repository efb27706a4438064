//! Hallpass: a headless JSON auth microservice.
//!
//! Dependencies have one direction: [`http`] calls [`flows`], flows use [`store`], [`security`],
//! [`social`] and [`mail`], which is a handler of [`jobs`], and all of them use the types of
//! [`domain`]. [`app`] builds the service from them, [`cli`] starts it. `ARCHITECTURE.md` has the
//! rules and walks through requests.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
#[cfg(feature = "drf-jwt")]
pub mod drf;
pub mod flows;
pub mod http;
pub mod jobs;
pub mod mail;
pub mod outgoing;
pub mod private_files;
pub mod security;
pub mod social;
pub mod store;
pub mod telemetry;
