//! Comparison of two samples of response times (Mann-Whitney U test).

use std::time::Duration;

use hallpass::domain::token::random_bytes;

use super::connection::Answer;

/// The user that a request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    Known,
    Unknown,
}

/// The times of both arms, and the form of the responses.
#[derive(Default)]
pub struct Measured {
    known: Vec<Duration>,
    unknown: Vec<Duration>,
    look: Option<String>,
}

impl Measured {
    pub fn times_of(&mut self, arm: Arm) -> &mut Vec<Duration> {
        match arm {
            Arm::Known => &mut self.known,
            Arm::Unknown => &mut self.unknown,
        }
    }

    /// Compares a response with the first one.
    pub fn looks_alike(&mut self, arm: Arm, answer: &Answer) {
        let first = self.look.get_or_insert_with(|| answer.look.clone());
        assert_eq!(*first, answer.look, "{arm:?}");
    }

    /// Returns the probability that a time of a known user is longer than that of an unknown one.
    pub fn auc(&self) -> f64 {
        auc(&self.known, &self.unknown)
    }

    pub fn medians(&self) -> String {
        let median = |times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort_unstable();
            times[times.len() / 2].as_micros()
        };
        format!("medians {} and {} µs", median(&self.known), median(&self.unknown))
    }
}

/// Returns the probability that a time of `one` is longer than a time of `other`; 0.5 if they are
/// indistinguishable.
fn auc(one: &[Duration], other: &[Duration]) -> f64 {
    let halves: u32 = one
        .iter()
        .flat_map(|a| other.iter().map(move |b| 1 + u32::from(a > b) - u32::from(a < b)))
        .sum();
    let pairs = u32::try_from(one.len() * other.len()).unwrap();
    f64::from(halves) / f64::from(2 * pairs)
}

/// Returns whether known and unknown users are indistinguishable.
pub fn is_alike(auc: f64) -> bool {
    (0.45..=0.55).contains(&auc)
}

pub fn median_of_five(mut aucs: [f64; 5]) -> f64 {
    aucs.sort_unstable_by(f64::total_cmp);
    aucs[2]
}

/// Returns the numbers below `count` for both arms, in an unpredictable order.
pub fn shuffled(count: usize) -> Vec<(Arm, usize)> {
    let mut asked: Vec<(u64, Arm, usize)> = [Arm::Known, Arm::Unknown]
        .into_iter()
        .flat_map(|arm| (0..count).map(move |number| (arm, number)))
        .map(|(arm, number)| (u64::from_le_bytes(random_bytes()), arm, number))
        .collect();
    asked.sort_unstable_by_key(|(place, _, _)| *place);
    asked.into_iter().map(|(_, arm, number)| (arm, number)).collect()
}

#[test]
fn samples_are_told_apart_by_their_order() {
    let times =
        |from: u64, to: u64| -> Vec<Duration> { (from..to).map(Duration::from_millis).collect() };
    let is = |one: &[Duration], other: &[Duration], expected: f64| {
        assert!((auc(one, other) - expected).abs() < 1e-9, "{} {expected}", auc(one, other));
    };
    is(&times(0, 10), &times(0, 10), 0.5);
    is(&times(10, 20), &times(0, 10), 1.0);
    is(&times(0, 10), &times(10, 20), 0.0);
    is(&times(0, 2), &times(1, 3), 0.125);
    assert!((median_of_five([0.7, 0.4, 0.6, 0.9, 0.3]) - 0.6).abs() < 1e-9);
    assert!(is_alike(0.5) && !is_alike(0.56) && !is_alike(0.44));
}
