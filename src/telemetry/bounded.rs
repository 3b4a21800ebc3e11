//! The bound on all log lines above DEBUG: a few of one kind at once, then one every so often.
//!
//! It is applied where lines are formatted, so that no place in the code can forget it: whatever a peer, a broker, a disk or
//! a feed does again and again, the log does not fill the disk. A kind is a place in the code together with the fields that
//! say *which* (integration, kind, reason, …), so that a flood of one hides no other. The first line after others were left
//! out says how many, as `suppressed`. DEBUG and TRACE are for looking closely, and are not bounded; neither is what an
//! operator asks for (`UNBOUNDED`), nor a line that itself says how many were left out.
//!
//! Cost: a lock and a lookup per line that is written or left out; nothing for lines that the level filters out.

use std::collections::HashMap;
use std::fmt::{self, Debug, Write as _};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{repeats, targets};

/// Lines of a kind that may be written at once.
const BURST: u32 = 10;

/// One more of them every so often.
const EVERY: Duration = Duration::from_secs(10);

/// Fields that distinguish kinds of lines.
const WHICH: [&str; 6] = ["integration", "kind", "reason", "topic", "facility", "name"];

/// Most kinds that are distinguished; others share one per place in the code. The values of fields are few, unless a library
/// makes up reasons.
const MOST_KINDS: usize = 1_024;

/// Where an operator's own action is answered, problem by problem: start, reload, end.
const UNBOUNDED: &str = targets::RUN;

/// Formats what is admitted as `F` does.
#[derive(Debug)]
pub(super) struct Bounded<F> {
    format: F,
    shape: Shape,
    kinds: Mutex<Kinds>,
}

/// How a field is added to a line.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// After the others.
    Text,
    /// Before the closing brace.
    Json,
}

impl<F> Bounded<F> {
    pub(super) fn new(format: F, shape: Shape) -> Self {
        Self { format, shape, kinds: Mutex::default() }
    }
}

impl<S, N, F> FormatEvent<S, N> for Bounded<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        let bounds_itself = metadata.fields().field("suppressed").is_some();
        if *metadata.level() > Level::INFO || metadata.target() == UNBOUNDED || bounds_itself {
            return self.format.format_event(context, writer, event);
        }
        let mut which = Which::default();
        event.record(&mut which);
        // Nothing written means no line.
        let Some(suppressed) = self.kinds.lock().admit(metadata.callsite(), which.0, Instant::now()) else {
            repeats::count_suppressed();
            return Ok(());
        };
        if suppressed == 0 {
            return self.format.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.format.format_event(context, Writer::new(&mut line), event)?;
        match (self.shape, line.trim_end().strip_suffix('}')) {
            (Shape::Json, Some(open)) => writeln!(writer, "{open},\"suppressed\":{suppressed}}}"),
            _ => writeln!(writer, "{} suppressed={suppressed}", line.trim_end()),
        }
    }
}

/// The values of the fields that distinguish kinds.
#[derive(Default)]
struct Which(String);

impl Which {
    fn note(&mut self, field: &Field, value: &dyn Debug) {
        if WHICH.contains(&field.name()) {
            // Writing to a string cannot fail.
            let _ = write!(self.0, "{}={value:?};", field.name());
        }
    }
}

impl Visit for Which {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, value);
    }
}

/// How much of each kind was written.
#[derive(Debug, Default)]
struct Kinds(HashMap<(Identifier, String), Kind>);

#[derive(Debug)]
struct Kind {
    left: u32,
    /// Since when the next line is earned.
    earned_from: Instant,
    suppressed: u64,
}

impl Kinds {
    /// Whether a line may be written; if so, how many of its kind were not since the last one.
    fn admit(&mut self, place: Identifier, which: String, now: Instant) -> Option<u64> {
        let key = (place, which);
        let is_full = self.0.len() >= MOST_KINDS && !self.0.contains_key(&key);
        let key = if is_full { (key.0, String::new()) } else { key };
        let new = || Kind { left: BURST, earned_from: now, suppressed: 0 };
        self.0.entry(key).or_insert_with(new).admit(now)
    }
}

impl Kind {
    fn admit(&mut self, now: Instant) -> Option<u64> {
        while self.left < BURST && now.saturating_duration_since(self.earned_from) >= EVERY {
            self.left += 1;
            self.earned_from += EVERY;
        }
        if self.left == BURST {
            self.earned_from = now;
        }
        if self.left == 0 {
            self.suppressed += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_and_then_one_in_a_while() {
        let start = Instant::now();
        let mut kind = Kind { left: BURST, earned_from: start, suppressed: 0 };
        // A thousand lines a second for a minute: the burst, and six more.
        let written: Vec<u64> =
            (0..60_000).filter_map(|millis| kind.admit(start + Duration::from_millis(millis))).collect();
        let mut expected = vec![0; 10];
        expected.extend([9_990, 9_999, 9_999, 9_999, 9_999]);
        assert_eq!(written, expected);
        // After a quiet period the burst is available again, and the first line reports what was left out.
        let later = start + EVERY * 100;
        let written: Vec<u64> = (0..20).filter_map(|_| kind.admit(later)).collect();
        assert_eq!(written, [vec![9_999], vec![0; 9]].concat());
    }

    struct Place;

    impl tracing::callsite::Callsite for Place {
        fn set_interest(&self, _: tracing::subscriber::Interest) {}

        fn metadata(&self) -> &tracing::Metadata<'_> {
            unreachable!("nobody asks what it says")
        }
    }

    #[test]
    fn kinds_beyond_the_most_share_one_of_their_place() {
        static HERE: Place = Place;
        let mut kinds = Kinds::default();
        let now = Instant::now();
        let written =
            (0..3 * MOST_KINDS).filter(|kind| kinds.admit(Identifier(&HERE), kind.to_string(), now).is_some()).count();
        assert_eq!(written, MOST_KINDS + BURST as usize);
        assert_eq!(kinds.0.len(), MOST_KINDS + 1, "one more for each place in the code");
        println!("a line of each of {} kinds, limit {MOST_KINDS}: {written} written", 3 * MOST_KINDS);
    }
}
