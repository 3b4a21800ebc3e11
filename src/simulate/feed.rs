//! A feed, refresh by refresh: moves the shift, lets the scenario disturb it, writes the snapshot, keeps the truth.
//!
//! Pure. The caller that carries out the [`Action`]s of a refresh reports afterwards whether they arrived
//! ([`SimulatedFeed::delivered`], [`SimulatedFeed::lost`]); only what arrived is true for a listener.

use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::time::Timestamp;
use crate::wire::layout::{Column, LayoutSpec};
use crate::wire::states::Mode;

use super::agent::{SimulatedAgent, SimulatedState};
use super::doubt::{Doubt, Doubts};
use super::error::SimulateError;
use super::garbage::Garbage;
use super::render::{RenderedSnapshot, Renderer};
use super::scenario::{Refresh, Scenario};
use super::script::Script;
use super::settings::SimulatedFeedSettings;
use super::shift::{Shift, ShiftSettings};
use super::truth::{Sight, Truth, Truths};

/// Fewest agents for which a listener takes all UNKNOWN for a link that is down.
const LINK_DOWN_AGENTS: usize = 10;

/// What to do on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these bytes; dial first where the connection is not open.
    Send {
        /// Which connection, counted from 0: a twin has the next number.
        connection: u32,
        /// Whole records, except at a disconnect.
        bytes: Vec<u8>,
        /// Whether the listener takes them for the feed; not so for the bytes of a twin that waits or has been replaced.
        heard: bool,
    },
    /// Close the connection.
    Close {
        /// Which one.
        connection: u32,
    },
}

/// What has been delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedCounts {
    /// Snapshots, including those of a link outage.
    pub snapshots: u64,
    /// Valid records.
    pub records: u64,
    /// Lines that are not valid records.
    pub garbage_lines: u64,
}

/// A simulated CMS session.
#[derive(Clone, Debug)]
pub struct SimulatedFeed {
    scenario: Scenario,
    logout_rows: bool,
    script: Option<Script>,
    renderer: Renderer,
    shift: Shift,
    truths: Truths,
    garbage: Garbage,
    doubts: Doubts,
    /// The garbage of a waiting twin: it counts in the first snapshot after the takeover.
    doubt_of_twin: Doubt,
    rng: ChaCha8Rng,
    refreshes: u64,
    connection: u32,
    /// Refreshes for which an agent is still hidden by a change of skills.
    hidden: Vec<u32>,
    /// Whether the agent was in the last snapshot that arrived.
    shown: Vec<bool>,
    /// A disconnect within a record waits for a better moment.
    owes_tear: bool,
    staged: Staged,
    counts: FeedCounts,
}

/// What becomes true when the refresh has arrived.
#[derive(Clone, Debug, Default)]
struct Staged {
    sights: Option<(Timestamp, Vec<Sight>)>,
    /// The garbage among the records.
    doubt: Doubt,
    torn_before: bool,
    torn_after: bool,
    counts: FeedCounts,
}

impl SimulatedFeed {
    /// Creates a feed at the beginning of its shift.
    ///
    /// # Errors
    /// Invalid settings.
    pub fn new(settings: &SimulatedFeedSettings, start: Timestamp) -> Result<Self, SimulateError> {
        let renderer = settings.renderer()?;
        let shift = Shift::new(&ShiftSettings {
            agents: settings.agents,
            seed: settings.seed,
            start,
            drive: settings.drive,
            opening: settings.scenario.opening(),
            breaks_by_logout: settings.scenario == Scenario::BreaksByLogout,
            two_acds: settings.scenario == Scenario::TwoAcds,
            login_digits: login_digits(&settings.layout),
            clear_reentry: settings.listener.restart_tolerance + std::time::Duration::from_secs(2),
        });
        let people = shift.agents().iter().map(|agent| (settings.acd + agent.acd_offset, Arc::clone(&agent.login_id)));
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        rng.set_stream(u64::MAX);
        Ok(Self {
            scenario: settings.scenario,
            logout_rows: settings.logout_rows && renderer.has_code(Mode::Unstaff),
            script: settings.script.clone(),
            truths: Truths::new(settings.listener, renderer.shows_start(), people),
            garbage: Garbage::new(&renderer),
            doubts: Doubts::default(),
            doubt_of_twin: Doubt::default(),
            rng,
            refreshes: 0,
            connection: 0,
            hidden: vec![0; settings.agents],
            shown: vec![false; settings.agents],
            owes_tear: false,
            staged: Staged::default(),
            counts: FeedCounts::default(),
            renderer,
            shift,
        })
    }

