//! Setting, resetting and confirming a password.

pub(crate) mod breached;
pub(crate) mod change;
pub(crate) mod reauthenticate;
pub(crate) mod reset;
