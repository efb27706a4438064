//! Validation of access tokens, in memory and without the database.

use std::sync::Arc;

use crate::flows::{Flows, Result};
use crate::security::access_token::VerifiedToken;

impl Flows {
    /// Returns the claims of a valid token.
    pub fn verify_token(&self, token: &str) -> Result<Arc<VerifiedToken>> {
        Ok(self.access_tokens.check(token, self.now())?)
    }
}
