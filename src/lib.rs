//! Hallpass: a headless JSON auth microservice.

pub mod clock;
pub mod domain;
pub mod http;
pub mod mail;
pub mod security;
pub mod store;
