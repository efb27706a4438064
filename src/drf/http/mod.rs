//! HTTP of the adapter. The messages and the order of the checks were recorded from the real stack;
//! `tests/django_reference` contains it and `tests/django/replay` the recordings.

mod adapter;
mod answers;
pub mod authentication;
pub mod body;
mod charset;
pub mod fields;
mod form;
mod header;
mod json;
pub mod negotiation;
pub mod pages;
pub mod request;
pub mod respond;
mod users;
pub mod value;
pub mod views;

pub use adapter::{DrfAdapter, OPERATIONS, configure};
pub use authentication::Schemes;