    /// Returns everybody, logged in or not.
    pub fn agents(&self) -> &[SimulatedAgent] {
        self.shift.agents()
    }

    /// Returns the connection that the listener hears at the moment.
    pub fn connection(&self) -> u32 {
        self.connection
    }

    /// Returns what has been delivered.
    pub fn counts(&self) -> FeedCounts {
        self.counts
    }

    /// Returns the transitions found so far.
    pub fn truths(&self) -> &Truths {
        &self.truths
    }

    /// Takes the transitions found since the last call.
    pub fn take_truth(&mut self) -> Vec<Truth> {
        self.truths.take()
    }

    /// Makes the next refresh, at that time; returns its actions in the order in which they are to be carried out.
    pub fn refresh(&mut self, at: Timestamp) -> Vec<Action> {
        let refresh = self.scenario.refresh(self.refreshes);
        self.refreshes += 1;
        self.staged = Staged::default();
        match refresh {
            Refresh::Silent => Vec::new(),
            Refresh::LinkDown => self.link_down(at),
            other => self.snapshot(other, at),
        }
    }

    /// The actions of the last refresh have been carried out.
    pub fn delivered(&mut self) {
        let staged = std::mem::take(&mut self.staged);
        if staged.torn_before {
            self.truths.torn();
        }
        if let Some((at, sights)) = staged.sights {
            self.shown = sights.iter().map(|sight| matches!(sight, Sight::Present(..))).collect();
            let proves_absence = self.doubts.next_proves(staged.doubt);
            self.truths.observe(at, sights, proves_absence);
        }
        if staged.torn_after {
            self.truths.torn();
        }
        self.counts.snapshots += staged.counts.snapshots;
        self.counts.records += staged.counts.records;
        self.counts.garbage_lines += staged.counts.garbage_lines;
    }

    /// The actions of the last refresh failed, or the connection broke since.
    pub fn lost(&mut self) {
        self.staged = Staged::default();
        self.truths.torn();
    }

    fn snapshot(&mut self, refresh: Refresh, at: Timestamp) -> Vec<Action> {
        self.shift.advance_to(at);
        if let Some(script) = &self.script {
            self.shift.direct_last(|agent| script.play(agent, at));
        }
        if self.scenario == Scenario::EmptyNight {
            // The number of this refresh: it is counted already.
            let remaining = self.scenario.remaining(self.hidden.len(), self.refreshes - 1);
            self.hidden.iter_mut().enumerate().for_each(|(index, hidden)| *hidden = u32::from(index >= remaining));
        }
        if self.scenario == Scenario::Reskill {
            self.reskill();
        }
        let sights = self.sights();
        let mut snapshot = self.write(&sights, at);
        let first_record = &snapshot.bytes[..snapshot.ends.first().copied().unwrap_or(0)];
        let half_record = first_record[..first_record.len() / 2].to_vec();
        let mut staged = Staged::default();
        staged.counts.snapshots = 1;
        staged.counts.records = snapshot.ends.len() as u64;
        let wants_tear = refresh == Refresh::GarbageThenTorn || self.owes_tear;
        let tears = wants_tear && !self.truths.would_wait(&sights);
        self.owes_tear = wants_tear && !tears;
        if matches!(refresh, Refresh::Garbage | Refresh::GarbageThenTorn) {
            let may_hide_ids = !self.truths.would_miss(&sights);
            staged.doubt = self.garbage.spread(&mut snapshot, may_hide_ids, &mut self.rng);
            staged.counts.garbage_lines = staged.doubt.lines;
        }
        staged.counts.garbage_lines += u64::from(tears);
        if refresh == Refresh::TwinTakesOver {
            self.connection += 1;
            staged.torn_before = true;
            staged.doubt = std::mem::take(&mut self.doubt_of_twin);
        }
        staged.torn_after = tears || refresh == Refresh::ThenDrop;
        let actions = self.actions(refresh, snapshot.bytes, tears.then_some(half_record), &mut staged);
        staged.sights = Some((at, sights));
        self.staged = staged;
        actions
    }

