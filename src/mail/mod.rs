//! Outgoing mail: texts and delivery.
//!
//! [`messages`] renders texts, [`transport`] sends, [`handler`] handles the mails of the job queue.
//! [`smtp::settings`] has the settings of SMTP.

mod directory;
pub mod envelope;
pub mod handler;
mod html;
pub mod messages;
mod mime;
pub mod overrides;
mod retry;
pub mod smtp;
pub mod transport;

pub use directory::Directory;
pub use retry::CONFIGURATION;
pub use smtp::{ConnectionUse, Smtp};
