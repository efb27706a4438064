//! Changes of the metadata of an account, and the room that they leave in access tokens.

use serde_json::{Map, Value};

use crate::domain::{Fault, Metadata, User, UtcTime};
use crate::flows::{Error, Field, Result};
use crate::security::access_token::TokenSettings;

/// What becomes of the metadata.
#[derive(Clone, Debug)]
pub enum MetadataChange {
    /// It is emptied.
    Empty,
    /// A JSON merge patch is applied (RFC 7396).
    Merge(Map<String, Value>),
}

impl MetadataChange {
    /// Returns the metadata after the change.
    pub(crate) fn applied_to(self, metadata: &Metadata) -> std::result::Result<Metadata, Fault> {
        match self {
            Self::Empty => Ok(Metadata::default()),
            Self::Merge(patch) => metadata.merged(&patch),
        }
    }
}

/// Refuses an account whose access tokens would be refused for their length.
pub(crate) fn require_room_in_tokens(
    tokens: &TokenSettings,
    user: &User,
    field: Field,
    now: UtcTime,
) -> Result<()> {
    let refused = || Error::invalid(field, Fault::TokenTooLarge);
    tokens.fits(user, now).then_some(()).ok_or_else(refused)
}
