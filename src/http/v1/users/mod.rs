//! Endpoints for staff: the accounts of all users.

pub mod create_user;
pub mod delete_user;
pub mod end_user_sessions;
pub mod get_user;
pub mod list_user_events;
pub mod list_users;
pub mod update_user;
pub mod user_id;
