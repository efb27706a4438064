//! Limits of the times in access tokens, shared by tokens and the schedule of keys.

use std::time::Duration;

/// The longest lifetime that can be set, and the longest that is accepted: instances may have
/// different settings for a while.
pub const MAX_LIFETIME: Duration = Duration::from_mins(15);

/// Tolerated difference between the clocks of instances.
pub const LEEWAY: Duration = Duration::from_secs(5);
