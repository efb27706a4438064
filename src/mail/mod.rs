//! Outgoing mail: how it is written and how it leaves.
//!
//! [`messages`] writes, [`transport`] sends, [`worker`] empties the outbox. [`smtp_url`] holds the settings of SMTP.

mod directory;
mod html;
mod lanes;
pub mod messages;
mod mime;
mod note;
pub mod outgoing;
mod overrides;
pub mod smtp;
pub mod transport;
pub mod worker;

pub use directory::Directory;
pub use note::CONFIGURATION;
pub use smtp::Smtp;
