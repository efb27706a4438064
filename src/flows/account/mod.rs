//! Stories of a user's own account: registration, e-mail address, profile, export, deletion.

pub(crate) mod change_email;
pub(crate) mod delete;
pub(crate) mod export;
pub(crate) mod metadata;
pub(crate) mod placeholder;
pub(crate) mod profile;
pub(crate) mod register;
pub(crate) mod release_username;
pub(crate) mod report_unauthorized;
pub(crate) mod resend;
pub(crate) mod verify_email;
