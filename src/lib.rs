//! Hallpass: a headless JSON auth microservice.

pub mod domain;
pub mod http;
pub mod mail;
pub mod store;
pub mod clock;
pub mod security;
