//! Agents and feeds as rows: converts what a tracker remembers to bytes and back.
//!
//! Purpose: conversions between the types of `tracker` and `mapping` and the messages of `proto/rtalink/store/v1`. Pure.
//! Invariant: what is read back is what was written, to the microsecond. Policy: bytes that are not such a message, or hold a
//! value that this version does not know, are an error; an unknown field is left out; nothing panics. Cost: one allocation
//! per text; about a microsecond per agent, twice that with 20 skills.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;

use crate::mapping::annotate::Published;
use crate::mapping::tables::User;
use crate::time::Timestamp;
use crate::tracker::agent::{KnownState, ToldStart};
use crate::tracker::agent_state::RideAlong;
use crate::tracker::listening::Listening;
use crate::tracker::saved::{SavedAbsence, SavedAgent, SavedBrief, SavedFeed};

use super::agent::{self, UnknownValue};
use super::put::Put;
use super::store;

/// Why a row could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SavedError {
    /// The bytes are not such a message.
    #[error("not a row of the store, it may be damaged: {0}")]
    Decode(#[from] prost::DecodeError),
    /// Written by a newer version.
    #[error(transparent)]
    Unknown(#[from] UnknownValue),
}

impl SavedError {
    /// Whether a newer version wrote it: it is intact, and must be kept for that version.
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::Unknown(_))
    }
}

/// An agent, as a row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredAgent {
    /// What the tracker remembers.
    pub agent: SavedAgent,
    /// What was last published of the mapping.
    pub published: Option<Published>,
    /// The message of the last event, where it was kept.
    pub last_event: Option<store::Message>,
}

impl StoredAgent {
    /// Whether the agent's events contain a name: their own, or that of the employee.
    pub fn has_name(&self) -> bool {
        self.agent.ride_along.name.is_some() || self.user().is_some_and(|user| !user.employee_name.is_empty())
    }

    /// Removes both names. Returns whether there was one.
    pub fn drop_name(&mut self) -> bool {
        if !self.has_name() {
            return false;
        }
        self.agent.ride_along.name = None;
        if let Some(user) = self.published.as_mut().and_then(|published| published.user.as_mut()) {
            *user = Arc::new(user.without_name());
        }
        true
    }

    fn user(&self) -> Option<&User> {
        self.published.as_ref()?.user.as_deref()
    }
}

/// Encodes column `memory` of an agent.
pub fn encode_agent(agent: &SavedAgent, published: Option<&Published>, last_event: Option<&store::Message>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    put_agent(&mut Put(&mut bytes), agent, published, last_event);
    bytes
}

/// Writes a `rtalink.store.v1.AgentMemory`.
pub(crate) fn put_agent(
    put: &mut Put<'_>,
    agent: &SavedAgent,
    published: Option<&Published>,
    last_event: Option<&store::Message>,
) {
    let (known, ride_along) = (agent.known.as_ref(), &agent.ride_along);
    put.uint(1, agent.acd);
    put.bytes(2, &*agent.login_id);
    put.uint(3, agent.sequence);
    if let Some(known) = known {
        put.message(4, |put| agent::put_state(put, &known.state));
        put.sint(5, known.state_since.as_micros());
        put.int(6, agent::quality(known.quality) as i32);
    }
    put.sint(7, agent.last_seen.as_micros());
    put.optional_sint(8, agent.start.map(Timestamp::as_micros));
    let texts =
        [&ride_along.name, &ride_along.extension, &ride_along.role, &ride_along.location, &ride_along.logout_reason];
    for (number, text) in (9..).zip(texts) {
        put.optional_bytes(number, text.as_deref());
    }
    if let Some(absence) = &agent.absence {
        put.message(14, |put| {
            put.uint(1, absence.snapshots);
            put.sint(2, absence.since.as_micros());
            put.flag(3, absence.began_after_gap);
            put.flag(4, absence.suspect);
        });
    }
    if let Some(published) = published {
        put.message(15, |put| {
            if let Some(user) = &published.user {
                put.message(1, |put| agent::put_user(put, user));
            }
            if let Some(activity) = &published.activity {
                put.message(2, |put| agent::put_activity(put, activity));
            }
            put.optional_sint(3, published.activity_since.map(Timestamp::as_micros));
        });
    }
    if let Some(last_event) = last_event {
        put.optional_bytes(16, Some(last_event.encode_to_vec()));
    }
    if let Some(told) = &agent.told_start {
        put.message(17, |put| {
            put.bytes(1, &told.text);
            put.sint(2, told.at.as_micros());
            put.sint(3, told.taken.as_micros());
        });
    }
    put.uint(18, agent.listed_again);
    put.optional_sint(19, agent.state_seen.map(Timestamp::as_micros));
    if let Some(brief) = &agent.brief {
        put.message(20, |put| put_brief(put, brief));
    }
}

