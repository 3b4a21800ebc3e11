//! Checks the journal, the send window, checkpoints and what is restored from them against a model in memory, with crashes
//! anywhere.
//!
//! The journal's thread runs as it does in the service. What is uncertain because of that (how much of what was handed over
//! is on disk) is bounded by the model, and learned from the store when it is opened again. A crash is a copy of the store's
//! files, made while nobody can commit: everything else of the process is forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use tempfile::TempDir;

use crate::contract::saved;
use crate::journal::lane::Lane;
use crate::journal::message::{Batch, Message, Route, Topic};
use crate::journal::row;
use crate::journal::send_window::{SendWindow, Taken, WindowLimits};
use crate::journal::store::MappingVersion;
use crate::journal::store::{self, AgentRow, Store, StoreNumber, StoreReader, StoreSettings};
use crate::journal::{Bounds, Journal, LaneStart, Refused, TableChange, UnobservedStore};
use crate::time::Timestamp;
use crate::tracker::agent_state::RideAlong;
use crate::tracker::saved::SavedAgent;

const ID: &str = "avaya-1";
const AGENTS: usize = 5;
const LONG: Duration = Duration::from_secs(30);
/// Some batches.
const JOURNAL_BYTES: u64 = 1_500;
const WINDOW: usize = 6;

#[derive(Clone, Debug)]
enum Op {
    /// A batch: the agents of its events, in order; `AGENTS` is a feed status.
    Submit { agents: Vec<usize>, is_urgent: bool },
    /// Everything handed over is on disk.
    WaitWritten,
    /// The same, and what is acknowledged.
    Flush,
    /// The publisher takes so many.
    Take { most: usize },
    /// Kafka takes messages of one key from the producer, in order; a report may get lost and a later one arrive.
    Deliver { queue: usize, count: usize, is_reported: bool },
    /// A transaction with everything that was taken is committed.
    Commit,
    /// The producer is lost.
    Rewind,
    /// Publishing is paused where it is, or resumed; the answer is waited for or not.
    Pause { is_on: bool, is_waited_for: bool },
    /// The agents that have changed are written, in so many portions.
    Checkpoint { portions: usize },
    /// The process dies. Kafka may know better than the store what is committed.
    Crash { kafka_knows: bool },
    /// The process ends.
    End,
    /// The lane is closed, and opened again in the same process.
    Close,
}

fn op() -> impl Strategy<Value = Op> {
    let agents = proptest::collection::vec(0..=AGENTS, 1..6);
    let deliver = (0..12_usize, 1..5_usize, prop::bool::weighted(0.8));
    prop_oneof![
        8 => (agents, prop::bool::weighted(0.1)).prop_map(|(agents, is_urgent)| Op::Submit { agents, is_urgent }),
        3 => Just(Op::WaitWritten),
        1 => Just(Op::Flush),
        8 => (1..8_usize).prop_map(|most| Op::Take { most }),
        10 => deliver.prop_map(|(queue, count, is_reported)| Op::Deliver { queue, count, is_reported }),
        1 => Just(Op::Commit),
        1 => Just(Op::Rewind),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(is_on, is_waited_for)| Op::Pause { is_on, is_waited_for }),
        2 => (1..4_usize).prop_map(|portions| Op::Checkpoint { portions }),
        2 => any::<bool>().prop_map(|kafka_knows| Op::Crash { kafka_knows }),
        1 => Just(Op::End),
        1 => Just(Op::Close),
    ]
}

/// What is expected of a batch.
#[derive(Clone, Debug)]
struct Written {
    first: u64,
    messages: Vec<(Route, String, u64)>,
    /// The agents after it: number and sequence.
    after: BTreeMap<usize, u64>,
}

impl Written {
    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }
}

