//! Endpoints for superusers: the API keys of services.

pub mod create_api_key;
pub mod item;
pub mod list_api_keys;
pub mod revoke_api_key;
