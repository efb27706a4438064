//! Mails: requests and their budgets, content, security notices.

pub(crate) mod compose_mail;
pub(crate) mod mail_requests;
pub(crate) mod notices;
mod requeue;
