//! Counters by outcome.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter for each of `N` outcomes.
pub struct Counters<const N: usize> {
    outcomes: [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Counters<N> {
    /// Counters of these outcomes, all zero.
    pub fn new(outcomes: [&'static str; N]) -> Self {
        Self { outcomes, counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts one occurrence. An unknown outcome is not counted.
    pub fn count(&self, outcome: &str) {
        if let Some(at) = self.outcomes.iter().position(|known| *known == outcome) {
            self.counts[at].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns each outcome with its count.
    pub fn totals(&self) -> Vec<(&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        self.outcomes.into_iter().zip(counts).collect()
    }
}
