//! What goes wrong around a service, done to the real binary: `cargo test --test process faults::`.
//! docs/operations.md says for each what callers see and how it ends.

mod clock;
mod connections;
mod crash;
mod disk_full;
mod mail_black_hole;
mod outage;
mod pool;
mod shutdown;
mod versions;
