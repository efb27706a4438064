//! Endpoints of a user's sessions.

pub mod end_other_sessions;
pub mod end_session;
pub mod item;
pub mod list_sessions;
