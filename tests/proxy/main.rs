//! The configurations in `examples/reverse-proxies`, as they stand there, in the proxies they are for:
//! real ones, before a real Hallpass and a small application that notes what reaches it. (Traefik is
//! in no package of Debian; `.ci/traefik.py` can only read its files.)

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

mod application;
mod proxies;
mod setting;
mod wire;

mod cookies;
mod outages;
mod requests;
mod restarts;
mod spoofing;
