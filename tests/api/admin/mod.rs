//! What staff do with the accounts of others, who may do what, and the audit trail.

mod admin_lists;
mod admin_races;
mod administration;
pub mod events;
mod permissions;
mod superusers;
