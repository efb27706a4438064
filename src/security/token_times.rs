//! Limits of the times in access tokens, shared by tokens and the schedule of keys.

use std::time::Duration;

use crate::domain::CLOCKS_DIFFER;

/// The longest lifetime that can be set, and the longest that is accepted: instances may have
/// different settings for a while.
pub const MAX_LIFETIME: Duration = Duration::from_mins(15);

/// Tolerance for the times in tokens.
pub const LEEWAY: Duration = CLOCKS_DIFFER;
