//! Bounds of the times in access tokens, shared by tokens and the schedule of keys.

use std::time::Duration;

/// The longest life that can be set, and so the longest that is believed: instances may have
/// different settings for a while.
pub const MAX_LIFETIME: Duration = Duration::from_mins(15);

/// How far clocks of instances may be apart.
pub const LEEWAY: Duration = Duration::from_secs(5);
