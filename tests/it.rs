//! The service from outside, in one binary: it is linked once, and tests that wait leave the
//! processor to others. Tests that measure times (`timing`) or only read files have binaries of
//! their own.
//!
//! Each folder tests one side of the service. Several of them use `support` and the files named
//! here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that does not find what it needs has failed"
)]

/// The allocator of the program: half of the tests' processor time is in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod api;
#[cfg(feature = "drf-jwt")]
mod django;
#[cfg(feature = "drf-jwt")]
mod fuzz_corpus;
mod mail_transport;
mod postgres_support;
mod process;
mod proxy;
mod verifiers;

#[path = "support/client.rs"]
mod client;
#[path = "support/enough.rs"]
mod enough;
#[path = "support/missing.rs"]
mod missing;
#[path = "support/pgbouncer.rs"]
mod pgbouncer;
#[path = "support/postfix.rs"]
mod postfix;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/real_provider.rs"]
mod real_provider;
#[path = "support/scratch.rs"]
mod scratch;
#[path = "support/scripted_provider.rs"]
mod scripted_provider;
#[path = "support/scripted_smtp.rs"]
mod scripted_smtp;
#[path = "support/service.rs"]
mod service;
#[path = "support/smtp.rs"]
mod smtp;

/// Each of many new connections would plan each of its first five executions of a statement.
const PLAN_CACHE_MODE: &str = "force_generic_plan";
/// True if this build has the Django REST adapter.
const HAS_DRF: bool = cfg!(feature = "drf-jwt");
/// True if this build serves Swagger UI.
const HAS_DOCS: bool = cfg!(feature = "docs-ui");

use api::support;
use process::support::{both, copying, database, django_site, mailbox, sql, waiting};
use verifiers::verifier;
