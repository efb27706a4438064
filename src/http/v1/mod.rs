//! Version 1 of the API: one file per endpoint. Each has a `handle`, whose annotation is its
//! OpenAPI operation: path, method, responses and, under `x-error-codes`, every error code except
//! those of any request with a body.

pub mod account;
pub mod api_keys;
pub mod event;
pub mod operations;
pub mod password;
pub mod services;
pub mod session;
pub mod social;
pub mod time;
pub mod token;
pub mod users;
