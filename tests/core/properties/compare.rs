//! Whether the same was published.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rtalink::engine::Finding;
use rtalink::time::Timestamp;
use rtalink::tracker::event::{AgentEvent, Cause, Evidence, StatusKind};
use rtalink::tracker::listening::Listening;
use rtalink::tracker::since::Quality;
use rtalink::tracker::status::Totals;

use super::play::{Memories, Told};
use super::told::tell;

/// What a change of a capture may change in what is published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Normal {
    /// Microseconds that the right one is later.
    pub(crate) shifted_by: i64,
    /// Login ids of the left one, as the right one has them.
    pub(crate) renames: BTreeMap<String, String>,
    pub(crate) without_raw: bool,
    pub(crate) without_offsets: bool,
    pub(crate) without_totals: bool,
    /// Other lines than records may be more.
    pub(crate) without_lines: bool,
    /// Of connections that are no feed: what is closed, and what was a probe.
    pub(crate) without_closes: bool,
    /// Bytes that are no valid record come at other moments: when it is said that only such come may differ.
    pub(crate) without_garbled: bool,
    pub(crate) without_last_seen: bool,
    /// What a status counts is that of its moment: events may precede it here that follow it in the other run.
    pub(crate) without_figures: bool,
    /// What would be remembered is the same, too.
    pub(crate) with_memories: bool,
    /// How often was looked whether the feed is listened to may differ.
    pub(crate) without_listening: bool,
    /// What comes of one step, in any order.
    pub(crate) as_sets: bool,
    /// But each agent's events in theirs, and no status before a log-out for absence that it came behind.
    pub(crate) in_order: bool,
    /// Last records of mode `delta` are forgotten: who is UNKNOWN by them is counted anew.
    pub(crate) without_unreadable: bool,
    /// The right one was restarted; the left one was disconnected.
    pub(crate) is_restarted: bool,
}

/// What was published, ready to be compared.
pub(crate) struct Comparable {
    findings: Vec<(usize, Finding)>,
    totals: Totals,
    memories: Option<Memories>,
}

impl Comparable {
    pub(crate) fn left(told: &Told, normal: &Normal) -> Self {
        Self::new(told, normal, 0, &normal.renames)
    }

    pub(crate) fn right(told: &Told, normal: &Normal) -> Self {
        Self::new(told, normal, normal.shifted_by, &BTreeMap::new())
    }

    fn new(told: &Told, normal: &Normal, shifted_by: i64, renames: &BTreeMap<String, String>) -> Self {
        let mut findings = Vec::new();
        for (step, found) in told.by_step.iter().enumerate() {
            for finding in found {
                if normal.keeps(finding) {
                    let mut finding = copy(finding);
                    normal.settle(&mut finding, shifted_by, renames);
                    findings.push((if normal.as_sets { step } else { 0 }, finding));
                }
            }
        }
        let mut totals = told.totals;
        normal.settle_totals(&mut totals);
        let mut memories = normal.with_memories.then(|| told.memories.clone());
        if let Some((feed, _)) = memories.as_mut().filter(|_| normal.without_listening) {
            feed.listening = Listening::default();
        }
        Self { findings, totals, memories }
    }

    /// Events compared; or where both differ first.
    pub(crate) fn compare(&mut self, other: &mut Self, normal: &Normal) -> Result<usize, usize> {
        let first = self.compare_in_order(other);
        if first.is_ok() || !normal.as_sets {
            return first;
        }
        if normal.in_order
            && let Some(at) = self.out_of_order(other)
        {
            return Err(at);
        }
        for findings in [&mut self.findings, &mut other.findings] {
            findings.sort_by_cached_key(|(step, finding)| (*step, format!("{finding:?}")));
        }
        self.compare_in_order(other)
    }

