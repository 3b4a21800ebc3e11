//! Converts what an agent is doing and what that means in injixo to the published contract and back.
//!
//! Both directions are side by side, because what is read back (from the store, from the `current` topic) must be what was
//! written. Policy: a value that this version does not know is an error, never a guess: a wrong guess would be published as a
//! change that nobody made. Pure.

use std::sync::Arc;

use crate::mapping::tables::{Activity, User};
use crate::tracker::agent_state::{AgentState, SkillList};
use crate::tracker::event::{Cause, Evidence};
use crate::tracker::since::Quality;
use crate::wire::states::{Direction, Mode};

use super::put::Put;
use super::v1;

/// A value that this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value} is not known to this version: a newer one has written it, run that one")]
pub struct UnknownValue {
    /// The field.
    pub field: &'static str,
    /// As it was written.
    pub value: i64,
}

/// Writes a state as it is published.
pub(super) fn put_state(put: &mut Put<'_>, state: &AgentState) {
    put.int(1, mode(state.mode) as i32);
    put.int(2, direction(state.direction) as i32);
    put.optional_uint(3, state.aux_reason);
    put.bytes(4, &*state.raw_state);
    put.flag(5, state.recognised);
    put.flag(6, state.on_hold);
    put.bytes(7, state.work_split.as_deref().unwrap_or_default());
    put.bytes(8, state.extension.as_deref().unwrap_or_default());
    for (skill, level) in state.skills.iter() {
        put.message(9, |put| {
            put.bytes(1, skill);
            put.uint(2, level);
        });
    }
}

/// Writes a user as it is published.
pub(super) fn put_user(put: &mut Put<'_>, user: &User) {
    put.bytes(1, &user.employee_id);
    put.bytes(2, &user.employee_name);
}

/// Writes an activity as it is published.
pub(super) fn put_activity(put: &mut Put<'_>, activity: &Activity) {
    put.bytes(1, &activity.activity_id);
    put.bytes(2, &activity.activity_name);
}

/// Reads a state back; an empty split or extension becomes `None`.
///
/// # Errors
/// For a mode, a direction or a level that this version does not know.
pub fn from_state(state: v1::State) -> Result<AgentState, UnknownValue> {
    let unknown = |field, value: i32| UnknownValue { field, value: value.into() };
    let mode = v1::state::Mode::try_from(state.mode).map_err(|_| unknown("mode", state.mode))?;
    let direction =
        v1::state::Direction::try_from(state.direction).map_err(|_| unknown("direction", state.direction))?;
    let mut skills = Vec::with_capacity(state.skills.len());
    for skill in &state.skills {
        let level = u16::try_from(skill.level)
            .map_err(|_| UnknownValue { field: "level of a skill", value: skill.level.into() })?;
        skills.push((&*skill.skill, Some(level)));
    }
    Ok(AgentState {
        mode: from_mode(mode),
        direction: match direction {
            v1::state::Direction::None => Direction::None,
            v1::state::Direction::Out => Direction::Out,
            v1::state::Direction::In => Direction::In,
        },
        on_hold: state.on_hold,
        aux_reason: state.aux_reason,
        raw_state: state.raw_state.into(),
        recognised: state.recognised,
        work_split: Some(state.work_split).filter(|split| !split.is_empty()).map(Into::into),
        skills: SkillList::new(skills),
        extension: text(&state.extension),
    })
}

/// Reads a published text back; an empty one means that there is none.
pub fn text(text: &str) -> Option<Arc<str>> {
    (!text.is_empty()).then(|| text.into())
}

/// Returns a quality as it is published.
pub const fn quality(quality: Quality) -> v1::since_quality::Value {
    match quality {
        Quality::Exact => v1::since_quality::Value::Exact,
        Quality::WithinRefresh => v1::since_quality::Value::WithinRefresh,
        Quality::AfterGap => v1::since_quality::Value::AfterGap,
    }
}

