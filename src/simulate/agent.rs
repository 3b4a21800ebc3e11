//! An agent as CMS knows them: who they are, what they can do and what they are doing.

use std::sync::Arc;

use serde::Serialize;

use crate::time::Timestamp;
use crate::wire::states::{Direction, Mode};

/// An agent of the contact centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedAgent {
    /// Text: leading zeros count.
    pub login_id: Arc<str>,
    /// ACDs after that of the feed.
    pub acd_offset: u32,
    /// First and last name.
    pub name: Arc<str>,
    /// Text, like the login id.
    pub extension: Arc<str>,
    /// Where the agent sits.
    pub location: &'static str,
    /// Role in the first skill.
    pub role: &'static str,
    /// In the order of the report; the first is the home split. Never empty.
    pub skills: Vec<Skill>,
    /// What the agent is doing.
    pub state: SimulatedState,
}

/// A skill of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Skill {
    /// Number of the skill; text in JSON, as everywhere outside the simulation.
    #[serde(serialize_with = "as_text")]
    pub skill: u32,
    /// 1 to 16, or 51 and 52 for reserve; 0 where a layout does not show it.
    pub level: u16,
}

/// What an agent is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedState {
    /// Work mode; [`Mode::Unstaff`] while logged out.
    pub mode: Mode,
    /// Direction of the call.
    pub direction: Direction,
    /// An ACD call waits on hold.
    pub on_hold: bool,
    /// The reason in AUX; 0 elsewhere.
    pub aux_reason: u32,
    /// The split or skill that the agent is working for.
    pub work_split: Option<u32>,
    /// When this mode and direction began; a change of the AUX reason alone does not move it.
    pub since: Timestamp,
}

impl SimulatedState {
    /// Returns the state of an agent logged out since then.
    pub const fn logged_out(since: Timestamp) -> Self {
        Self { mode: Mode::Unstaff, direction: Direction::None, on_hold: false, aux_reason: 0, work_split: None, since }
    }

    /// Whether the agent appears in snapshots.
    pub const fn is_present(&self) -> bool {
        !self.mode.is_logged_out()
    }
}

fn as_text<S: serde::Serializer>(skill: &u32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(skill)
}
