//! Endpoints that set or reset a password, and the password policy.

pub mod password_change;
pub mod password_policy;
pub mod password_reset;
pub mod password_reset_confirm;
