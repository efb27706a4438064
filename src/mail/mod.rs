//! Outgoing mail: how it is written and how it leaves.
//!
//! [`messages`] writes, [`transport`] sends, [`handler`] does the mails of the job queue. [`smtp_url`] holds the settings of SMTP.

mod directory;
pub mod handler;
mod html;
pub mod messages;
mod mime;
mod note;
pub mod outgoing;
mod overrides;
pub mod smtp;
pub mod transport;

pub use directory::Directory;
pub use note::CONFIGURATION;
pub use smtp::{ConnectionUse, Smtp};
