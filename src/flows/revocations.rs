//! What was ended within the life of an access token, for services that check tokens themselves.

use std::sync::Arc;
use std::time::Duration;

use super::{Flows, Result};
use crate::security::access_token::Refusal;
use crate::security::revocations::Ended;

impl Flows {
    /// The sessions and accounts that were ended. Not a guess: when this instance cannot know, it
    /// says so.
    pub fn list_revocations(&self) -> Result<Arc<Ended>> {
        let ended = self.gate.revocations.all(self.now());
        ended.ok_or_else(|| Refusal::Unknowable.into())
    }

    /// How long what was ended stays listed.
    pub fn revocation_window(&self) -> Duration {
        self.gate.revocations.keep()
    }
}
