//! Black-box tests: each starts the service on a port of its own, speaks HTTP to it and reads its
//! mail, once on SQLite and once on Postgres. Every answer is compared with the OpenAPI document.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that does not find what it needs has failed"
)]

#[path = "../support/enough.rs"]
mod enough;
#[path = "../support/missing.rs"]
mod missing;
#[path = "../support/scripted_smtp.rs"]
mod scripted_smtp;
#[path = "../support/smtp.rs"]
mod smtp;
mod support;

mod access;
mod account_pages;
mod account_races;
mod address_names;
mod admin_lists;
mod admin_races;
mod administration;
mod breached;
mod change_email;
mod client_address;
mod cookies;
mod cors;
mod delete_account;
mod deleted_data;
mod django_list;
mod django_settings;
mod django_tokens;
mod edge;
mod events;
mod export;
mod forward_auth;
mod hash_floods;
mod hostile_tokens;
mod identities;
mod injection;
mod instances;
mod key_rotation;
mod language;
mod limits;
mod log_in;
mod mail_budgets;
mod mail_delivery;
mod metrics;
mod notices;
mod origins;
mod page;
mod panics;
mod password_change;
mod password_reset;
mod passwords;
mod permissions;
mod policies;
mod profile;
mod purges;
mod query_plans;
mod races;
mod refresh;
mod register;
mod replaced_secrets;
mod replaced_tokens;
mod request_ids;
mod reset_codes;
mod revocations;
mod rights;
mod security_headers;
mod sessions;
mod several_instances;
mod store;
mod stored_secrets;
mod superusers;
mod surface;
mod thief_races;
mod transport;
mod typed_input;
mod undo;
mod wire;
