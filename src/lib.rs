//! Hallpass: a headless JSON auth microservice.

pub mod domain;
pub mod mail;
pub mod store;
pub mod clock;
pub mod security;
pub mod http;
pub mod flows;
