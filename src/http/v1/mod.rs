//! Version 1 of the API: one file per endpoint. Each has a `handle`, whose annotation is also its
//! line in the OpenAPI document: path, method, answers and, under `x-error-codes`, every error it
//! can send besides those that belong to a body.

pub mod account;
pub mod change_email;
pub mod config;
pub mod create_user;
pub mod delete_me;
pub mod delete_user;
pub mod end_other_sessions;
pub mod end_session;
pub mod end_user_sessions;
pub mod event;
pub mod export_me;
pub mod forward_auth;
pub mod get_user;
pub mod healthz;
pub mod jwks;
pub mod list_my_events;
pub mod list_sessions;
pub mod list_user_events;
pub mod list_users;
pub mod me;
pub mod metrics;
pub mod not_me;
pub mod openapi_json;
pub mod password_change;
pub mod password_policy;
pub mod password_reset;
pub mod password_reset_confirm;
pub mod readyz;
pub mod refresh_token;
pub mod register;
pub mod resend;
pub mod revocations;
pub mod session;
pub mod time;
pub mod token_auth;
pub mod token_pair;
pub mod token_refresh;
pub mod token_revoke;
pub mod token_verify;
pub mod update_me;
pub mod update_user;
pub mod user_id;
pub mod verify_email;
