//! When an answer is given whose time must tell nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::flows::{Error, Flows};

/// Far more than it takes to write a row, and too short for a person to notice.
const STEP: Duration = Duration::from_millis(20);

/// `flow`, which compares a code, but a refusal of the code comes after a whole number of steps from now: a try of a code
/// is counted, and where there is no code, or no try is left, nothing may be there to count.
pub fn even<T>(
    flow: impl FnOnce(&Flows) -> Result<T, Error>,
) -> impl FnOnce(&Flows) -> Result<T, Error> {
    let arrived = Instant::now();
    move |flows| {
        let outcome = flow(flows);
        if matches!(outcome, Err(Error::CodeInvalid)) {
            sleep_until_next_step(arrived);
        }
        outcome
    }
}

/// Where the work is over well before the first step, its time cannot be seen then. On a busy service a difference of
/// a hundredth of a step is seen in about one of a hundred answers.
///
/// The thread sleeps: timers of the async runtime count whole milliseconds from when they are set, and so tell how long
/// the work took.
fn sleep_until_next_step(arrived: Instant) {
    let passed = arrived.elapsed();
    let steps = u32::try_from(passed.as_micros() / STEP.as_micros()).unwrap_or_default() + 1;
    thread::sleep((STEP * steps).saturating_sub(passed));
}
