//! What lies in Kafka, judged against what the CMS of the test really sent.
//!
//! Always: an agent's sequences are 1, 2, 3, …, each event says what the one before it left, every event is about a
//! state that was on the wire, in that order, and the last one is the truth, on both topics. A copy is byte for byte
//! what it is a copy of. States that a snapshot said which rtalink had read well before it was killed must have an
//! event; what it had not read, or had just read, may be unseen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;

use rtalink::contract::v1;
use rtalink::contract::v1::feed_status::Kind;

use super::centre::{Agent, Centre, Sight, is_logged_out, number};
use super::faults::Faults;
use crate::support::topic::{self, Received};

/// What was promised.
pub(crate) struct Expected<'a> {
    pub(crate) centre: &'a Centre,
    /// Snapshots that rtalink has read for sure.
    pub(crate) read: &'a [RangeInclusive<u64>],
    /// No copies.
    pub(crate) exactly_once: bool,
    /// How many gaps must and may have been announced.
    pub(crate) gaps: RangeInclusive<usize>,
    pub(crate) losses: Losses,
}

/// What may be missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Losses {
    /// Nothing that was read.
    #[default]
    None,
    /// So many transitions, each a hole in its agent's sequences.
    Counted(u64),
    /// What a damaged store had beyond Kafka. An event that is not on `current` may have a successor of the same sequence.
    OfTheStore,
    /// None; but the store went back to a copy: until Kafka was there, numbers came again for other events.
    OfTheCopy,
}

/// What lies on the topics, in the order of offsets within a partition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    pub(crate) events: Vec<Received>,
    pub(crate) current: Vec<Received>,
    pub(crate) feed_status: Vec<Received>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Copies left out.
    pub(crate) events: usize,
    pub(crate) duplicates: usize,
    /// States that must have an event and have none.
    pub(crate) lost: usize,
    /// The others that have none.
    pub(crate) unseen: usize,
    /// Sequences that no event has.
    pub(crate) holes: u64,
    /// Events that were begun anew: not on `current`, and another has their sequence.
    pub(crate) superseded: usize,
    /// RESTORED statuses.
    pub(crate) gaps: usize,
    pub(crate) faults: Faults,
}

impl Published {
    /// Reads the topics, to which nobody writes any more.
    pub(crate) fn read(bootstrap: &str, topics: &str) -> Self {
        let read = |name: &str| topic::read(bootstrap, &format!("{topics}.{name}"));
        Self { events: read("events"), current: read("current"), feed_status: read("feed-status") }
    }

    /// What an integration has published, with the keys of the one that is judged.
    pub(crate) fn of(&self, integration: &str) -> Self {
        let prefix = format!("{integration}/");
        let of_it = |record: &Received| {
            let key = record.key.strip_prefix(&prefix)?;
            Some(Received { key: format!("torture/{key}"), ..record.clone() })
        };
        let is_of_it = |status: &&Received| status.feed_status().integration == integration;
        Self {
            events: self.events.iter().filter_map(of_it).collect(),
            current: self.current.iter().filter_map(of_it).collect(),
            feed_status: self.feed_status.iter().filter(is_of_it).cloned().collect(),
        }
    }
}

pub(crate) fn judge(published: &Published, expected: &Expected<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let (events, current) = (by_key(&published.events), by_key(&published.current));
    let none = Vec::new();
    let keys: BTreeMap<String, &Agent> = expected.centre.agents.iter().map(|agent| (key_of(agent), agent)).collect();
    for key in events.keys().chain(current.keys()).filter(|key| !keys.contains_key(**key)) {
        verdict.faults.add("of an agent that never was", *key);
    }
    for (key, agent) in &keys {
        let records = events.get(key.as_str()).unwrap_or(&none);
        let of_current = current.get(key.as_str()).unwrap_or(&none);
        let mut published = verdict.without_copies(key, records, expected.exactly_once);
        let mut records = records.clone();
        if expected.losses == Losses::OfTheStore {
            let superseded = superseded(&published, of_current);
            verdict.superseded += superseded.len();
            published.retain(|event| !superseded.contains(&event.event_id));
            records.retain(|record| !superseded.contains(&record.headers["event_id"]));
        }
        if expected.losses == Losses::OfTheCopy {
            // What was news to the copy is none to Kafka.
            let said =
                |event: &v1::AgentStateEvent| event.state.as_ref().map(|state| (is_logged_out(state), number(state)));
            published.dedup_by_key(|event| said(event));
        }
        verdict.sequences(key, &published, expected.losses);
        verdict.chain(key, &published, expected.losses);
        verdict.truth(key, agent, &published, expected);
        verdict.last(key, agent, &published, &records, ("events", expected.losses));
        verdict.last(key, agent, &published, of_current, ("current", expected.losses));
        if expected.exactly_once {
            verdict.without_copies(key, of_current, true);
        }
        verdict.events += published.len();
    }
    if let Losses::Counted(counted) = expected.losses
        && counted != verdict.holes
    {
        verdict.faults.add("holes are not what was counted", format!("{} holes, {counted} counted", verdict.holes));
    }
    verdict.announced(&published.feed_status, &expected.gaps);
    verdict
}

