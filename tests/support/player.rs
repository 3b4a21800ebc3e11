//! Plays the lines of a capture into an engine, which may be killed and started again in between.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::config::mapping as mapping_files;
use rtalink::config::model::Integration;
use rtalink::config::{self, model::Config};
use rtalink::engine::replay::Replay;
use rtalink::engine::{Engine, Finding};
use rtalink::mapping::annotate::Published;
use rtalink::mapping::tables::MappingTables;
use rtalink::time::Timestamp;
use rtalink::tracker::saved::{SavedAgent, SavedFeed};
use rtalink::tracker::settings::Thresholds;
use rtalink::wire::framing::{Piece, Run};
use rtalink::wire::plan::Plan;

use super::told::tell;

/// The line that kills the process and starts another, which knows what a store would: `{"at":"…","restart":true}`.
const RESTART: &str = "\"restart\":true";

/// What is remembered of agents, by source key.
pub(crate) type Agents = BTreeMap<(u32, Arc<str>), (SavedAgent, Option<Published>)>;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

pub(crate) fn load_config() -> Config {
    let loaded = config::load(&root().join("rtalink.toml"), []);
    let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    loaded.config.unwrap_or_else(|| panic!("{}", problems.join("\n")))
}

/// The lines of a capture that say what happened.
pub(crate) fn lines(capture: &str) -> impl Iterator<Item = &str> {
    capture.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

/// A feed, the process that reads it, and what that has stored.
pub(crate) struct Player<'a> {
    integration: &'a Integration,
    replay: Replay,
    connections: BTreeSet<u64>,
    /// Agents as they were when the engine last said that they had changed.
    pub(crate) stored: Agents,
    /// What was published since it was last taken.
    pub(crate) text: String,
}

impl<'a> Player<'a> {
    pub(crate) fn new(config: &'a Config, id: &str) -> Self {
        let integration = config.integrations.iter().find(|integration| *integration.id == *id);
        let integration = integration.unwrap_or_else(|| panic!("rtalink.toml has no integration {id:?}"));
        let replay = start(integration);
        Self { integration, replay, connections: BTreeSet::new(), stored: Agents::new(), text: String::new() }
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.replay.engine()
    }

    pub(crate) fn engine_mut(&mut self) -> &mut Engine {
        self.replay.engine_mut()
    }

    pub(crate) fn play(&mut self, line: &str) {
        let encoding = self.integration.realtime.as_ref().unwrap().layout.encoding;
        let parse = |line: &str| CaptureEntry::parse(line, encoding).unwrap_or_else(|error| panic!("{line}: {error}"));
        if line.contains(RESTART) {
            let at = parse(&line.replace(RESTART, "\"close\":true")).at;
            self.pass_time(at);
            self.restart(self.stored.clone(), at);
            return;
        }
        let entry = parse(line);
        self.connections.insert(entry.connection);
        self.play_entry(&entry);
    }

    fn play_entry(&mut self, entry: &CaptureEntry) {
        let mut findings = Vec::new();
        self.replay.play(entry, &mut findings);
        self.conclude(findings);
    }

    fn conclude(&mut self, findings: Vec<Finding>) {
        findings.iter().for_each(|finding| tell(finding, &mut self.text));
        let engine = self.replay.engine_mut();
        for index in engine.take_changed() {
            let (saved, published) = engine.saved(index);
            self.stored.insert((saved.acd, saved.login_id.clone()), (saved, published));
        }
    }

    fn pass_time(&mut self, until: Timestamp) {
        while let Some(due) = self.engine().next_deadline().filter(|due| *due <= until) {
            let mut findings = Vec::new();
            self.replay.engine_mut().tick(due, &mut findings);
            self.conclude(findings);
        }
    }

    /// All connections break, those that wait first. The mapping and the timers are looked at again, as a restart would.
    pub(crate) fn disconnect(&mut self, at: Timestamp) {
        let speaks = |player: &Self| player.engine().session().peer().cloned();
        let speaking = speaks(self);
        for connection in std::mem::take(&mut self.connections).into_iter().rev() {
            self.play_entry(&CaptureEntry { at, connection, happening: Happening::Close });
        }
        assert!(speaking.is_none() || speaks(self).is_none());
        self.look_around(at);
    }

    /// The process dies; another one knows `agents` and the feed as it was.
    pub(crate) fn restart(&mut self, agents: Agents, at: Timestamp) {
        let feed: SavedFeed = self.engine().saved_feed();
        self.replay = start(self.integration);
        self.connections.clear();
        self.replay.engine_mut().restore(agents.into_values(), &feed);
        self.look_around(at);
    }

    fn look_around(&mut self, at: Timestamp) {
        let mut findings = Vec::new();
        self.replay.engine_mut().remap_outdated(at, &mut findings);
        self.replay.engine_mut().tick(at, &mut findings);
        self.conclude(findings);
    }

    pub(crate) fn set_thresholds(&mut self, thresholds: Thresholds) {
        self.engine_mut().set_thresholds(thresholds);
        self.conclude(Vec::new());
    }

    /// Bytes that were framed with the layout of another integration.
    pub(crate) fn receive_as(&mut self, other: &Integration, bytes: &'static str, at: Timestamp) {
        let piece = Piece::Records(Run { bytes: Bytes::from_static(bytes.as_bytes()), offset: 0 });
        let connection = (0..50).find(|id| self.engine().session().speaks(*id)).expect("a connection that speaks");
        let mut findings = Vec::new();
        self.replay.engine_mut().receive(connection, &plan(other), &piece, at, &mut findings);
        self.conclude(findings);
    }

    pub(crate) fn finish(&mut self) {
        let mut findings = Vec::new();
        self.replay.finish(&mut findings);
        self.conclude(findings);
    }
}

/// A process that knows nothing.
pub(crate) fn start(integration: &Integration) -> Replay {
    let plan = plan(integration);
    let tables = Arc::new(MappingTables { version: 1, ..mapping_files::read(&integration.mapping).unwrap() });
    let engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), tables);
    Replay::new(engine, plan, integration.settings.thresholds.snapshot_idle)
}

fn plan(integration: &Integration) -> Arc<Plan> {
    Plan::compile(&integration.realtime.as_ref().unwrap().layout, &integration.time_zone).unwrap()
}

/// What comes out of a capture, one line each.
pub(crate) fn play(config: &Config, id: &str, capture: &str) -> String {
    let mut player = Player::new(config, id);
    lines(capture).for_each(|line| player.play(line));
    player.finish();
    player.text
}

/// Scenarios by folder and name: their captures.
pub(crate) fn scenarios() -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for folder in fs::read_dir(root()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir()) {
        let id = folder.file_name().into_string().unwrap();
        for file in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
            if file.extension().is_some_and(|extension| extension == "capture" || extension == "restarts") {
                found.insert(format!("{id}/{}", file.file_stem().unwrap().to_str().unwrap()), file);
            }
        }
    }
    found
}
