//! Constant-time responses: answers whose time must not depend on secrets.

use std::thread;
use std::time::{Duration, Instant};

use crate::flows::{Error, Flows};

/// Unit of the padded time: far more than a write of a row takes, and too short for a user to notice.
const QUANTUM: Duration = Duration::from_millis(20);

/// Returns `flow`, which verifies a code, such that a refusal of the code takes a multiple of
/// [`QUANTUM`] from now. A wrong code is counted by a write; an unknown or exhausted one is not, so
/// the time would reveal which codes exist.
pub fn pad_response<T>(
    flow: impl FnOnce(&Flows) -> Result<T, Error>,
) -> impl FnOnce(&Flows) -> Result<T, Error> {
    let arrived = Instant::now();
    move |flows| {
        let outcome = flow(flows);
        if matches!(outcome, Err(Error::CodeInvalid)) {
            sleep_until_next_quantum(arrived);
        }
        outcome
    }
}

/// Sleeps until the next multiple of the quantum since the arrival. Work that ends well before the
/// first multiple cannot be measured then; on a busy service a difference of a hundredth of a
/// quantum shows in about one of a hundred answers.
///
/// The thread sleeps: timers of the async runtime count whole milliseconds from when they are set,
/// and so would reveal how long the work took.
fn sleep_until_next_quantum(arrived: Instant) {
    let passed = arrived.elapsed();
    let quanta = u32::try_from(passed.as_micros() / QUANTUM.as_micros()).unwrap_or_default() + 1;
    thread::sleep((QUANTUM * quanta).saturating_sub(passed));
}
