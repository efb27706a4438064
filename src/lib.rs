//! Hallpass: a headless JSON auth microservice.

pub mod domain;
pub mod http;
pub mod mail;