/// Reads a quality back.
///
/// # Errors
/// For one that this version does not know, and for the unspecified one, which is never written.
pub fn from_quality(quality: i32) -> Result<Quality, UnknownValue> {
    match v1::since_quality::Value::try_from(quality) {
        Ok(v1::since_quality::Value::Exact) => Ok(Quality::Exact),
        Ok(v1::since_quality::Value::WithinRefresh) => Ok(Quality::WithinRefresh),
        Ok(v1::since_quality::Value::AfterGap) => Ok(Quality::AfterGap),
        Ok(v1::since_quality::Value::Unspecified) | Err(_) => {
            Err(UnknownValue { field: "since_quality", value: quality.into() })
        }
    }
}

/// Returns a cause as it is published.
pub const fn cause(cause: Cause) -> v1::cause::Value {
    match cause {
        Cause::Observed => v1::cause::Value::Observed,
        Cause::LoggedIn => v1::cause::Value::LoggedIn,
        Cause::Changed => v1::cause::Value::Changed,
        Cause::Reentered => v1::cause::Value::Reentered,
        Cause::LoggedOut => v1::cause::Value::LoggedOut,
        Cause::Remapped => v1::cause::Value::Remapped,
    }
}

/// Reads a cause back.
///
/// # Errors
/// For one that this version does not know.
pub fn from_cause(value: i32) -> Result<Cause, UnknownValue> {
    let known = Cause::ALL.into_iter().find(|known| i32::from(cause(*known)) == value);
    known.ok_or(UnknownValue { field: "cause", value: value.into() })
}

/// Returns the evidence of a log-out as it is published.
pub const fn evidence(evidence: Evidence) -> v1::evidence::Value {
    match evidence {
        Evidence::Row => v1::evidence::Value::Row,
        Evidence::Absence => v1::evidence::Value::Absence,
    }
}

/// Reads the evidence of a log-out back.
///
/// # Errors
/// For one that this version does not know.
pub fn from_evidence(value: i32) -> Result<Evidence, UnknownValue> {
    let known = [Evidence::Row, Evidence::Absence].into_iter().find(|known| i32::from(evidence(*known)) == value);
    known.ok_or(UnknownValue { field: "evidence", value: value.into() })
}

/// Reads a user back.
pub fn from_user(user: v1::User) -> User {
    User { employee_id: user.employee_id, employee_name: user.employee_name }
}

/// Reads an activity back.
pub fn from_activity(activity: v1::Activity) -> Activity {
    Activity { activity_id: activity.activity_id, activity_name: activity.activity_name }
}

const fn direction(direction: Direction) -> v1::state::Direction {
    match direction {
        Direction::None => v1::state::Direction::None,
        Direction::Out => v1::state::Direction::Out,
        Direction::In => v1::state::Direction::In,
    }
}

const fn mode(mode: Mode) -> v1::state::Mode {
    match mode {
        Mode::Unknown => v1::state::Mode::Unknown,
        Mode::Unstaff => v1::state::Mode::Unstaff,
        Mode::Avail => v1::state::Mode::Avail,
        Mode::Acd => v1::state::Mode::Acd,
        Mode::Acw => v1::state::Mode::Acw,
        Mode::Aux => v1::state::Mode::Aux,
        Mode::Dacd => v1::state::Mode::Dacd,
        Mode::Dacw => v1::state::Mode::Dacw,
        Mode::Ring => v1::state::Mode::Ring,
        Mode::Other => v1::state::Mode::Other,
        Mode::Logon => v1::state::Mode::Logon,
        Mode::Logoff => v1::state::Mode::Logoff,
    }
}

const fn from_mode(mode: v1::state::Mode) -> Mode {
    match mode {
        v1::state::Mode::Unknown => Mode::Unknown,
        v1::state::Mode::Unstaff => Mode::Unstaff,
        v1::state::Mode::Avail => Mode::Avail,
        v1::state::Mode::Acd => Mode::Acd,
        v1::state::Mode::Acw => Mode::Acw,
        v1::state::Mode::Aux => Mode::Aux,
        v1::state::Mode::Dacd => Mode::Dacd,
        v1::state::Mode::Dacw => Mode::Dacw,
        v1::state::Mode::Ring => Mode::Ring,
        v1::state::Mode::Other => Mode::Other,
        v1::state::Mode::Logon => Mode::Logon,
        v1::state::Mode::Logoff => Mode::Logoff,
    }
}