    /// The first finding of the other that comes before one that it has to come behind.
    fn out_of_order(&self, other: &Self) -> Option<usize> {
        let mut left: BTreeMap<String, VecDeque<&Finding>> = BTreeMap::new();
        for (_, finding) in &self.findings {
            left.entry(whose(finding)).or_default().push_back(finding);
        }
        let (of_left, of_right) = (absent_before_statuses(&self.findings), absent_before_statuses(&other.findings));
        let mut status = 0;
        other.findings.iter().position(|(_, finding)| {
            let is_next =
                left.get_mut(&whose(finding)).and_then(VecDeque::pop_front).is_some_and(|left| is_same(left, finding));
            let mut is_late = true;
            if matches!(finding, Finding::Status(_)) {
                is_late = of_left.get(status).is_none_or(|left| of_right[status] >= *left);
                status += 1;
            }
            !is_next || !is_late
        })
    }

    fn compare_in_order(&self, other: &Self) -> Result<usize, usize> {
        let both = self.findings.iter().zip(&other.findings);
        if let Some(at) = both.clone().position(|(left, right)| left.0 != right.0 || !is_same(&left.1, &right.1)) {
            return Err(at);
        }
        if self.findings.len() != other.findings.len() {
            return Err(self.findings.len().min(other.findings.len()));
        }
        if self.totals != other.totals || self.memories != other.memories {
            return Err(self.findings.len());
        }
        Ok(self.findings.iter().filter(|(_, finding)| matches!(finding, Finding::Event(..))).count())
    }

    /// For people: what comes before the finding `at`, and that one in full.
    pub(crate) fn show(&self, at: usize) -> String {
        let mut text = String::new();
        for (_, finding) in self.findings.iter().take(at).skip(at.saturating_sub(6)) {
            tell(finding, &mut text);
        }
        for (_, finding) in self.findings.iter().skip(at).take(3) {
            text.push_str("> ");
            tell(finding, &mut text);
            if matches!(finding, Finding::Snapshot(_)) {
                text.push('\n');
            }
        }
        if let Some((_, finding)) = self.findings.get(at) {
            text += &format!("{finding:?}\n");
        }
        text += &format!("{} findings, {:?}\n", self.findings.len(), self.totals);
        match &self.memories {
            Some((feed, agents)) if at >= self.findings.len() => text + &format!("{feed:?}\n{agents:?}\n"),
            _ => text,
        }
    }
}

/// An agent, or the kind of what has no agent.
fn whose(finding: &Finding) -> String {
    match finding {
        Finding::Event(event, _) => format!("{}/{}", event.acd, event.login_id),
        Finding::Status(_) => "statuses".to_owned(),
        Finding::DeadLetter(_) => "dead letters".to_owned(),
        Finding::Snapshot(_) => "snapshots".to_owned(),
        Finding::Close(..) => "closes".to_owned(),
        Finding::Probe(_) => "probes".to_owned(),
    }
}

/// For each status how many log-outs for absence come before it.
fn absent_before_statuses(findings: &[(usize, Finding)]) -> Vec<usize> {
    let mut absent = 0;
    let counts = findings.iter().filter_map(|(_, finding)| {
        let is_absence = |event: &AgentEvent| event.evidence == Some(Evidence::Absence);
        absent += usize::from(matches!(finding, Finding::Event(event, _) if is_absence(event)));
        matches!(finding, Finding::Status(_)).then_some(absent)
    });
    counts.collect()
}

fn copy(finding: &Finding) -> Finding {
    match finding {
        Finding::Event(event, annotation) => Finding::Event(event.clone(), annotation.clone()),
        Finding::Status(status) => Finding::Status(status.clone()),
        Finding::DeadLetter(letter) => Finding::DeadLetter(letter.clone()),
        Finding::Snapshot(snapshot) => Finding::Snapshot(*snapshot),
        Finding::Close(connection, reason) => Finding::Close(*connection, *reason),
        Finding::Probe(peer) => Finding::Probe(peer.clone()),
    }
}

