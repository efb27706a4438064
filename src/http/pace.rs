//! When an answer is given whose time must tell nothing.

use std::thread;
use std::time::{Duration, Instant};

/// Far more than what takes longer for some than for others, and too short for a person to notice.
const STEP: Duration = Duration::from_millis(20);

/// Waits for the next whole number of steps since `arrived`. A difference of work that is a hundredth of a step
/// can then be seen in one of a hundred answers at most, however busy the service is; mostly in none.
///
/// For threads that may wait: timers of the async runtime count whole milliseconds from when they are set, and so
/// tell how long the work took.
pub fn until_next_step(arrived: Instant) {
    let passed = arrived.elapsed();
    let steps = u32::try_from(passed.as_micros() / STEP.as_micros()).unwrap_or_default() + 1;
    thread::sleep((STEP * steps).saturating_sub(passed));
}