fn put_brief(put: &mut Put<'_>, brief: &SavedBrief) {
    put.int(1, agent::cause(brief.cause) as i32);
    put.optional_int(2, brief.evidence.map(|evidence| agent::evidence(evidence) as i32));
    put.message(3, |put| agent::put_state(put, &brief.known.state));
    put.sint(4, brief.known.state_since.as_micros());
    put.int(5, agent::quality(brief.known.quality) as i32);
    put.flag(6, brief.after_gap);
    put.sint(7, brief.observed_at.as_micros());
    put.sint(8, brief.seen.as_micros());
    put.sint(9, brief.last_seen.as_micros());
}

/// Reads an agent back from [`encode_agent`].
///
/// # Errors
/// Bytes that are not such a message, or of a newer version.
pub fn decode_agent(bytes: &[u8]) -> Result<StoredAgent, SavedError> {
    Ok(from_agent_message(store::AgentMemory::decode(bytes)?)?)
}

/// Returns the same as a message.
pub fn agent_message(agent: &SavedAgent, published: Option<&Published>) -> store::AgentMemory {
    // What was written here can be read.
    store::AgentMemory::decode(&*encode_agent(agent, published, None)).unwrap_or_default()
}

/// Reads an agent of a batch of the journal.
///
/// # Errors
/// A value that this version does not know.
pub fn from_agent_message(message: store::AgentMemory) -> Result<StoredAgent, UnknownValue> {
    let known = match message.state {
        None => None,
        Some(state) => Some(KnownState {
            state: agent::from_state(state)?,
            state_since: Timestamp::from_micros(message.since),
            quality: agent::from_quality(message.quality)?,
        }),
    };
    let text = |text: Option<String>| text.map(Arc::from);
    let agent = SavedAgent {
        acd: message.acd,
        login_id: message.login_id.into(),
        sequence: message.sequence,
        known,
        ride_along: RideAlong {
            name: text(message.name),
            extension: text(message.extension),
            role: text(message.role),
            location: text(message.location),
            logout_reason: text(message.logout_reason),
        },
        last_seen: Timestamp::from_micros(message.last_seen),
        start: message.start.map(Timestamp::from_micros),
        told_start: message.told_start.map(|told| ToldStart {
            text: told.text.into(),
            at: Timestamp::from_micros(told.at),
            taken: Timestamp::from_micros(told.taken),
        }),
        state_seen: message.state_seen.map(Timestamp::from_micros),
        listed_again: message.listed_again,
        brief: message.brief.map(from_brief_message).transpose()?.flatten(),
        absence: message.absence.map(|absence| SavedAbsence {
            snapshots: absence.snapshots,
            since: Timestamp::from_micros(absence.since),
            began_after_gap: absence.began_after_gap,
            suspect: absence.suspect,
        }),
    };
    let published = message.published.map(|published| Published {
        user: published.user.map(|user| Arc::new(agent::from_user(user))),
        // Older versions also wrote a time where there is no activity.
        activity_since: published.activity_since.filter(|_| published.activity.is_some()).map(Timestamp::from_micros),
        activity: published.activity.map(|activity| Arc::new(agent::from_activity(activity))),
    });
    Ok(StoredAgent { agent, published, last_event: message.last_event })
}

