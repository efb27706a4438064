//! Log-in, refresh, log-out, and the checks of tokens.

pub(crate) mod introspect;
pub(crate) mod list;
pub(crate) mod log_in;
pub(crate) mod log_out;
pub(crate) mod refresh;
pub(crate) mod revocations;
pub(crate) mod verify_token;
