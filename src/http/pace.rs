//! When an answer is given whose time must tell nothing.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Far more than what takes longer for some than for others, and too short for a person to notice.
const STEP: Duration = Duration::from_millis(20);

/// Waits for the next whole number of steps since `arrived`. A difference of work that is a hundredth of a step
/// can then be seen in one of a hundred answers at most, however busy the service is; mostly in none.
pub async fn until_next_step(arrived: Instant) {
    let passed = arrived.elapsed().as_micros() / STEP.as_micros();
    let steps = u32::try_from(passed).unwrap_or_default() + 1;
    sleep_until(arrived + STEP * steps).await;
}