fn is_same(left: &Finding, right: &Finding) -> bool {
    match (left, right) {
        (Finding::Event(event, annotation), Finding::Event(other, other_annotation)) => {
            event == other && annotation == other_annotation
        }
        (Finding::Status(status), Finding::Status(other)) => status == other,
        (Finding::DeadLetter(letter), Finding::DeadLetter(other)) => letter == other,
        (Finding::Snapshot(snapshot), Finding::Snapshot(other)) => snapshot == other,
        (Finding::Close(connection, reason), Finding::Close(other, other_reason)) => {
            connection == other && reason == other_reason
        }
        (Finding::Probe(peer), Finding::Probe(other)) => peer == other,
        _ => false,
    }
}

impl Normal {
    fn keeps(&self, finding: &Finding) -> bool {
        match finding {
            Finding::Close(..) | Finding::Probe(_) => !self.without_closes,
            Finding::Snapshot(_) => !self.is_restarted,
            Finding::Status(status) => {
                // Takeovers and probes are counted by each process for itself.
                let is_of_one_process = matches!(
                    status.event.kind,
                    StatusKind::Flapping | StatusKind::Connected | StatusKind::Disconnected
                );
                let is_unreadable = status.event.kind == StatusKind::Unreadable;
                let is_garbled = is_unreadable && status.event.affected == 0;
                let is_left_out = self.is_restarted && is_of_one_process
                    || self.without_garbled && is_garbled
                    || self.without_unreadable && is_unreadable;
                !is_left_out
            }
            _ => true,
        }
    }

    fn settle_totals(&self, totals: &mut Totals) {
        if self.without_totals {
            *totals = Totals::default();
        }
        if self.without_lines {
            totals.skipped = 0;
            totals.markers = 0;
        }
        if self.without_closes {
            totals.probes = 0;
        }
    }

    fn settle(&self, finding: &mut Finding, shifted_by: i64, renames: &BTreeMap<String, String>) {
        let back = |at: &mut Timestamp| *at = Timestamp::from_micros(at.as_micros() - shifted_by);
        let rename = |id: &mut Arc<str>| {
            if let Some(renamed) = renames.get(&**id) {
                *id = Arc::from(renamed.as_str());
            }
        };
        match finding {
            Finding::Event(event, annotation) => {
                event.agent = 0;
                let times =
                    [&mut event.state_since, &mut event.observed_at].into_iter().chain(&mut annotation.activity_since);
                times.for_each(back);
                if let Some(previous) = &mut event.previous {
                    back(&mut previous.state_since);
                    back(&mut previous.last_seen);
                    if self.without_last_seen {
                        previous.last_seen = Timestamp::default();
                    }
                }
                rename(&mut event.login_id);
                rename(&mut annotation.external_user);
                let is_first_sight =
                    event.cause == Cause::Observed || event.cause == Cause::LoggedIn && event.previous.is_none();
                if self.is_restarted && is_first_sight {
                    // Who was absent before they came is known of one run only.
                    event.cause = Cause::Observed;
                    if event.quality == Quality::WithinRefresh {
                        event.quality = Quality::AfterGap;
                    }
                }
            }
            Finding::Status(status) => {
                back(&mut status.event.at);
                status.figures.last_record_at.iter_mut().for_each(back);
                if let StatusKind::Restored { gap_from, gap_to } = &mut status.event.kind {
                    back(gap_from);
                    back(gap_to);
                }
                self.settle_totals(&mut status.figures.totals);
                if self.without_totals || self.without_figures {
                    status.figures.logged_in = 0;
                }
                if self.without_figures {
                    status.figures.totals = Totals::default();
                }
                if self.is_restarted {
                    status.figures.last_record_at = None;
                }
            }
            Finding::DeadLetter(letter) => {
                back(&mut letter.received_at);
                if self.without_raw {
                    letter.raw.clear();
                }
                if self.without_offsets {
                    letter.offset = 0;
                }
            }
            Finding::Snapshot(_) | Finding::Close(..) | Finding::Probe(_) => {}
        }
    }
}
