//! Rate limits, limits on mail, and what one client can cost.

pub mod attempts;
mod client_address;
mod failed_writes;
mod hash_floods;
mod hashing_requests;
mod lock_order;
mod mail_budgets;
