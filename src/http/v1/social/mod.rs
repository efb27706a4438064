//! Log-in at other services.

pub mod callback;
pub mod callback_form;
pub mod finish;
pub mod finished;
pub mod id_token;
pub mod identity;
pub mod list_identities;
pub mod list_providers;
pub mod provider;
pub mod start;
pub mod unlink_identity;