/// Records of each key, in the order of offsets.
fn by_key(records: &[Received]) -> BTreeMap<&str, Vec<&Received>> {
    let mut keys = BTreeMap::<&str, Vec<&Received>>::new();
    for record in records {
        keys.entry(&record.key).or_default().push(record);
    }
    keys
}

/// The key of an agent of the centre.
pub(crate) fn key_of(agent: &Agent) -> String {
    format!("torture/1/{}", agent.login_id)
}

impl Verdict {
    /// Each event where it stands first.
    fn without_copies(&mut self, key: &str, records: &[&Received], exactly_once: bool) -> Vec<v1::AgentStateEvent> {
        let mut first = HashMap::<&str, &Received>::new();
        let mut published = Vec::new();
        for record in records {
            let id = record.headers.get("event_id").map_or("", String::as_str);
            if let Some(original) = first.get(id) {
                self.duplicates += 1;
                let is_copy = original.value == record.value && original.headers == record.headers;
                if exactly_once || !is_copy {
                    let fault = if is_copy { "published twice" } else { "a copy that differs" };
                    self.faults.add(fault, format!("{key}: {id}"));
                }
                continue;
            }
            first.insert(id, record);
            let event = record.event();
            if event.event_id != id || record.partition != records[0].partition {
                self.faults.add("wrong id or partition", format!("{key}: {id}"));
            }
            published.push(event);
        }
        published
    }

    /// 1, 2, 3, …
    fn sequences(&mut self, key: &str, published: &[v1::AgentStateEvent], losses: Losses) {
        if losses == Losses::OfTheCopy {
            return;
        }
        let mut seen = HashSet::new();
        let mut last = 0;
        for event in published {
            let sequence = event.sequence;
            if !seen.insert(sequence) {
                self.faults.add("two events with one sequence", format!("{key}: {sequence}"));
            } else if sequence < last {
                self.faults.add("sequence out of order", format!("{key}: {sequence} after {last}"));
            } else if sequence > last + 1 {
                self.holes += sequence - last - 1;
                if losses == Losses::None {
                    self.faults.add("hole in the sequences", format!("{key}: {sequence} after {last}"));
                }
            }
            last = sequence;
        }
    }

    /// Each event begins where the one before it ended, and leads elsewhere.
    fn chain(&mut self, key: &str, published: &[v1::AgentStateEvent], losses: Losses) {
        for pair in published.windows(2) {
            // What a damaged store had between them is lost; what was merged was merged from what is there.
            let is_cut = losses == Losses::OfTheStore && pair[1].sequence != pair[0].sequence + 1;
            if is_cut || losses == Losses::OfTheCopy {
                continue;
            }
            // Who came and went while states were merged has a log-out that nobody published.
            let is_out = |state: &Option<v1::State>| state.as_ref().is_some_and(is_logged_out);
            let is_merged = matches!(losses, Losses::Counted(_)) && is_out(&pair[1].previous) && is_out(&pair[0].state);
            if pair[1].previous != pair[0].state && !is_merged {
                self.faults.add("previous is not the state before", told(key, &pair[1]));
            }
            let identity =
                |event: &v1::AgentStateEvent| event.state.as_ref().map(|state| (is_logged_out(state), number(state)));
            if identity(&pair[1]) == identity(&pair[0]) {
                self.faults.add("a change to the same state", told(key, &pair[1]));
            }
        }
    }

