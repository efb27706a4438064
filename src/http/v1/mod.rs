//! Version 1 of the API: one file per endpoint. Each has a `handle`, whose annotation is also its
//! line in the OpenAPI document: path, method, answers and, under `x-error-codes`, every error it
//! can send besides those that belong to a body.

pub mod config;
pub mod healthz;
pub mod jwks;
pub mod me;
pub mod openapi_json;
pub mod password_policy;
pub mod readyz;
pub mod register;
pub mod resend;
pub mod token_auth;
pub mod token_pair;
pub mod token_refresh;
pub mod token_revoke;
pub mod token_verify;
pub mod verify_email;
