//! HTTP: the only room that knows actix, JSON and status codes.

pub mod django;
