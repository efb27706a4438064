//! Readers of settings that need more than a parse.

mod browsers;
mod claims;
mod database;
mod limits;
mod mode;
mod passwords;
mod process;
mod proxies;
mod registration;
mod secrets;
mod services;
mod tokens;
mod urls;

pub(super) use browsers::read_browsers;
pub(super) use claims::{read_audience, read_client_id, read_custom_claims};
pub use database::database_url;
#[cfg(test)]
pub(super) use database::database_url_in;
pub(super) use database::{read_database, read_prepared_statements};
pub(super) use limits::read_limits;
pub(super) use mode::Mode;
pub(super) use passwords::{read_bcrypt_cost, read_password_policy};
pub(super) use process::{
    read_bind, read_log, read_log_format, read_shutdown_delay, read_shutdown_timeout,
};
pub(super) use proxies::read_proxies;
pub(super) use registration::{
    read_email_verification, read_registration, read_verify_email_proof,
};
pub(super) use secrets::{
    MIN_SECRET_LENGTH, is_weak, read_jwt_secret, read_previous_secret, read_service_secret,
};
pub(super) use services::{read_breached_passwords, read_mail_from, read_smtp};
pub(super) use tokens::{read_drf, read_jwt_algorithm, read_key_rotation, read_lifetimes};
pub(super) use urls::{is_app_scheme, is_this_machine, read_pages, read_public_url};