    /// Every event is about a state on the wire, in the order of the wire; what has none is lost or unseen.
    fn truth(&mut self, key: &str, agent: &Agent, published: &[v1::AgentStateEvent], expected: &Expected<'_>) {
        let mut has_event = vec![false; agent.history.len()];
        let mut from = 0;
        for event in published {
            let state = event.state.clone().unwrap_or_default();
            let found = agent.history.iter().position(|entry| entry.sight.is(&state));
            let Some(at) = agent.history[from..].iter().position(|entry| entry.sight.is(&state)) else {
                let fault = if found.is_some() { "not in the order of the feed" } else { "never on the wire" };
                self.faults.add(fault, told(key, event));
                continue;
            };
            has_event[from + at] = true;
            from += at + 1;
        }
        for (index, entry) in agent.history.iter().enumerate() {
            // A log-out by absence takes two snapshots: those that count for sure are judged by the end.
            if has_event[index] || entry.sight == Sight::LoggedOut {
                continue;
            }
            // The last row of a snapshot is repeated by the following ones, until there is another state.
            let said_until =
                agent.history.get(index + 1).map_or(u64::MAX, |next| (next.snapshot - 1).max(entry.snapshot));
            if expected.read.iter().any(|read| *read.start() <= said_until && entry.snapshot <= *read.end()) {
                self.lost += 1;
                if matches!(expected.losses, Losses::Counted(_)) {
                    continue;
                }
                self.faults.add("lost", format!("{key}: {:?} of snapshot {}", entry.sight, entry.snapshot));
            } else {
                self.unseen += 1;
            }
        }
    }

    /// The last record is the highest sequence and the truth; so are the last copies of all events in order.
    fn last(
        &mut self,
        key: &str,
        agent: &Agent,
        published: &[v1::AgentStateEvent],
        records: &[&Received],
        (topic, losses): (&str, Losses),
    ) {
        let Some(record) = records.last() else {
            if agent.now() != Sight::LoggedOut {
                self.faults.add("nothing published", format!("{key} on {topic}"));
            }
            return;
        };
        let last = record.event();
        if !agent.now().is(&last.state.clone().unwrap_or_default()) {
            self.faults
                .add("the end is not the truth", format!("{topic}: {}, not {:?}", told(key, &last), agent.now()));
        }
        if losses == Losses::OfTheCopy {
            return;
        }
        if published.iter().any(|event| event.sequence > last.sequence) {
            self.faults.add("the end is not the highest sequence", format!("{topic}: {}", told(key, &last)));
        }
        let mut seen = HashSet::new();
        let last_copies = records.iter().rev().filter(|record| seen.insert(&record.headers["event_id"]));
        let sequences: Vec<u64> = last_copies.map(|record| record.event().sequence).collect();
        if sequences.windows(2).any(|pair| pair[0] <= pair[1]) {
            self.faults.add("last copies out of order", format!("{key} on {topic}"));
        }
    }

    /// Gaps of which consumers were told.
    fn announced(&mut self, statuses: &[Received], expected: &RangeInclusive<usize>) {
        let mut gaps = HashSet::new();
        for status in statuses.iter().map(Received::feed_status).filter(|status| status.kind() == Kind::Restored) {
            let time = |time: Option<prost_types::Timestamp>| time.map(|time| (time.seconds, time.nanos));
            let (from, to) = (time(status.gap_from), time(status.gap_to));
            if from.is_none() || from >= to {
                self.faults.add("a gap that is none", format!("{from:?} to {to:?}"));
            }
            gaps.insert((from, to));
        }
        self.gaps = gaps.len();
        if !expected.contains(&self.gaps) {
            self.faults.add("gaps announced", format!("{}, expected {expected:?}", self.gaps));
        }
    }
}

/// Ids of events that Kafka did not have on `current` when another event took their sequence.
fn superseded(published: &[v1::AgentStateEvent], current: &[&Received]) -> HashSet<String> {
    let on_current: HashSet<&str> = current.iter().map(|record| record.headers["event_id"].as_str()).collect();
    let mut last = HashMap::<u64, usize>::new();
    for (index, event) in published.iter().enumerate() {
        last.insert(event.sequence, index);
    }
    let is_superseded = |(index, event): &(usize, &v1::AgentStateEvent)| {
        last[&event.sequence] > *index && !on_current.contains(event.event_id.as_str())
    };
    published.iter().enumerate().filter(is_superseded).map(|(_, event)| event.event_id.clone()).collect()
}

fn told(key: &str, event: &v1::AgentStateEvent) -> String {
    let state = event.state.clone().unwrap_or_default();
    let state = match number(&state) {
        Some(number) => format!("{} number {number}", state.mode().as_str_name()),
        None if is_logged_out(&state) => "logged out".to_owned(),
        None => format!("{state:?}"),
    };
    format!("{key} sequence {} {}: {state}", event.sequence, event.cause().as_str_name())
}
