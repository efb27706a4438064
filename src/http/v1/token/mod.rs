//! Endpoints that issue, refresh, check and revoke tokens.

pub mod refresh_token_body;
pub mod token_auth;
pub mod token_pair;
pub mod token_refresh;
pub mod token_revoke;
pub mod token_verify;
