//! A contact centre whose every state can be told from every other.
//!
//! The work split of a record is the running number of the agent's states: no two of them are the same, so that an event
//! says which of them it is about. Only being logged out has no number. Every state that goes to the wire is kept with
//! the number of the snapshot that says it first.

use std::fmt::Write as _;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rtalink::contract::v1;
use rtalink::contract::v1::state::{Direction, Mode};

/// The layout of [`Centre::rows`]: `details` makes the split a part of the state.
pub(crate) const LAYOUT: &str = r#"
[layout.torture]
separator = "|"
marker = "^END"
columns = ["login_id", "state", "aux_reason", "work_split"]
states = "rta-codes"
"#;

const END: &str = "END\n";
/// Of the agents that change, how many of 100 log out by a row, and how many vanish.
const LOG_OUTS: u32 = 5;
/// So many of 100 agents are logged in at the beginning.
const LOGGED_IN: usize = 90;

/// How much happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Share of the agents that change from one snapshot to the next.
    pub(crate) change_share: f64,
    /// An agent that changes has up to so many rows back to back.
    pub(crate) rows: u32,
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    In(State),
    LoggedOut,
}

/// A state that the agent has once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    mode: Mode,
    direction: Direction,
    reason: Option<u32>,
    /// The how many-th of the agent, from 1.
    pub(crate) number: u64,
}

/// A state on the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The first snapshot that says it.
    pub(crate) snapshot: u64,
    pub(crate) sight: Sight,
}

/// Everything that was ever said of one agent, in its order.
#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) login_id: String,
    pub(crate) history: Vec<Entry>,
    states: u64,
}

/// Bytes of a snapshot, its end included.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    /// From 1, without a hole.
    pub(crate) number: u64,
    pub(crate) records: u64,
    pub(crate) bytes: String,
}

/// The agents and what they do.
#[derive(Clone, Debug)]
pub(crate) struct Centre {
    rng: ChaCha8Rng,
    pub(crate) agents: Vec<Agent>,
    /// So far.
    pub(crate) snapshots: u64,
}

impl Centre {
    pub(crate) fn new(agents: usize, seed: u64) -> Self {
        Self::from(4_711, agents, seed)
    }

    /// With login ids from this one on.
    pub(crate) fn from(first: usize, agents: usize, seed: u64) -> Self {
        let agents = (0..agents).map(|index| Agent {
            login_id: format!("{:06}", first + index),
            history: Vec::new(),
            states: 0,
        });
        let mut centre = Self { rng: ChaCha8Rng::seed_from_u64(seed), agents: agents.collect(), snapshots: 0 };
        let logged_in = centre.agents.len() * LOGGED_IN / 100;
        for agent in &mut centre.agents[..logged_in] {
            agent.enter(1, &mut centre.rng);
        }
        centre
    }

    /// The same again: what a report shows when nothing has changed, and after every connect.
    pub(crate) fn unchanged(&mut self) -> Snapshot {
        self.next(Pace { change_share: 0.0, rows: 1 })
    }

    /// The next snapshot.
    pub(crate) fn next(&mut self, pace: Pace) -> Snapshot {
        self.snapshots += 1;
        let mut snapshot = Snapshot { number: self.snapshots, records: 0, bytes: String::new() };
        for agent in &mut self.agents {
            if self.rng.random_bool(pace.change_share) {
                agent.change(pace.rows, &mut snapshot, &mut self.rng);
            } else if let Sight::In(state) = agent.now() {
                snapshot.row(&agent.login_id, &state);
            }
        }
        snapshot.bytes.push_str(END);
        snapshot
    }
}

impl Agent {
    /// What the last row, or its absence, says.
    pub(crate) fn now(&self) -> Sight {
        self.history.last().map_or(Sight::LoggedOut, |entry| entry.sight)
    }

    fn enter(&mut self, snapshot: u64, rng: &mut ChaCha8Rng) -> State {
        const KINDS: [(Mode, Direction); 7] = [
            (Mode::Avail, Direction::None),
            (Mode::Acd, Direction::In),
            (Mode::Acw, Direction::None),
            (Mode::Aux, Direction::None),
            (Mode::Aux, Direction::Out),
            (Mode::Ring, Direction::None),
            (Mode::Other, Direction::None),
        ];
        self.states += 1;
        let (mode, direction) = KINDS[rng.random_range(0..KINDS.len())];
        let reason = (mode == Mode::Aux).then(|| rng.random_range(0..100));
        let state = State { mode, direction, reason, number: self.states };
        self.history.push(Entry { snapshot, sight: Sight::In(state) });
        state
    }

    fn change(&mut self, rows: u32, snapshot: &mut Snapshot, rng: &mut ChaCha8Rng) {
        let percent = if self.now() == Sight::LoggedOut { 100 } else { rng.random_range(0..100) };
        if percent >= 2 * LOG_OUTS {
            for _ in 0..rng.random_range(1..=rows) {
                let state = self.enter(snapshot.number, rng);
                snapshot.row(&self.login_id, &state);
            }
            return;
        }
        if percent < LOG_OUTS {
            snapshot.log_out(&self.login_id);
        }
        self.history.push(Entry { snapshot: snapshot.number, sight: Sight::LoggedOut });
    }
}

impl Snapshot {
    fn row(&mut self, login_id: &str, state: &State) {
        let (code, reason) = (state.code(), state.reason.unwrap_or_default());
        self.line(format_args!("{login_id}|{code}|{reason}|{}", state.number));
    }

    fn log_out(&mut self, login_id: &str) {
        self.line(format_args!("{login_id}|10|0|"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.records += 1;
        writeln!(self.bytes, "{line}").expect("a string takes everything");
    }
}

impl State {
    /// Tens are the mode, units the direction.
    fn code(&self) -> u32 {
        let tens = match self.mode {
            Mode::Avail => 20,
            Mode::Acd => 30,
            Mode::Acw => 40,
            Mode::Aux => 50,
            Mode::Ring => 80,
            Mode::Other => 220,
            other => unreachable!("no agent enters {other:?}"),
        };
        tens + self.direction as u32
    }
}

impl Sight {
    /// Whether an event says the same.
    pub(crate) fn is(&self, published: &v1::State) -> bool {
        let Self::In(state) = self else { return is_logged_out(published) };
        (published.mode(), published.direction(), published.aux_reason) == (state.mode, state.direction, state.reason)
            && number(published) == Some(state.number)
    }

    /// As rtalink publishes it.
    pub(crate) fn published(&self) -> v1::State {
        let Self::In(state) = self else {
            return v1::State { mode: Mode::Unstaff.into(), recognised: true, ..v1::State::default() };
        };
        v1::State {
            mode: state.mode.into(),
            direction: state.direction.into(),
            aux_reason: state.reason,
            raw_state: state.code().to_string(),
            recognised: true,
            work_split: state.number.to_string(),
            ..v1::State::default()
        }
    }
}

/// Which of the agent's states an event is about; `None` where it is none of them.
pub(crate) fn number(published: &v1::State) -> Option<u64> {
    published.work_split.parse().ok()
}

pub(crate) fn is_logged_out(published: &v1::State) -> bool {
    published.mode() == Mode::Unstaff
}
