//! One decoded record. It borrows from the bytes that were received.

use std::time::Duration;

use super::encoding::Encoding;
use super::states::{Direction, Mode};
pub use super::text::RawText;
use crate::time::Timestamp;

/// Most bytes of a value whose text is kept, in the layout's encoding. Real names and states are far shorter; without a bound
/// each list that remembers such texts could become as large as a peer likes.
pub const LONGEST_VALUE: usize = 256;

/// Most skills of an agent.
pub const MOST_SKILLS: usize = 1_000;

/// A skill of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordSkill<'a> {
    /// Number or name.
    pub skill: RawText<'a>,
    /// 1-16, or 51 and 52 for reserve; `None` where the layout has none.
    pub level: Option<u16>,
}

/// Place of a skill in the frame: the decoder's scratch memory, without a lifetime.
#[derive(Clone, Copy, Debug)]
pub(super) struct SkillSlot {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) doubled: bool,
    pub(super) level: Option<u16>,
}

/// The skills of a record, in the order of the feed.
#[derive(Clone, Copy, Debug)]
pub struct Skills<'a> {
    pub(super) frame: &'a [u8],
    pub(super) slots: &'a [SkillSlot],
    pub(super) encoding: Encoding,
    pub(super) quote: Option<u8>,
}

impl<'a> Skills<'a> {
    /// Returns how many there are.
    pub const fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Iterates over them.
    pub fn iter(&self) -> impl Iterator<Item = RecordSkill<'a>> + use<'a> {
        let Self { frame, slots, encoding, quote } = *self;
        slots.iter().map(move |slot| {
            let bytes = frame.get(slot.from as usize..slot.to as usize).unwrap_or_default();
            let doubled = if slot.doubled { quote } else { None };
            RecordSkill { skill: RawText { bytes, encoding, doubled }, level: slot.level }
        })
    }
}

/// A valid record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Text; leading zeros count.
    pub login_id: &'a str,
    /// Where the layout has the column.
    pub acd: Option<u32>,
    /// Work mode.
    pub mode: Mode,
    /// Direction, from its column or else from the code.
    pub direction: Direction,
    /// Whether an ACD call waits on hold, by the code or by its column; `None` where neither says.
    pub on_hold: Option<bool>,
    /// The code is in the state table. False makes the mode [`Mode::Unknown`].
    pub recognised: bool,
    /// The code or name as it came.
    pub raw_state: RawText<'a>,
    /// From its column, or else from the code. Counts in AUX only.
    pub aux_reason: Option<u32>,
    /// Split or skill of the current work.
    pub work_split: Option<RawText<'a>>,
    /// Extension.
    pub extension: Option<RawText<'a>>,
    /// Name.
    pub name: Option<RawText<'a>>,
    /// Role.
    pub role: Option<RawText<'a>>,
    /// Location.
    pub location: Option<RawText<'a>>,
    /// Log-out reason.
    pub logout_reason: Option<RawText<'a>>,
    /// What the feed says about time.
    pub times: Times,
    /// The column `state_start` as it came, without blanks around it; `None` where `times` has none.
    pub state_start_text: Option<&'a [u8]>,
    /// Skills, in the order of the feed.
    pub skills: Skills<'a>,
}

/// What a record says about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Times {
    /// Time in the current mode and direction.
    pub duration: Option<Duration>,
    /// Time of the record.
    pub timestamp: Option<Timestamp>,
    /// Beginning of the state.
    pub state_start: Option<Timestamp>,
    /// The timestamp is a local time that occurs twice, and nothing excludes either of the two.
    pub timestamp_is_unsure: bool,
    /// The same for the beginning of the state.
    pub state_start_is_unsure: bool,
    /// How many given local times do not occur. Each counts as null.
    pub impossible: u8,
}
