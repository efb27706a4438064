//! Endpoints of a user's own account.

pub mod change_email;
pub mod delete_me;
pub mod export_me;
pub mod list_my_events;
pub mod log_in_or_verification;
pub mod me;
pub mod not_me;
pub mod register;
pub mod resend;
pub mod update_me;
pub mod user;
pub mod verify_email;
