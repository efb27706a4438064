//! What goes wrong around a service, done to the real binary: `cargo test --test process faults::`.
//! docs/operations.md says for each what callers see and how it ends.

mod clock;
mod connections;
mod crash;
mod disk_full;
mod held_connections;
mod mail_black_hole;
mod outage;
mod pool;
mod shutdown;
mod two_versions;
mod versions;

/// What a test needs is not on this machine: said aloud, and under `CI=true` a failure.
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{why}");
    eprintln!("SKIPPED: {why}");
}
