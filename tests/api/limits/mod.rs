//! Rate limits, limits on mail, and what one client can cost.

pub mod attempts;
mod client_address;
mod hash_floods;
mod mail_budgets;
