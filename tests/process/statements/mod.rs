//! The statements of requests, and poolers between service and Postgres.

mod equal_statements;
mod flushes;
pub mod pooler;
mod round_trips;