fn from_brief_message(brief: store::Brief) -> Result<Option<SavedBrief>, UnknownValue> {
    let Some(state) = brief.state else { return Ok(None) };
    Ok(Some(SavedBrief {
        cause: agent::from_cause(brief.cause)?,
        evidence: brief.evidence.map(agent::from_evidence).transpose()?,
        known: KnownState {
            state: agent::from_state(state)?,
            state_since: Timestamp::from_micros(brief.since),
            quality: agent::from_quality(brief.quality)?,
        },
        after_gap: brief.after_gap,
        observed_at: Timestamp::from_micros(brief.observed_at),
        last_seen: Timestamp::from_micros(brief.last_seen),
        seen: Timestamp::from_micros(brief.seen),
    }))
}

/// Encodes column `feed` of an integration. A period of zero is an unknown one.
pub fn encode_feed(feed: &SavedFeed) -> Vec<u8> {
    store::FeedMemory {
        last_valid: feed.last_valid.map(Timestamp::as_micros),
        last_sign: feed.last_sign.map(Timestamp::as_micros),
        gap_from: feed.gap_from.map(Timestamp::as_micros),
        seen_at: feed.seen_at.map(Timestamp::as_micros),
        delay: micros(feed.delay),
        link_is_down: feed.link_is_down,
        is_unreadable: feed.is_unreadable,
        period: feed.period.map_or(0, micros),
        ended_began: feed.ended_began.map(Timestamp::as_micros),
        suspect_until: feed.suspect_until.map(Timestamp::as_micros),
        repeating: feed.repeating,
        listened_from: feed.listening.from.map(Timestamp::as_micros),
        listened_until: feed.listening.until.map(Timestamp::as_micros),
        deaf: feed.listening.deaf.iter().map(|(from, to)| deaf(*from, *to)).collect(),
        cursor: Vec::new(),
    }
    .encode_to_vec()
}

/// Encodes how far a source has been read that has rows instead of a feed.
pub fn encode_cursor(cursor: Vec<u8>) -> Vec<u8> {
    store::FeedMemory { cursor, ..store::FeedMemory::default() }.encode_to_vec()
}

/// Reads a cursor back from [`encode_cursor`]; empty where the source has not been read yet.
///
/// # Errors
/// Bytes that are not such a message.
pub fn decode_cursor(bytes: &[u8]) -> Result<Vec<u8>, SavedError> {
    Ok(store::FeedMemory::decode(bytes)?.cursor)
}

/// Reads a feed back from [`encode_feed`]; no bytes give a feed of which nothing is known.
///
/// # Errors
/// Bytes that are not such a message.
pub fn decode_feed(bytes: &[u8]) -> Result<SavedFeed, SavedError> {
    let message = store::FeedMemory::decode(bytes)?;
    Ok(SavedFeed {
        last_valid: message.last_valid.map(Timestamp::from_micros),
        last_sign: message.last_sign.map(Timestamp::from_micros),
        gap_from: message.gap_from.map(Timestamp::from_micros),
        seen_at: message.seen_at.map(Timestamp::from_micros),
        delay: Duration::from_micros(message.delay),
        link_is_down: message.link_is_down,
        is_unreadable: message.is_unreadable,
        period: (message.period != 0).then(|| Duration::from_micros(message.period)),
        ended_began: message.ended_began.map(Timestamp::from_micros),
        suspect_until: message.suspect_until.map(Timestamp::from_micros),
        repeating: message.repeating,
        listening: Listening {
            from: message.listened_from.map(Timestamp::from_micros),
            // An older version listened until the last record.
            until: message.listened_until.or(message.last_valid).map(Timestamp::from_micros),
            deaf: message
                .deaf
                .iter()
                .map(|deaf| [deaf.from, deaf.to].map(Timestamp::from_micros))
                .map(Into::into)
                .collect(),
        },
    })
}

fn deaf(from: Timestamp, to: Timestamp) -> store::Deaf {
    store::Deaf { from: from.as_micros(), to: to.as_micros() }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "saved_tests.rs"]
mod tests;
