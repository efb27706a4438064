//! When an answer is given whose time must tell nothing.

use std::thread;
use std::time::{Duration, Instant};

/// Far more than what takes longer for some than for others (a row more is written, in a transaction that writes in any
/// case), and too short for a person to notice.
const STEP: Duration = Duration::from_millis(20);

/// Waits for the next whole number of steps since `arrived`. Where the work is over well before the first step, its time
/// cannot be seen. On a busy service a difference of a hundredth of a step is seen in about one of a hundred answers.
///
/// For threads that may wait: timers of the async runtime count whole milliseconds from when they are set, and so
/// tell how long the work took.
pub fn until_next_step(arrived: Instant) {
    let passed = arrived.elapsed();
    let steps = u32::try_from(passed.as_micros() / STEP.as_micros()).unwrap_or_default() + 1;
    thread::sleep((STEP * steps).saturating_sub(passed));
}