struct Model {
    folder: TempDir,
    journal: Option<Journal>,
    lane: Lane,
    number: StoreNumber,
    reader: StoreReader,
    /// All batches that were accepted, in order.
    batches: Vec<Written>,
    /// Sequences of the agents in memory.
    sequences: BTreeMap<usize, u64>,
    /// Agents to be written.
    changed: BTreeSet<usize>,
    next: u64,
    /// Known to be on disk.
    written_to: u64,
    /// What each position awaits; empty below `first`.
    awaiting: BTreeMap<u64, BTreeSet<usize>>,
    first: u64,
    /// `first`, as the store is certain to know it.
    stored_first: u64,
    taken: u64,
    paused_at: Option<u64>,
    /// What the store may say of the pause.
    stored_pauses: Vec<Option<u64>>,
    /// Greatest `covers` of a checkpoint.
    covered_to: u64,
    /// Messages on their way, by topic and key.
    lines: BTreeMap<(usize, String), VecDeque<u64>>,
    /// What Kafka has, by topic and key.
    kafka: BTreeMap<(usize, String), Vec<u64>>,
    refused: usize,
}

fn topics(route: Route) -> BTreeSet<usize> {
    route.topics().iter().map(|topic| *topic as usize).collect()
}

fn settings(folder: &Path) -> StoreSettings {
    StoreSettings { directory: folder.to_owned(), sync: store::Sync::Normal }
}

fn saved_of(agent: usize, sequence: u64) -> SavedAgent {
    SavedAgent {
        acd: 1,
        login_id: agent.to_string().into(),
        sequence,
        known: None,
        ride_along: RideAlong::default(),
        last_seen: Timestamp::from_micros(1),
        start: None,
        told_start: None,
        state_seen: None,
        listed_again: 0,
        brief: None,
        absence: None,
    }
}

fn start(folder: &Path) -> (Journal, Lane, super::Restored, StoreReader) {
    let store::Opened { mut store, incidents } = store::open(&settings(folder)).unwrap();
    assert_eq!(incidents, []);
    let restored = super::read(&mut store, ID, false).unwrap();
    let reader = store.reader().unwrap();
    let bounds = Bounds { journal_bytes: JOURNAL_BYTES, window: WindowLimits { messages: WINDOW, bytes: 100_000 } };
    let lanes = [LaneStart { integration: Arc::from(ID), stored: restored.stored.clone(), keeps_events: false }];
    let journal = Journal::start(store, &lanes, bounds, Arc::new(UnobservedStore)).unwrap();
    let lane = journal.lanes().next().unwrap().1.clone();
    (journal, lane, restored, reader)
}

