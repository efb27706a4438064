//! Documents of providers that are kept in memory: metadata and key sets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::ProviderError;
use crate::domain::UtcTime;

/// The time after which a document is fetched again.
const MAX_AGE: Duration = Duration::from_hours(1);
/// The time for which a document serves while it cannot be fetched again.
const MAX_STALE: Duration = Duration::from_hours(24);
/// The time between two attempts after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// The time between two fetches that clients can cause, with tokens that name unknown keys.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// A document, fetched by one thread at a time.
pub(super) struct Cached<T> {
    endpoint: &'static str,
    state: Mutex<State<T>>,
    fetching: Mutex<()>,
}

struct State<T> {
    value: Option<(Arc<T>, UtcTime)>,
    attempted_at: Option<UtcTime>,
}

impl<T> Clone for State<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), attempted_at: self.attempted_at }
    }
}

impl<T> State<T> {
    fn younger_than(&self, age: Duration, now: UtcTime) -> Option<Arc<T>> {
        let (value, fetched_at) = self.value.as_ref()?;
        is_within(*fetched_at, age, now).then(|| Arc::clone(value))
    }
}

/// Returns whether `now` is less than `span` from `time`. A clock that was set back counts as
/// elapsed.
fn is_within(time: UtcTime, span: Duration, now: UtcTime) -> bool {
    let elapsed = now.micros().checked_sub(time.micros()).and_then(|it| u64::try_from(it).ok());
    elapsed.is_some_and(|elapsed| u128::from(elapsed) < span.as_micros())
}

impl<T> Cached<T> {
    pub(super) fn new(endpoint: &'static str) -> Self {
        let state = State { value: None, attempted_at: None };
        Self { endpoint, state: Mutex::new(state), fetching: Mutex::new(()) }
    }

    /// Returns the document, fetched if it is old or missing.
    pub(super) fn get(
        &self,
        now: UtcTime,
        fetch: impl FnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        if let Some(value) = self.state().younger_than(MAX_AGE, now) {
            return Ok(value);
        }
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        if let Some(value) = state.younger_than(MAX_AGE, now) {
            return Ok(value);
        }
        let old = state.younger_than(MAX_STALE, now);
        if state.attempted_at.is_some_and(|at| is_within(at, RETRY_INTERVAL, now)) {
            return old.ok_or(ProviderError::Waiting { endpoint: self.endpoint });
        }
        match (self.fetch(now, fetch), old) {
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "a provider's document is out of date");
                Ok(old)
            }
            (outcome, _) => outcome,
        }
    }

    /// Fetches the document anew unless this was tried a moment ago; returns the one there is then.
    pub(super) fn refresh(
        &self,
        now: UtcTime,
        fetch: impl FnOnce() -> Result<T, ProviderError>,
    ) -> Option<Arc<T>> {
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        if state.attempted_at.is_some_and(|at| is_within(at, REFRESH_INTERVAL, now)) {
            return state.younger_than(MAX_STALE, now);
        }
        self.fetch(now, fetch)
            .inspect_err(|error| tracing::warn!(%error, "a provider's document cannot be fetched"))
            .ok()
    }

    fn fetch(
        &self,
        now: UtcTime,
        fetch: impl FnOnce() -> Result<T, ProviderError>,
    ) -> Result<Arc<T>, ProviderError> {
        let fetched = fetch().map(Arc::new);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.attempted_at = Some(now);
        if let Ok(value) = &fetched {
            state.value = Some((Arc::clone(value), now));
        }
        fetched
    }

    fn state(&self) -> State<T> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UtcTime = UtcTime::from_seconds(1_800_000_000);

    fn after(seconds: i64) -> UtcTime {
        UtcTime::from_seconds(1_800_000_000 + seconds)
    }

    fn failure() -> Result<u32, ProviderError> {
        Err(ProviderError::Busy)
    }

    #[test]
    fn a_document_is_kept_refetched_and_survives_an_outage_for_a_day() {
        let cached = Cached::new("keys");
        assert_eq!(*cached.get(START, || Ok(1)).unwrap(), 1);
        assert_eq!(*cached.get(after(3599), || panic!("fresh")).unwrap(), 1);
        assert_eq!(*cached.get(after(3600), || Ok(2)).unwrap(), 2);
        assert_eq!(*cached.get(after(7200), failure).unwrap(), 2);
        assert_eq!(*cached.get(after(7204), || panic!("tried a moment ago")).unwrap(), 2);
        assert_eq!(*cached.get(after(7205), failure).unwrap(), 2);
        assert!(cached.get(after(90_000), failure).is_err());
    }

    #[test]
    fn without_a_document_a_failure_is_not_repeated_at_once() {
        let cached = Cached::new("keys");
        assert!(cached.get(START, failure).is_err());
        let waiting = cached.get(after(4), || panic!("tried a moment ago")).unwrap_err();
        assert!(matches!(waiting, ProviderError::Waiting { .. }));
        assert_eq!(*cached.get(after(5), || Ok(1)).unwrap(), 1);
    }

    #[test]
    fn clients_cause_one_fetch_in_half_a_minute() {
        let cached = Cached::new("keys");
        assert_eq!(*cached.get(START, || Ok(1)).unwrap(), 1);
        assert_eq!(*cached.refresh(after(29), || panic!("too early")).unwrap(), 1);
        assert_eq!(*cached.refresh(after(30), || Ok(2)).unwrap(), 2);
        assert_eq!(*cached.refresh(after(59), || panic!("too early")).unwrap(), 2);
        assert!(cached.refresh(after(60), failure).is_none());
        assert_eq!(*cached.get(after(61), || panic!("fresh")).unwrap(), 2);
    }
}
