//! Outgoing mail: how it is written and how it leaves.
//!
//! [`messages`] writes, [`transport`] sends, [`worker`] empties the outbox. [`smtp_url`] reads the one setting about SMTP.

mod clear_text;
mod directory;
mod html;
pub mod messages;
mod mime;
mod overrides;
mod smtp;
pub mod smtp_url;
pub mod transport;
pub mod worker;

pub use directory::Directory;
pub use smtp::Smtp;
