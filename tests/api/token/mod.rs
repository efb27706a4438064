//! Access tokens: checking them here, in a reverse proxy and in other services.

mod access;
mod claims;
mod discovery;
mod forward_auth;
mod hostile_tokens;
mod introspection;
mod revocations;
mod token_length;
mod warm_tokens;
