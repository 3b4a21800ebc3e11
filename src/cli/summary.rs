//! Minutes per agent, mode and reason, in all or within a window of time.
//!
//! An event tells when its state began, which may be before the capture: how much of the time lies there is counted apart.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::wire::states::Mode;

pub(super) type AgentKey = (u32, Arc<str>);
pub(super) type Spell = (Mode, Option<u32>);

/// Time by agent and state.
pub(super) type SpentTimes = BTreeMap<(AgentKey, Spell), Spent>;

/// From when to when time counts; without ends, all that is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
}

/// Time in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) all: Duration,
    /// How much of it lies before the first line of the capture.
    pub(super) before: Duration,
}

/// Adds up how long each agent was in each mode.
#[derive(Debug, Default)]
pub(super) struct Summary {
    window: Window,
    /// Time before the capture counts only where the window says so.
    is_seen_only: bool,
    /// The first line of the capture.
    begin: Option<Timestamp>,
    open: BTreeMap<AgentKey, (Spell, Timestamp)>,
    spent: SpentTimes,
}

impl Summary {
    /// Creates one of what lies within the window. Where it has no begin, it begins with the capture if `is_seen_only`, else with
    /// the first state that is known.
    pub(super) fn new(window: Window, is_seen_only: bool) -> Self {
        Self { window, is_seen_only, ..Self::default() }
    }

    /// A line of the capture came.
    pub(super) fn line(&mut self, at: Timestamp) {
        if self.begin.is_none() {
            self.begin = Some(at);
            self.window.from = self.window.from.or(Some(at).filter(|_| self.is_seen_only));
        }
    }

    /// The first line of the capture.
    pub(super) const fn begin(&self) -> Option<Timestamp> {
        self.begin
    }

    /// An event ends one spell and begins another.
    pub(super) fn add(&mut self, event: &AgentEvent) {
        if event.cause == Cause::Remapped {
            return;
        }
        let key = (event.acd, Arc::clone(&event.login_id));
        self.end(&key, event.state_since);
        if !event.state.mode.is_logged_out() {
            self.open.insert(key, ((event.state.mode, event.state.aux_reason), event.state_since));
        }
    }

    fn end(&mut self, key: &AgentKey, at: Timestamp) {
        let Some((spell, since)) = self.open.remove(key) else { return };
        let Window { from, to } = self.window;
        if from.is_some_and(|from| at < from) || to.is_some_and(|to| since > to) {
            return;
        }
        let since = from.map_or(since, |from| since.max(from));
        let at = to.map_or(at, |to| at.min(to));
        let spent = self.spent.entry((key.clone(), spell)).or_default();
        spent.all += at.since(since);
        spent.before += self.begin.map_or(Duration::ZERO, |begin| begin.min(at).since(since));
    }

    /// Ends the spells that are open, at the last line of the capture, and returns all of them.
    pub(super) fn close(mut self, end: Timestamp) -> SpentTimes {
        let open: Vec<AgentKey> = self.open.keys().cloned().collect();
        open.iter().for_each(|key| self.end(key, end));
        self.spent
    }
}

/// Writes a table, tab-separated, with a header.
pub(super) fn write(spent: &SpentTimes, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "acd\tlogin_id\tmode\treason\tminutes\tbefore")?;
    for (((acd, login_id), (mode, reason)), Spent { all, before }) in spent {
        let reason = reason.map_or_else(String::new, |reason| reason.to_string());
        writeln!(out, "{acd}\t{login_id}\t{mode}\t{reason}\t{:.2}\t{:.2}", minutes(*all), minutes(*before))?;
    }
    Ok(())
}

/// What stderr says of time before the capture, if there is any.
pub(super) fn before_line(spent: &SpentTimes, begin: Option<Timestamp>) -> Option<String> {
    let sum = |time: fn(&Spent) -> Duration| minutes(spent.values().map(time).sum());
    let (all, before) = (sum(|spent| spent.all), sum(|spent| spent.before));
    let begin = begin.filter(|_| before > 0.0)?;
    Some(format!(
        "{before:.2} of {all:.2} minutes lie before the first line of the capture, {begin}: --from leaves them out"
    ))
}

pub(super) fn minutes(time: Duration) -> f64 {
    time.as_secs_f64() / 60.0
}
