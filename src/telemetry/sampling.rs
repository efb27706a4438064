//! Sampling of repeated lines: a client that is refused again and again, or a database that is
//! away, must not fill the disk. The first lines of each minute are written, by place in the
//! source; the rest is counted.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// The target of lines that clients can cause at no cost.
pub const REFUSALS: &str = "hallpass::refusals";

/// The lines of one place that are written in each window.
const LINES: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);

/// Lets through the first lines of each place in each window: refusals, warnings and errors.
/// Refusals with different codes are told apart, so that a flood of one does not hide the others.
#[derive(Default)]
pub(super) struct Sampling {
    places: Mutex<HashMap<(Identifier, Code), Place>>,
}

/// A digest of the field `code`, which has few values; 0 without one.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Code(u64);

impl Code {
    fn of(event: &Event<'_>) -> Self {
        let mut code = Self::default();
        event.record(&mut code);
        code
    }
}

impl Visit for Code {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "code" {
            self.0 = BuildHasherDefault::<DefaultHasher>::default().hash_one(value);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

struct Place {
    source: &'static str,
    line: u32,
    began: Instant,
    lines: u32,
    left_out: u64,
}

/// The lines of one place that were left out.
pub(super) struct LeftOut {
    /// The place, file and line.
    pub(super) place: String,
    /// Their number.
    pub(super) lines: u64,
}

impl Sampling {
    /// Returns the lines that were left out since the last call, by place.
    pub(super) fn take_left_out(&self) -> Vec<LeftOut> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let left_out = places.values_mut().filter(|place| place.left_out > 0);
        left_out
            .map(|place| LeftOut {
                place: format!("{}:{}", place.source, place.line),
                lines: std::mem::take(&mut place.left_out),
            })
            .collect()
    }

    fn may_write(&self, metadata: &'static Metadata<'static>, code: Code, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let place = places.entry((metadata.callsite(), code)).or_insert_with(|| Place {
            source: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            began: now,
            lines: 0,
            left_out: 0,
        });
        if now.duration_since(place.began) >= WINDOW {
            (place.began, place.lines) = (now, 0);
        }
        place.lines += 1;
        let may = place.lines <= LINES;
        place.left_out += u64::from(!may);
        may
    }
}

impl<S> Filter<S> for &'static Sampling {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        let is_sampled = *metadata.level() <= Level::WARN || metadata.target() == REFUSALS;
        !is_sampled || self.may_write(metadata, Code::of(event), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Callsite as _;

    use super::*;

    #[test]
    fn the_first_lines_of_a_minute_are_written_and_the_rest_is_counted() {
        let sampling = Sampling::default();
        let place = tracing::callsite! {
            name: "a place", kind: tracing::metadata::Kind::EVENT, fields: message
        };
        let metadata = place.metadata();
        let began = Instant::now();
        let written_of = |code: Code, at: Instant| {
            (0..1000).filter(|_| sampling.may_write(metadata, code, at)).count()
        };
        let written = |at| written_of(Code(0), at);
        assert_eq!(written(began), 60);
        assert_eq!(written(began + WINDOW / 2), 0);
        // Another code has lines of its own.
        assert_eq!(written_of(Code(1), began), 60);
        let left_out = sampling.take_left_out();
        let mut lines: Vec<u64> = left_out.iter().map(|it| it.lines).collect();
        lines.sort_unstable();
        assert_eq!(lines, [940, 1940]);
        assert!(left_out[0].place.contains("sampling.rs:"), "{}", left_out[0].place);
        assert!(sampling.take_left_out().is_empty());
        assert_eq!(written(began + WINDOW), 60);
    }
}
