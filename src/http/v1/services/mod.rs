//! Endpoints for other services that check tokens.

pub mod forward_auth;
pub mod jwks;
pub mod revocations;
