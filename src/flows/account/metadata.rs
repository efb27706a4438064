//! Changes of the metadata of an account, and the size of its access tokens.

use serde_json::{Map, Value};

use crate::domain::{Fault, Metadata, User, UtcTime};
use crate::flows::{Error, Field, Result};
use crate::security::access_token::TokenSettings;

/// A change of the metadata.
#[derive(Clone, Debug)]
pub enum MetadataChange {
    /// Remove all of it.
    Empty,
    /// Apply a JSON merge patch (RFC 7396).
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

/// Refuses an account whose access tokens would be longer than services accept.
pub(crate) fn require_room_in_tokens(
    tokens: &TokenSettings,
    user: &User,
    field: Field,
    now: UtcTime,
) -> Result<()> {
    require_room_after_change(tokens, None, user, field, now)
}

/// Refuses a change of the account `before` that would make its access tokens longer than services
/// accept, now or with a longer user name or e-mail address.
pub(crate) fn require_room_after_change(
    tokens: &TokenSettings,
    before: Option<&User>,
    after: &User,
    field: Field,
    now: UtcTime,
) -> Result<()> {
    let refused = || Error::invalid(field, Fault::TokenTooLarge);
    tokens.has_room(before, after, now).then_some(()).ok_or_else(refused)
}
