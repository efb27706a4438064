//! Parts that the tests of the binary share.

pub mod both;
pub mod copying;
pub mod database;
pub mod django_site;
pub mod mailbox;
pub mod sql;
pub mod waiting;
