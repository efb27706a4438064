//! Mail queue and mail servers.

mod delivery;
mod postfix;