    /// `half_record` is the part of a record after which the connection breaks.
    fn actions(
        &mut self,
        refresh: Refresh,
        bytes: Vec<u8>,
        half_record: Option<Vec<u8>>,
        staged: &mut Staged,
    ) -> Vec<Action> {
        let connection = self.connection;
        let mut actions = Vec::with_capacity(3);
        let mut send = |connection, bytes, heard| actions.push(Action::Send { connection, bytes, heard });
        match refresh {
            Refresh::TwinDials => {
                let lines: Vec<_> = (0..3).filter_map(|_| self.garbage.some(false, &mut self.rng)).collect();
                self.doubt_of_twin = lines.iter().fold(Doubt::default(), |all, (_, doubt)| all.and(*doubt));
                staged.counts.garbage_lines += lines.len() as u64;
                send(connection, bytes, true);
                send(connection + 1, lines.iter().flat_map(|(line, _)| *line).copied().collect(), false);
            }
            Refresh::BothSend => {
                send(connection, bytes.clone(), true);
                send(connection - 1, bytes, false);
            }
            _ => send(connection, bytes, true),
        }
        let breaks = half_record.is_some() || refresh == Refresh::ThenDrop;
        half_record.into_iter().for_each(|half| send(connection, half, true));
        if refresh == Refresh::OldCloses {
            actions.push(Action::Close { connection: connection - 1 });
        }
        if breaks {
            actions.push(Action::Close { connection });
        }
        actions
    }

    /// Reports everybody as UNKNOWN, or nothing where that would not be understood.
    fn link_down(&mut self, at: Timestamp) -> Vec<Action> {
        let shown: Vec<&SimulatedAgent> =
            self.shift.agents().iter().zip(&self.shown).filter(|(_, shown)| **shown).map(|(agent, _)| agent).collect();
        if shown.len() < LINK_DOWN_AGENTS || !self.renderer.has_code(Mode::Unknown) {
            return Vec::new();
        }
        let unknown = |agent: &&SimulatedAgent| SimulatedAgent {
            state: SimulatedState { mode: Mode::Unknown, ..SimulatedState::logged_out(at) },
            ..(*agent).clone()
        };
        let agents: Vec<SimulatedAgent> = shown.iter().map(unknown).collect();
        let snapshot = self.renderer.snapshot(&agents, at);
        self.staged.counts.snapshots = 1;
        self.staged.counts.records = snapshot.ends.len() as u64;
        vec![Action::Send { connection: self.connection, bytes: snapshot.bytes, heard: true }]
    }

    /// Gives one agent in a hundred other skills; one in five of those is hidden for some refreshes.
    fn reskill(&mut self) {
        for index in 1..self.hidden.len() {
            self.hidden[index] = self.hidden[index].saturating_sub(1);
            if self.rng.random_bool(0.01) {
                self.shift.reskill(index);
                if self.rng.random_bool(0.2) {
                    self.hidden[index] = self.rng.random_range(1..=5);
                }
            }
        }
    }

    fn sights(&self) -> Vec<Sight> {
        let sight = |(index, agent): (usize, &SimulatedAgent)| match agent.state.is_present() {
            true if self.hidden[index] == 0 => Sight::Present(self.renderer.visible(agent), agent.state.since),
            false if self.logout_rows && self.shown[index] => Sight::LogoutRow,
            _ => Sight::Absent,
        };
        self.shift.agents().iter().enumerate().map(sight).collect()
    }

    fn write(&self, sights: &[Sight], at: Timestamp) -> RenderedSnapshot {
        let shown = self.shift.agents().iter().zip(sights).filter(|(_, sight)| **sight != Sight::Absent);
        self.renderer.headed_snapshot(shown.map(|(agent, _)| agent), at, self.counts.snapshots == 0)
    }
}

/// Returns the most characters of a login id in that layout.
fn login_digits(layout: &LayoutSpec) -> usize {
    let column = layout.columns.iter().find(|spec| spec.column == Column::LoginId);
    let width = column.and_then(|spec| spec.place).map(|place| place.width);
    width.unwrap_or(10).min(10)
}