impl Model {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (journal, lane, restored, reader) = start(folder.path());
        Self {
            folder,
            journal: Some(journal),
            lane,
            number: restored.stored.number,
            reader,
            batches: Vec::new(),
            sequences: BTreeMap::new(),
            changed: BTreeSet::new(),
            next: 0,
            written_to: 0,
            awaiting: BTreeMap::new(),
            first: 0,
            stored_first: 0,
            taken: 0,
            paused_at: None,
            stored_pauses: vec![None],
            covered_to: 0,
            lines: BTreeMap::new(),
            kafka: BTreeMap::new(),
            refused: 0,
        }
    }

    fn send_window(&self) -> Arc<SendWindow> {
        Arc::clone(self.lane.send_window())
    }

    fn message(&self, position: u64) -> &(Route, String, u64) {
        let batch = &self.batches[self.batches.partition_point(|batch| batch.end() <= position)];
        &batch.messages[usize::try_from(position - batch.first).unwrap()]
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Submit { agents, is_urgent } => self.submit(agents, *is_urgent),
            Op::WaitWritten => self.wait_written(),
            Op::Flush => self.flush(),
            Op::Take { most } => {
                self.take(*most);
            }
            Op::Deliver { queue, count, is_reported } => self.deliver(*queue, *count, *is_reported),
            Op::Commit => self.commit(),
            Op::Rewind => self.rewind(),
            Op::Pause { is_on, is_waited_for } => self.pause(*is_on, *is_waited_for),
            Op::Checkpoint { portions } => self.checkpoint(*portions),
            Op::Crash { kafka_knows } => self.crash(*kafka_knows),
            Op::End => self.end(),
            Op::Close => self.close(),
        }
        assert_eq!(self.send_window().acknowledged_to(), self.first);
        assert_eq!(self.lane.next(), self.next);
        assert_eq!(self.send_window().paused_at(), self.paused_at);
        assert!(self.send_window().end() >= self.written_to && self.send_window().end() <= self.next);
    }

    fn submit(&mut self, agents: &[usize], is_urgent: bool) {
        let mut after = BTreeMap::new();
        let mut messages = Vec::new();
        for agent in agents {
            if *agent == AGENTS {
                messages.push((Route::FeedStatus, ID.to_owned(), 0));
                continue;
            }
            let known = after.get(agent).or_else(|| self.sequences.get(agent)).copied().unwrap_or(0);
            after.insert(*agent, known + 1);
            messages.push((Route::AgentState, format!("{ID}/1/{agent}"), known + 1));
        }
        let message = |(route, key, number): &(Route, String, u64)| Message {
            route: *route,
            key: key.as_str().into(),
            payload: number.to_string().into(),
            headers: Vec::new(),
            read_at: None,
        };
        let memories =
            after.iter().map(|(agent, sequence)| saved::encode_agent(&saved_of(*agent, *sequence), None, None));
        let batch = Batch {
            messages: messages.iter().map(message).collect(),
            agents: memories.collect(),
            is_urgent,
            ..Batch::default()
        };
        match self.lane.submit(batch) {
            Ok(end) => {
                let written = Written { first: self.next, messages, after };
                assert_eq!(end, written.end());
                for (position, (route, ..)) in (written.first..).zip(&written.messages) {
                    self.awaiting.insert(position, topics(*route));
                }
                self.next = end;
                self.changed.extend(written.after.keys());
                self.sequences.extend(&written.after);
                self.batches.push(written);
            }
            Err(Refused::Full(batch)) => {
                assert_eq!(batch.messages.len(), messages.len(), "they come back");
                assert!(self.lane.stored_bytes() > 0, "one batch always fits");
                self.refused += 1;
            }
            Err(refused) => panic!("{refused}"),
        }
    }

    fn wait_written(&mut self) {
        self.journal.as_ref().unwrap().wait_written(Instant::now() + LONG);
        self.written_to = self.next;
        assert_eq!(self.send_window().end(), self.next);
        if self.stored_pauses.len() > 1 {
            self.stored_pauses = vec![self.paused_at];
        }
    }

    fn flush(&mut self) {
        let version = MappingVersion { integration: ID.into(), version: 1, content: 1 };
        let journal = self.journal.as_ref().unwrap();
        let answer = journal.with_store(move |store| store.set_mapping_versions(&[version]));
        answer.recv_timeout(LONG).unwrap().unwrap();
        self.wait_written();
        self.stored_first = self.first;
    }

    fn limit(&self, end: u64) -> u64 {
        self.paused_at.map_or(end, |paused_at| paused_at.min(end))
    }

    /// Returns whether anything came.
    fn take(&mut self, most: usize) -> bool {
        let end = self.send_window().end();
        loop {
            match self.send_window().try_take(most, u64::MAX) {
                None => return false,
                Some(Taken::Behind(position)) => {
                    let before = position;
                    self.lane.fetch(ID, position);
                    let message = self.send_window().message(before);
                    assert!(message.is_some(), "position {before} was fetched");
                }
                Some(Taken::Messages(messages)) => {
                    assert!(messages.len() <= most);
                    for outgoing in &messages {
                        let position = outgoing.position;
                        let limit = self.limit(self.send_window().end().max(end));
                        assert!(position >= self.taken && position < limit, "{position}, {} {limit}", self.taken);
                        let skipped = (self.taken..position).find(|skipped| !self.awaits(*skipped).is_empty());
                        assert_eq!(skipped, None, "nothing that is awaited is passed over");
                        let (route, key, number) = self.message(position).clone();
                        let message = &outgoing.message;
                        assert_eq!((message.route, &*message.key), (route, key.as_str()));
                        assert_eq!(message.payload, number.to_string().as_bytes());
                        let sent: BTreeSet<usize> = outgoing.topics().map(|topic| topic as usize).collect();
                        assert_eq!(sent, self.awaits(position));
                        for topic in sent {
                            self.lines.entry((topic, key.clone())).or_default().push_back(position);
                        }
                        self.taken = position + 1;
                    }
                    return true;
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }

    fn awaits(&self, position: u64) -> BTreeSet<usize> {
        self.awaiting.get(&position).cloned().unwrap_or_default()
    }

    fn deliver(&mut self, queue: usize, count: usize, is_reported: bool) {
        let lines = self.lines.len();
        let Some((line_key, line)) = self.lines.iter_mut().nth(queue % lines.max(1)) else { return };
        let (topic, key) = line_key.clone();
        let count = count.min(line.len());
        let delivered: Vec<u64> = line.drain(..count).collect();
        for position in delivered {
            let (.., number) = self.message(position).clone();
            self.kafka.entry((topic, key.clone())).or_default().push(number);
            if is_reported {
                self.acknowledge(position, topic);
            }
        }
    }

    fn acknowledge(&mut self, position: u64, topic: usize) {
        self.send_window().acknowledge(position, Topic::ALL[topic]);
        if let Some(awaiting) = self.awaiting.get_mut(&position) {
            awaiting.remove(&topic);
        }
        self.release();
    }

    fn release(&mut self) {
        while self.first < self.next && self.awaits(self.first).is_empty() {
            self.awaiting.remove(&self.first);
            self.first += 1;
        }
        self.taken = self.taken.max(self.first);
    }

    fn commit(&mut self) {
        for ((topic, key), line) in std::mem::take(&mut self.lines) {
            for position in line {
                let (.., number) = self.message(position).clone();
                self.kafka.entry((topic, key.clone())).or_default().push(number);
            }
        }
        self.send_window().acknowledge_to(self.taken);
        for position in self.first..self.taken {
            self.awaiting.get_mut(&position).unwrap().clear();
        }
        self.release();
    }

    fn rewind(&mut self) {
        self.send_window().rewind();
        self.lines.clear();
        let mut again: BTreeSet<(usize, String)> = BTreeSet::new();
        for position in self.first..self.taken {
            let (route, key, _) = self.message(position).clone();
            let awaiting = self.awaiting.get_mut(&position).unwrap();
            for topic in topics(route) {
                if awaiting.contains(&topic) || again.contains(&(topic, key.clone())) {
                    awaiting.insert(topic);
                    again.insert((topic, key.clone()));
                }
            }
        }
        self.taken = self.first;
    }

    fn pause(&mut self, is_on: bool, is_waited_for: bool) {
        let at = is_on.then_some(self.next);
        let (done, answer) = std::sync::mpsc::channel();
        // Nobody is notified who does not wait.
        self.lane.pause(
            at,
            Box::new(move || {
                let _ = done.send(());
            }),
        );
        self.paused_at = at;
        self.stored_pauses.push(at);
        if is_waited_for {
            answer.recv_timeout(LONG).unwrap();
            self.written_to = self.next;
            self.stored_first = self.stored_first.max(self.first);
            self.stored_pauses = vec![at];
        }
    }

    fn row(agent: usize, sequence: u64) -> AgentRow {
        let memory = saved::encode_agent(&saved_of(agent, sequence), None, None);
        AgentRow { acd: 1, login_id: agent.to_string().into(), memory }
    }

    fn checkpoint(&mut self, portions: usize) {
        let changed: Vec<usize> = std::mem::take(&mut self.changed).into_iter().collect();
        let covers = self.next;
        let size = changed.len().div_ceil(portions).max(1);
        let mut portions = changed.chunks(size).peekable();
        let mut rows = portions.next().unwrap_or_default();
        loop {
            let is_last = portions.peek().is_none();
            let agents = rows.iter().map(|agent| Self::row(*agent, self.sequences[agent])).collect();
            let table = TableChange { agents, ..TableChange::default() };
            let covered_to = if is_last { covers } else { self.covered_to };
            assert!(self.lane.checkpoint(covered_to, table, Vec::new(), is_last));
            match portions.next() {
                Some(next) => rows = next,
                None => break,
            }
        }
        self.covered_to = covers;
    }

    /// Copies the files as a dying process leaves them.
    fn copy(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        let path = self.folder.path().join(store::DATABASE);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.busy_timeout(LONG).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap().map(Result::unwrap) {
            // What is shared between processes is gone with them.
            if !entry.file_name().to_str().unwrap().ends_with("-shm") {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        connection.execute_batch("ROLLBACK").unwrap();
        copy
    }

    fn crash(&mut self, kafka_knows: bool) {
        let copy = self.copy();
        let known = self.first;
        self.reopen(copy);
        if kafka_knows {
            self.send_window().acknowledge_to(known);
            for position in self.first..known {
                self.awaiting.get_mut(&position).unwrap().clear();
            }
            self.release();
        }
    }

    fn end(&mut self) {
        assert_eq!(self.journal.take().unwrap().finish(Instant::now() + LONG), 0);
        self.written_to = self.next;
        self.stored_first = self.first;
        self.stored_pauses = vec![self.paused_at];
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        self.reopen(folder);
    }

    /// The lane is closed and opened again in the same journal.
    fn close(&mut self) {
        let journal = self.journal.take().unwrap();
        journal.close_lane(ID, Instant::now() + LONG);
        let read = |store: &mut Store| (super::read(store, ID, false).unwrap(), store.reader().unwrap());
        let (restored, reader) = journal.with_store(read).recv().unwrap();
        let lane = LaneStart { integration: ID.into(), stored: restored.stored.clone(), keeps_events: false };
        let lane = journal.open(lane).unwrap();
        self.written_to = self.next;
        self.stored_first = self.first;
        self.stored_pauses = vec![self.paused_at];
        let folder = std::mem::replace(&mut self.folder, TempDir::new().unwrap());
        self.reopened(folder, journal, lane, restored, reader);
    }

    fn reopen(&mut self, folder: TempDir) {
        let (journal, lane, restored, reader) = start(folder.path());
        self.reopened(folder, journal, lane, restored, reader);
    }

    fn reopened(
        &mut self,
        folder: TempDir,
        journal: Journal,
        lane: Lane,
        restored: super::Restored,
        reader: StoreReader,
    ) {
        let stored = &restored.stored;
        // Positions: what is known to be written is there, and batches are whole.
        assert!(stored.next >= self.written_to && stored.next <= self.next, "{} {}", stored.next, self.written_to);
        assert!(stored.next == 0 || self.batches.iter().any(|batch| batch.end() == stored.next));
        self.batches.retain(|batch| batch.end() <= stored.next);
        // What Kafka has: not less than is known to be written, and not more than it really has.
        let acknowledged_to = stored.acknowledged_to;
        assert!(acknowledged_to >= self.stored_first && acknowledged_to <= self.first);
        // Beyond the last checkpoint only rows that say nothing about agents are covered, up to the first that does.
        let uncovered = self.batches.iter().filter(|batch| batch.end() > self.covered_to);
        let said_nothing = uncovered.take_while(|batch| batch.after.is_empty()).last().map(Written::end);
        assert!(stored.covered_to <= said_nothing.unwrap_or(self.covered_to));
        assert!(self.stored_pauses.contains(&stored.paused_at), "{:?} {:?}", stored.paused_at, self.stored_pauses);
        // Agents: each as after their last event.
        let mut sequences = BTreeMap::new();
        for batch in &self.batches {
            sequences.extend(batch.after.clone());
        }
        let mut found = BTreeMap::new();
        for agent in &restored.agents {
            found.insert(agent.agent.login_id.parse::<usize>().unwrap(), agent.agent.sequence);
        }
        assert_eq!(found, sequences);
        // Rows: those that are not acknowledged or not covered, and no others, as they were.
        let kept = acknowledged_to.min(stored.covered_to);
        let wanted: Vec<&Written> = self.batches.iter().filter(|batch| batch.end() > kept).collect();
        let rows = reader.batches(stored.number, 0, usize::MAX).unwrap();
        assert_eq!(rows.iter().map(|row| row.content.len() as u64).sum::<u64>(), stored.bytes);
        assert_eq!(rows.len(), wanted.len());
        for (row, batch) in rows.iter().zip(wanted) {
            assert_eq!((row.first, row.end()), (batch.first, batch.end()));
            let (messages, _) = row::decode(&row.content).unwrap();
            let payloads =
                messages.iter().map(|message| String::from_utf8_lossy(&message.payload).parse::<u64>().unwrap());
            assert!(payloads.eq(batch.messages.iter().map(|(.., number)| *number)));
        }
        let to_be_written = restored.agents[restored.checkpointed..].iter();
        self.changed = to_be_written.map(|agent| agent.agent.login_id.parse().unwrap()).collect();
        self.sequences = sequences;
        self.next = stored.next;
        self.written_to = stored.next;
        self.first = acknowledged_to;
        self.stored_first = acknowledged_to;
        self.taken = acknowledged_to;
        self.covered_to = stored.covered_to;
        self.paused_at = stored.paused_at;
        self.stored_pauses = vec![stored.paused_at];
        self.awaiting.clear();
        for position in self.first..self.next {
            let awaiting = topics(self.message(position).0);
            self.awaiting.insert(position, awaiting);
        }
        self.lines.clear();
        assert_eq!(stored.number, self.number);
        // The old process ends last: what it still writes goes to files that nobody looks at any more.
        self.journal = Some(journal);
        self.lane = lane;
        self.reader = reader;
        self.folder = folder;
    }

    /// Everything gets through in the end, and nothing is left.
    fn drain(&mut self) {
        self.pause(false, true);
        self.rewind();
        self.wait_written();
        while self.first < self.next {
            let before = self.first;
            self.take(100);
            for line in 0..self.lines.len() {
                self.deliver(line, usize::MAX, true);
            }
            assert!(self.first > before, "it goes on: {before} of {}", self.next);
        }
        self.checkpoint(1);
        self.end();
        assert_eq!((self.first, self.covered_to), (self.next, self.next));
        assert_eq!(self.lane.stored_bytes(), 0, "nothing is left in the journal");
        self.check_kafka();
    }

    /// Checks that every message of each key is on every topic; first copies in order, and last copies too.
    fn check_kafka(&self) {
        let mut wanted: BTreeMap<(usize, String), Vec<u64>> = BTreeMap::new();
        for (route, key, number) in self.batches.iter().flat_map(|batch| &batch.messages) {
            if *route == Route::AgentState {
                topics(*route).into_iter().for_each(|topic| {
                    wanted.entry((topic, key.clone())).or_default().push(*number);
                });
            }
        }
        for (line, numbers) in &wanted {
            let found = &self.kafka[line];
            assert_eq!(&first_copies(found.iter()), numbers, "first copies on {line:?}: {found:?}");
            let mut last = first_copies(found.iter().rev());
            last.reverse();
            assert_eq!(&last, numbers, "last copies on {line:?}: {found:?}");
        }
    }
}

fn first_copies<'a>(numbers: impl Iterator<Item = &'a u64>) -> Vec<u64> {
    let mut seen = BTreeSet::new();
    numbers.copied().filter(|number| seen.insert(*number)).collect()
}

proptest! {
    #![proptest_config(Config { rng_seed: RngSeed::Fixed(7), cases: 300, failure_persistence: None, ..Config::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_and_everything_is_in_order(ops in proptest::collection::vec(op(), 1..80)) {
        let mut model = Model::new();
        ops.iter().for_each(|op| model.apply(op));
        model.drain();
    }
}
