//! Readers of settings that need more than a parse.

mod browsers;
mod claims;
mod database;
mod limits;
mod mode;
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
pub(super) use database::read_database;
pub(super) use limits::read_limits;
pub(super) use mode::Mode;
pub(super) use process::{read_log, read_shutdown_delay, read_shutdown_timeout};
pub(super) use proxies::read_proxies;
pub(super) use registration::{read_email_verification, read_registration};
pub(super) use secrets::{MIN_SECRET_LENGTH, MIN_SITE_KEY_LENGTH, is_weak, read_secret};
pub(super) use services::{read_breached_passwords, read_smtp};
pub(super) use tokens::{read_drf, read_jwt_algorithm, read_key_rotation, read_lifetimes};
pub(super) use urls::{
    is_app_scheme, is_this_machine, is_url_of_this_machine, read_pages, read_public_url,
};
