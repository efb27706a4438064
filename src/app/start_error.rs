//! Errors of a start.

use std::io;
use std::net::SocketAddr;

use crate::security::keys::KeyError;
use crate::{flows, store};

/// Reasons why the service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder of the data or of the database, or the secret in it, cannot be used.
    #[error("the folder {0} cannot be used: {1}")]
    Folder(String, io::Error),
    /// The database cannot be used.
    #[error("{0}: {1}")]
    Database(String, store::Error),
    /// The revocations before the start could not be read.
    #[error("the ended sessions cannot be read: {0}")]
    Revocations(flows::Error),
    /// The signing keys could not be sealed again.
    #[error("the signing keys cannot be sealed with HALLPASS_SECRET: {0}")]
    Seal(flows::Error),
    /// The signing keys could not be loaded.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The mail templates or the transport are faulty.
    #[error("mail: {0}")]
    Mail(String),
    /// The listener could not be opened.
    #[error("cannot listen on {0} (HALLPASS_BIND): {1}")]
    Bind(SocketAddr, io::Error),
    /// The operating system refuses threads.
    #[error("cannot start threads: {0}")]
    Threads(io::Error),
    /// The settings contradict each other.
    #[error("{0}")]
    Settings(&'static str),
}
