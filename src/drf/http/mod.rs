//! HTTP of the adapter. The messages and the order of the checks were recorded from the real stack;
//! `tests/django_reference` contains it and `tests/django/replay` the recordings.

mod adapter;
mod answers;
pub mod authentication;
pub mod body;
pub mod negotiation;
pub mod pages;
pub mod parsing;
pub mod request;
pub mod respond;
mod users;
pub mod views;

pub use adapter::{DrfAdapter, OPERATIONS, configure};
pub use authentication::Schemes;
