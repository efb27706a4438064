//! The Django face: the URLs of a Django REST framework site with `djangorestframework-jwt`, answered
//! as that site answers, so that its clients keep working unchanged.
//!
//! This room knows the wire only. What the texts and the order of the checks are was recorded from the
//! real stack; `tests/django_reference` holds it and `tests/django/replay` what it said.

pub mod authentication;
pub mod body;
mod charset;
mod face;
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

pub use authentication::Schemes;
pub use face::{Face, configure};
