//! Endpoints for other services that check tokens.

pub mod authorization_server;
pub(crate) mod discovery;
pub mod forward_auth;
pub mod introspect;
pub mod jwks;
pub mod openid_configuration;
pub mod revocations;
pub mod revoke;
pub mod token_request;
