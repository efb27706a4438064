//! Sampling of repeated lines: a client that is refused again and again, a user who repeats the
//! same request, or a database that is away, must not fill the disk. The first lines of each minute
//! are written, by place in the source; the rest is counted.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// The target of lines that clients can cause at no cost.
pub const REFUSALS: &str = "hallpass::refusals";

/// The lines of one place that are written in each window.
const LINES: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);
/// Most places and topics that are counted apart; about 3 MB. Beyond them, accounts share a topic.
const MOST_PLACES: usize = 20_000;

/// Lets through the first lines of each place and topic in each window.
#[derive(Default)]
pub(super) struct Sampling {
    places: Mutex<HashMap<(Identifier, Topic), Place>>,
}

/// The subject that the lines of one place are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Topic {
    /// A digest of the field `code`, 0 without one, of refusals, warnings and errors: a flood with
    /// one code does not hide the others. There are few codes.
    Code(u64),
    /// The account, in lines about a request that succeeded: one account does not hide the others.
    Account(i64),
}

/// The fields of a line that its topic depends on.
#[derive(Default)]
struct Fields {
    code: u64,
    user_id: Option<i64>,
}

impl Topic {
    /// Returns the topic of a line; `None` if the line is always written.
    fn of(event: &Event<'_>) -> Option<Self> {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        if *metadata.level() <= Level::WARN || metadata.target() == REFUSALS {
            return Some(Self::Code(fields.code));
        }
        fields.user_id.map(Self::Account)
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "code" {
            self.code = BuildHasherDefault::<DefaultHasher>::default().hash_one(value);
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "user_id" {
            self.user_id = Some(value);
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
    /// Returns the lines that were left out since the last call, by place, and forgets the windows
    /// that have ended.
    pub(super) fn take_left_out(&self, now: Instant) -> Vec<LeftOut> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left_out: BTreeMap<(&str, u32), u64> = BTreeMap::new();
        for place in places.values_mut().filter(|place| place.left_out > 0) {
            let lines = left_out.entry((place.source, place.line)).or_default();
            *lines += std::mem::take(&mut place.left_out);
        }
        places.retain(|_, place| now.duration_since(place.began) < WINDOW);
        left_out
            .into_iter()
            .map(|((source, line), lines)| LeftOut { place: format!("{source}:{line}"), lines })
            .collect()
    }

    fn may_write(&self, metadata: &'static Metadata<'static>, topic: Topic, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = if places.len() < MOST_PLACES { topic } else { Topic::Code(0) };
        let place = places.entry((metadata.callsite(), topic)).or_insert_with(|| Place {
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

impl<S: Subscriber> Layer<S> for &'static Sampling {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        Topic::of(event).is_none_or(|topic| self.may_write(metadata, topic, Instant::now()))
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
        let written_of = |topic: Topic, at: Instant| {
            (0..1000).filter(|_| sampling.may_write(metadata, topic, at)).count()
        };
        let written = |at| written_of(Topic::Code(0), at);
        assert_eq!(written(began), 60);
        assert_eq!(written(began + WINDOW / 2), 0);
        // Another code and another account have lines of their own.
        assert_eq!(written_of(Topic::Code(1), began), 60);
        assert_eq!(written_of(Topic::Account(1), began), 60);
        assert_eq!(written_of(Topic::Account(2), began + WINDOW / 2), 60);
        let left_out = sampling.take_left_out(began + WINDOW / 2);
        assert_eq!(left_out.len(), 1, "one place");
        assert_eq!(left_out[0].lines, 1940 + 3 * 940);
        assert!(left_out[0].place.contains("sampling.rs:"), "{}", left_out[0].place);
        assert!(sampling.take_left_out(began + WINDOW).is_empty());
        assert_eq!(sampling.places.lock().unwrap().len(), 1, "the windows that last");
        assert_eq!(written(began + WINDOW), 60);
    }
}
