//! The revocation list, for services that check tokens themselves.

use std::sync::Arc;
use std::time::Duration;

use crate::domain::UtcTime;
use crate::flows::{Flows, Result};
use crate::security::access_token::TokenError;
use crate::security::revocations::Ended;

impl Flows {
    /// Returns the sessions and users that were revoked, or those that were revoked at or after
    /// `since`, as of the version `asked` or a later one.
    ///
    /// # Errors
    /// [`crate::flows::Error::Unavailable`] when this instance cannot know.
    pub fn list_revocations(&self, asked: u64, since: Option<UtcTime>) -> Result<Arc<Ended>> {
        let ended = self.access_tokens.revocations.list_as_of(asked, since, self.now());
        ended.ok_or_else(|| TokenError::RevocationsStale.into())
    }

    /// Returns the version of the list, which increases with each change.
    pub fn revocations_version(&self) -> u64 {
        self.access_tokens.revocations.version()
    }

    /// Returns whether [`Self::list_revocations`] takes a moment only.
    pub fn are_revocations_at_hand(&self, since: Option<UtcTime>) -> bool {
        self.access_tokens.revocations.is_at_hand(since)
    }

    /// Returns whether no revocation is earlier than `since`: then the list is the whole, which many
    /// clients ask for.
    pub fn are_all_revocations_since(&self, since: Option<UtcTime>) -> bool {
        self.access_tokens.revocations.are_all_since(since)
    }

    /// Time for which a revocation stays listed.
    pub fn revocation_window(&self) -> Duration {
        self.access_tokens.revocations.keep()
    }
}
