//! What `decode` and `replay --trace` print of a record: one JSON object.

use serde::Serialize;

use crate::wire::escape::escape;
use crate::wire::reason::Reason;
use crate::wire::record::{RawText, Record};

/// A valid record with all columns.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordLine<'a> {
    login_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_name: Option<String>,
    mode: &'static str,
    direction: &'static str,
    raw_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux_reason: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_hold: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    work_split: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state_start: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    acd: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logout_reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skills: Vec<SkillLine>,
    offset: u64,
}

#[derive(Serialize)]
struct SkillLine {
    skill: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u16>,
}

/// Bytes that are no valid record.
#[derive(Serialize)]
pub(super) struct ErrorLine {
    error: String,
    offset: u64,
    raw: String,
}

impl ErrorLine {
    pub(super) fn new(reason: Reason, offset: u64, raw: &[u8]) -> Self {
        Self { error: format!("{}: {reason}", reason.label()), offset, raw: escape(raw) }
    }
}

impl<'a> RecordLine<'a> {
    pub(super) fn new(record: &Record<'a>, offset: u64) -> Self {
        let text = |raw: Option<RawText<'_>>| raw.map(|raw| raw.text().into_owned());
        Self {
            login_id: record.login_id,
            agent_name: text(record.name),
            mode: record.mode.name(),
            direction: record.direction.name(),
            raw_state: record.raw_state.text().into_owned(),
            aux_reason: record.aux_reason,
            on_hold: record.on_hold,
            work_split: text(record.work_split),
            extension: text(record.extension),
            duration_seconds: record.times.duration.map(|duration| duration.as_secs()),
            timestamp: record.times.timestamp.map(|at| at.to_string()),
            state_start: record.times.state_start.map(|at| at.to_string()),
            acd: record.acd,
            role: text(record.role),
            location: text(record.location),
            logout_reason: text(record.logout_reason),
            skills: record
                .skills
                .iter()
                .map(|skill| SkillLine { skill: skill.skill.text().into_owned(), level: skill.level })
                .collect(),
            offset,
        }
    }
}
