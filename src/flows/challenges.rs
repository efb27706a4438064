//! Answers to challenges by a code: its comparison, its tries, and a refusal whose time tells
//! nothing.

use std::thread;
use std::time::{Duration, Instant};

use crate::domain::token::Secrets;
use crate::domain::{Challenge, ChallengeId, PlainToken, UtcTime};
use crate::flows::{Error, Result};
use crate::store::{self, Conn, challenges};

/// The quantum of the time of a refusal: far more than it takes to write a row, and too short for a
/// person to notice.
const QUANTUM: Duration = Duration::from_millis(20);

/// Returns true if `code` is that of the challenge. It takes a try, compares, and releases the try
/// if the code is right, so that concurrent guesses are counted like consecutive ones. The caller
/// must commit whatever the outcome is.
///
/// Without a challenge the database is asked the same. But then it has nothing to write, which
/// takes less time: the refusal must be one of [`pad_refusal`].
pub(crate) fn check_code(
    conn: &mut Conn,
    secrets: &Secrets,
    challenge: Option<&Challenge>,
    code: &PlainToken,
    now: UtcTime,
) -> store::Result<bool> {
    let id = challenge.map_or_else(|| ChallengeId::new(now), |it| it.id.clone());
    let (of_code, in_all) = (Challenge::CODE_TRIES, Challenge::WRONG_CODES);
    let has_try = challenges::reserve_code_try(conn, &id, of_code, in_all)?;
    let stored = challenge.and_then(|it| it.code_hash.as_ref());
    let is_right =
        has_try && stored.is_some_and(|stored| secrets.is_code(id.as_str(), code, stored));
    if is_right {
        challenges::return_code_try(conn, &id)?;
    }
    Ok(is_right)
}

/// Runs `answer`. The refusal of a code returns after a whole number of quanta: a try of a code is
/// counted, and where there is no code, or no try is left, there may be nothing to count.
///
/// If the work ends well before the first quantum, its time cannot be seen. On a busy service a
/// difference of a hundredth of a quantum is seen in about one of a hundred answers.
pub(crate) fn pad_refusal<T>(answer: impl FnOnce() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let outcome = answer();
    if matches!(outcome, Err(Error::CodeInvalid)) {
        let passed = began.elapsed();
        let quanta = passed.as_micros() / QUANTUM.as_micros() + 1;
        let quanta = u32::try_from(quanta).unwrap_or(u32::MAX);
        // The thread sleeps: timers of the async runtime count whole milliseconds from when they
        // are set, and so tell how long the work took.
        thread::sleep(QUANTUM.saturating_mul(quanta).saturating_sub(passed));
    }
    outcome
}
