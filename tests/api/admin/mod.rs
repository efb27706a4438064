//! Administration of accounts, permissions, and the audit trail.

mod admin_lists;
mod admin_races;
mod administration;
mod api_keys;
pub mod events;
mod permissions;
mod registration_rules;
mod roles;
mod superusers;
