//! Counters by outcome.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter for each outcome.
pub struct Counters(Vec<(&'static str, AtomicU64)>);

impl Counters {
    /// Counters of these outcomes, all zero.
    pub fn new(outcomes: &[&'static str]) -> Self {
        Self(outcomes.iter().map(|outcome| (*outcome, AtomicU64::new(0))).collect())
    }

    /// Counts one occurrence of a known outcome.
    pub fn count(&self, outcome: &str) {
        let counter = self.0.iter().find(|(known, _)| *known == outcome);
        debug_assert!(counter.is_some(), "no counter of {outcome}");
        if let Some((_, count)) = counter {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each outcome with its count.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        self.0.iter().map(|(outcome, count)| (*outcome, count.load(Ordering::Relaxed))).collect()
    }
}
