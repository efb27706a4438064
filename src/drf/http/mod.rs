//! The wire of the adapter. What the texts and the order of the checks are was recorded from the
//! real stack; `tests/django_reference` holds it and `tests/django/replay` what it said.

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
