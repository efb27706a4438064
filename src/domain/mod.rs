//! The words of the trade: values that cannot be wrong once they exist, and predicates that take
//! `now` as an argument. No I/O and no other room of the crate.

pub mod language;
pub mod time;

pub use language::Language;
pub use time::UtcTime;
