//! Answers to challenges by a code: comparison, number of attempts, and constant-time refusals.

use std::thread;
use std::time::{Duration, Instant};

use crate::domain::secrets::Secrets;
use crate::domain::{Challenge, ChallengeId, PlainToken, UtcTime};
use crate::flows::{Error, Result};
use crate::store::{self, Conn, challenges};

/// Quantum of the response time of a refusal: far longer than a row takes to write, and too short
/// for a user to notice.
const QUANTUM: Duration = Duration::from_millis(20);

/// Returns whether `code` is the code of the challenge. It reserves an attempt, compares, and
/// releases the attempt if the code is right, so concurrent guesses are counted like consecutive
/// ones. The caller must commit in either case.
///
/// Without a challenge the same statements run but write nothing, which takes less time. The caller
/// must pass the refusal through [`pad_refusal`].
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

/// Runs `answer`, and delays a refusal of a code to a multiple of [`QUANTUM`]. An attempt is
/// counted with a write, but without a challenge, or without an attempt left, there is nothing to
/// write.
///
/// If the work ends well before the first quantum, its duration is not observable. On a busy
/// service, a difference of a hundredth of a quantum shows in about one of a hundred responses.
pub(crate) fn pad_refusal<T>(answer: impl FnOnce() -> Result<T>) -> Result<T> {
    let began = Instant::now();
    let outcome = answer();
    if matches!(outcome, Err(Error::CodeInvalid)) {
        let passed = began.elapsed();
        let quanta = passed.as_micros() / QUANTUM.as_micros() + 1;
        let quanta = u32::try_from(quanta).unwrap_or(u32::MAX);
        // The thread sleeps: timers of the async runtime have a resolution of whole milliseconds
        // from the time they are set, and would reveal the duration of the work.
        thread::sleep(QUANTUM.saturating_mul(quanta).saturating_sub(passed));
    }
    outcome
}
