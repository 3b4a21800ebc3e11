//! The demo's live line: what it says, at any width.

use std::time::Duration;

use crate::views::model::AnnotatedEvent;

use super::latencies::Milliseconds;

/// Fewest modes beside a last event with both of its states.
const MODES_BESIDE_LONG: usize = 4;
/// Fewest modes beside a last event.
const MODES_BESIDE_SHORT: usize = 2;

/// What the line says.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Duration,
    /// Records and events per second, over the last refresh.
    pub(super) rates: [f64; 2],
    pub(super) p99: Milliseconds,
    /// Agents who are logged in, by mode.
    pub(super) modes: Vec<(&'static str, usize)>,
    pub(super) last: Option<LastEvent>,
}

/// The last event of any agent.
#[derive(Clone, Debug)]
pub(super) struct LastEvent {
    pub(super) login_id: String,
    pub(super) before: Option<String>,
    pub(super) after: String,
}

impl LastEvent {
    /// Returns what is said of an event: activities, without splits.
    pub(super) fn of((event, annotation): &AnnotatedEvent) -> Self {
        let before = annotation.previous_external_activity.as_deref();
        let without_split = |key: &str| key.split('|').next().unwrap_or_default().to_owned();
        Self {
            login_id: event.login_id.to_string(),
            before: before.map(without_split),
            after: annotation.activity_base.to_string(),
        }
    }

    fn short(&self) -> String {
        format!("  {} {}", self.login_id, self.after)
    }

    fn long(&self) -> String {
        match &self.before {
            Some(before) => format!("  {} {before} -> {}", self.login_id, self.after),
            None => self.short(),
        }
    }
}

impl Line {
    /// Returns as much of it as `width` characters have room for: first the rarest modes go, then the state before the last
    /// event, the latency, and the event. All of it without a width.
    pub(super) fn fit(&self, width: Option<usize>) -> String {
        let modes = self.by_count();
        let all = modes.len();
        let (long, short) = match &self.last {
            Some(last) => (last.long(), last.short()),
            None => (String::new(), String::new()),
        };
        let p99 = format!("  p99 {}", self.p99);
        let Some(width) = width else { return self.with(&p99, &modes, &long) };
        let least = |count: usize| count.min(all);
        let forms = [
            (least(MODES_BESIDE_LONG)..=all, p99.as_str(), long.as_str()),
            (least(MODES_BESIDE_SHORT)..=all, &p99, &short),
            (least(1)..=all, "", &short),
            (0..=all, "", ""),
        ];
        let mut narrowest = String::new();
        for (counts, p99, last) in forms {
            for count in counts.rev() {
                narrowest = self.with(p99, &modes[..count], last);
                if narrowest.chars().count() <= width {
                    return narrowest;
                }
            }
        }
        narrowest.chars().take(width).collect()
    }

    /// The modes that somebody is in, the most frequent first.
    fn by_count(&self) -> Vec<(&'static str, usize)> {
        let mut modes: Vec<_> = self.modes.iter().copied().filter(|(_, count)| *count > 0).collect();
        modes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        modes
    }

    fn with(&self, p99: &str, modes: &[(&str, usize)], last: &str) -> String {
        let [records, events] = self.rates;
        let decimals = usize::from(events < 9.95);
        let modes: Vec<String> = modes.iter().map(|(mode, count)| format!("{mode} {count}")).collect();
        let colon = if modes.is_empty() { "" } else { ": " };
        format!(
            "{:>4.0} s  {records:.0} records/s  {events:.decimals$} events/s{p99}  {} agents{colon}{}{last}",
            self.at.as_secs_f64(),
            self.modes.iter().map(|(_, count)| count).sum::<usize>(),
            modes.join(", "),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        Line {
            at: Duration::from_secs(31),
            rates: [133.3, 12.34],
            p99: Milliseconds(Some(Duration::from_micros(5_290))),
            modes: vec![("AVAIL", 62), ("ACD", 165), ("ACW", 84), ("AUX", 80), ("DACD", 0), ("RING", 9)],
            last: Some(LastEvent { login_id: "300018".into(), before: Some("AVAIL".into()), after: "ACD:in".into() }),
        }
    }

    #[test]
    fn what_is_said_at_each_width() {
        let cases = [
            (
                None,
                "  31 s  133 records/s  12 events/s  p99 5.29 ms  400 agents: ACD 165, ACW 84, AUX 80, AVAIL 62, RING 9  \
                 300018 AVAIL -> ACD:in",
            ),
            (
                Some(120),
                "  31 s  133 records/s  12 events/s  p99 5.29 ms  400 agents: ACD 165, ACW 84, AUX 80, AVAIL 62  \
                 300018 AVAIL -> ACD:in",
            ),
            (
                Some(110),
                "  31 s  133 records/s  12 events/s  p99 5.29 ms  400 agents: ACD 165, ACW 84, AUX 80, AVAIL 62  \
                 300018 ACD:in",
            ),
            (Some(79), "  31 s  133 records/s  12 events/s  400 agents: ACD 165, ACW 84  300018 ACD:in"),
            (Some(60), "  31 s  133 records/s  12 events/s  400 agents: ACD 165"),
            (Some(20), "  31 s  133 records/"),
            (Some(0), ""),
        ];
        for (width, expected) in cases {
            assert_eq!(line().fit(width), expected, "{width:?}");
        }
        for width in 0..200 {
            assert!(line().fit(Some(width)).len() <= width, "{width}");
        }
    }

    #[test]
    fn before_anything_has_come_it_says_so_much() {
        let nothing = Line {
            at: Duration::from_millis(500),
            rates: [0.0; 2],
            p99: Milliseconds(None),
            modes: Vec::new(),
            last: None,
        };
        assert_eq!(nothing.fit(Some(79)), "   0 s  0 records/s  0.0 events/s  p99 -  0 agents");
    }
}
