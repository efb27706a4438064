//! Mails: which may be requested, what they say, security notices.

pub(crate) mod compose_mail;
pub(crate) mod mail_requests;
pub(crate) mod notices;
