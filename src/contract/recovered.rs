//! Agents from the events of the `current` topic. Pure.
//!
//! Invariant: an agent's last message counts, as it does for every reader of the topic: within a partition the later one, of
//! two partitions (some were added since) the one with the later timestamp. Copies that were sent again, lower in sequence
//! *and* observed earlier, are no news. Sequences continue after the highest one, even if it is not the last. A tombstone
//! revokes what came before it: its agent was forgotten, and is unknown until they come again. Policy: a message that cannot
//! be read (a foreign value, one of a newer version) is left out, with the reason in one word: keys and values are personal
//! data. Events of integrations that nobody asked for are not even decoded. Cost: one decoding per event; agents share their
//! activities.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use prost::Message as _;
use serde::Deserialize;
use uuid::Uuid;

use crate::contract::agent::{self, UnknownValue};
use crate::contract::header;
use crate::contract::saved::StoredAgent;
use crate::contract::{self, store, v1};
use crate::mapping::annotate::Published;
use crate::mapping::tables::Activity;
use crate::time::Timestamp;
use crate::tracker::agent::KnownState;
use crate::tracker::agent_state::RideAlong;
use crate::tracker::saved::SavedAgent;

/// What the topic remembers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// Those of the wanted integrations that had an event.
    pub integrations: HashMap<Arc<str>, RecoveredFeed>,
    /// Messages that were read, of all kinds.
    pub messages: u64,
    /// How many of them were left out: neither a readable event nor one of another integration.
    pub unreadable: u64,
}

/// What the topic remembers of one integration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecoveredFeed {
    /// Each agent once, in no order, with their last message; none has a computed start or an absence.
    pub agents: Vec<StoredAgent>,
    /// The newest observation of any of its events: there was a valid record at that time.
    pub last_valid: Option<Timestamp>,
    /// The newest mapping of any of its events.
    pub mapping_version: u64,
}

/// Why a message was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Key,
    ContentType,
    Value,
    NewerVersion,
    AnotherKey,
}

impl Unreadable {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::ContentType => "content-type",
            Self::Value => "value",
            Self::NewerVersion => "newer-version",
            Self::AnotherKey => "key-of-another",
        }
    }
}

impl From<UnknownValue> for Unreadable {
    fn from(_: UnknownValue) -> Self {
        Self::NewerVersion
    }
}

/// A message read from the topic.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Read<'a> {
    pub(crate) key: Option<&'a [u8]>,
    /// Header `content-type`.
    pub(crate) content_type: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) place: MessagePlace,
}

/// Where a message is, and when it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MessagePlace {
    pub(crate) partition: i32,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
}

/// The last sequences that are known already, by the part of the key after the integration.
pub type Sequences = HashMap<Box<str>, u64>;

/// How the topic differs from what is known of an integration.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// Agents with a higher sequence there, or who are not known.
    pub(crate) beyond: Vec<StoredAgent>,
    /// Agents who are known to have had events and are not there, by the part of the key after the integration.
    pub(crate) missing: Vec<Box<str>>,
}

/// The last word on a key.
struct Word {
    place: MessagePlace,
    /// Among those that are not forgotten.
    highest: u64,
    /// `None`: forgotten.
    agent: Option<StoredAgent>,
}

#[derive(Default)]
struct Feed {
    words: HashMap<Box<str>, Word>,
    /// Only agents beyond these are wanted.
    known: Option<Sequences>,
    /// Those of the known agents who were seen.
    seen: HashSet<Box<str>>,
    last_valid: Option<Timestamp>,
    mapping_version: u64,
}

/// Takes messages, in the order of each partition.
pub(crate) struct Collector {
    feeds: HashMap<Arc<str>, Feed>,
    /// Whether each agent's last message is kept too.
    keeps_events: bool,
    activities: HashSet<Arc<Activity>>,
    pub(crate) messages: u64,
    pub(crate) unreadable: u64,
}

impl Collector {
    pub(crate) fn new(wanted: &[Arc<str>]) -> Self {
        let feeds = wanted.iter().map(|integration| (Arc::clone(integration), Feed::default())).collect();
        Self { feeds, keeps_events: true, activities: HashSet::new(), messages: 0, unreadable: 0 }
    }

    /// The same, only for agents with a higher sequence than is known of them, or who are not known.
    pub(crate) fn beyond(known: HashMap<Arc<str>, Sequences>) -> Self {
        let feed = |known| Feed { known: Some(known), ..Feed::default() };
        let feeds = known.into_iter().map(|(integration, known)| (integration, feed(known))).collect();
        Self { feeds, keeps_events: false, activities: HashSet::new(), messages: 0, unreadable: 0 }
    }

    pub(crate) fn take(&mut self, read: &Read<'_>) -> Result<(), Unreadable> {
        self.messages += 1;
        let taken = self.take_event(read);
        self.unreadable += u64::from(taken.is_err());
        taken
    }

    fn take_event(&mut self, read: &Read<'_>) -> Result<(), Unreadable> {
        let key = read.key.and_then(|key| std::str::from_utf8(key).ok()).ok_or(Unreadable::Key)?;
        let (integration, who) = key.split_once('/').ok_or(Unreadable::Key)?;
        let Some(feed) = self.feeds.get_mut(integration) else { return Ok(()) };
        feed.note(who);
        let Some(value) = read.value else {
            // They were forgotten. An agent who comes after it is seen for the first time.
            feed.forget(who, read.place);
            return Ok(());
        };
        let event = decode(read.content_type, value)?;
        if key != format!("{}/{}/{}", event.integration, event.acd, event.login_id) {
            return Err(Unreadable::AnotherKey);
        }
        feed.mapping_version = feed.mapping_version.max(event.mapping_version);
        let message = self.keeps_events.then(|| message(key, read, &event.event_id)).flatten();
        let stored = StoredAgent { last_event: message, ..stored(event, &mut self.activities)? };
        feed.last_valid = feed.last_valid.max(Some(stored.agent.last_seen));
        feed.take(who, stored, read.place);
        Ok(())
    }

    /// Returns how it differs from what is known.
    pub(crate) fn differences(self) -> HashMap<Arc<str>, Differences> {
        let of = |feed: Feed| {
            let Feed { words, known, seen, .. } = feed;
            let known = known.unwrap_or_default();
            // Somebody who was forgotten and came again before the store was closed is known up to there: after a tombstone
            // all sequences begin anew.
            let is_beyond = |(who, word): &(Box<str>, Word)| known.get(who) != Some(&word.highest);
            let beyond = words.into_iter().filter(is_beyond).filter_map(|(_, word)| word.into_agent()).collect();
            let is_missing = |(who, sequence): &(Box<str>, u64)| *sequence > 0 && !seen.contains(who);
            let missing = known.into_iter().filter(is_missing).map(|(who, _)| who).collect();
            Differences { beyond, missing }
        };
        self.feeds.into_iter().map(|(integration, feed)| (integration, of(feed))).collect()
    }

    pub(crate) fn finish(self) -> Recovered {
        let is_there = |(_, feed): &(Arc<str>, Feed)| feed.words.values().any(|word| word.agent.is_some());
        let seen = self.feeds.into_iter().filter(is_there);
        let feed = |feed: Feed| RecoveredFeed {
            agents: feed.words.into_values().filter_map(Word::into_agent).collect(),
            last_valid: feed.last_valid,
            mapping_version: feed.mapping_version,
        };
        Recovered {
            integrations: seen.map(|(integration, found)| (integration, feed(found))).collect(),
            messages: self.messages,
            unreadable: self.unreadable,
        }
    }
}

impl Word {
    fn into_agent(self) -> Option<StoredAgent> {
        let mut stored = self.agent?;
        stored.agent.sequence = self.highest;
        Some(stored)
    }
}

impl Feed {
    fn note(&mut self, who: &str) {
        if self.known.as_ref().is_some_and(|known| known.contains_key(who)) && !self.seen.contains(who) {
            self.seen.insert(who.into());
        }
    }

    fn take(&mut self, who: &str, stored: StoredAgent, place: MessagePlace) {
        let sequence = stored.agent.sequence;
        let Some(word) = self.words.get_mut(who) else {
            let is_known = |known: &Sequences| known.get(who).is_some_and(|known| sequence <= *known);
            if !self.known.as_ref().is_some_and(is_known) {
                self.words.insert(who.into(), Word { place, highest: sequence, agent: Some(stored) });
            }
            return;
        };
        let is_later = word.place.is_before(place, || sequence > word.highest);
        match &word.agent {
            None if !is_later => return,
            Some(last) if !is_later || (sequence < word.highest && stored.agent.last_seen < last.agent.last_seen) => {
                // An older event, or a copy of one.
                word.highest = word.highest.max(sequence);
                return;
            }
            None | Some(_) => {}
        }
        *word = Word { place, highest: word.highest.max(sequence), agent: Some(stored) };
    }

    fn forget(&mut self, who: &str, place: MessagePlace) {
        match self.words.get_mut(who) {
            Some(word) if word.place.is_before(place, || true) => *word = Word { place, highest: 0, agent: None },
            Some(_) => {}
            None => {
                self.words.insert(who.into(), Word { place, highest: 0, agent: None });
            }
        }
    }
}

impl MessagePlace {
    /// Whether the message there comes before another, which was read after it. Between two partitions the timestamps decide,
    /// if they differ.
    fn is_before(self, other: Self, otherwise: impl FnOnce() -> bool) -> bool {
        match self.at.cmp(&other.at) {
            _ if self.partition == other.partition => true,
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => otherwise(),
        }
    }
}

fn decode(content_type: Option<&[u8]>, value: &[u8]) -> Result<v1::AgentStateEvent, Unreadable> {
    let is = |known: &str| content_type == Some(known.as_bytes());
    if is(header::PROTOBUF) {
        v1::AgentStateEvent::decode(value).map_err(|_| Unreadable::Value)
    } else if is(header::JSON) {
        let event: v1::AgentStateEvent =
            contract::from_json(contract::AGENT_STATE_EVENT, value).map_err(|_| Unreadable::Value)?;
        if has_names_of_its_own(&event, value) { Err(Unreadable::NewerVersion) } else { Ok(event) }
    } else {
        Err(Unreadable::ContentType)
    }
}

/// Returns the message as the journal has it, to be sent again; `None` where its event has no id.
fn message(key: &str, read: &Read<'_>, event_id: &str) -> Option<store::Message> {
    let event_id = Uuid::try_parse(event_id).ok()?;
    Some(store::Message {
        route: store::message::Route::AgentState.into(),
        key: key.to_owned(),
        payload: read.value?.to_vec(),
        json: read.content_type == Some(header::JSON.as_bytes()),
        event_id: event_id.as_bytes().to_vec(),
        ..store::Message::default()
    })
}

/// Whether mode or direction has a name that this version does not know: JSON reads it as the first value.
fn has_names_of_its_own(event: &v1::AgentStateEvent, json: &[u8]) -> bool {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Event {
        state: State,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct State {
        mode: serde_json::Value,
        direction: serde_json::Value,
    }
    let is_first = |state: &v1::State| state.mode == 0 || state.direction == 0;
    if !event.state.as_ref().is_some_and(is_first) {
        return false;
    }
    let Ok(Event { state }) = serde_json::from_slice(json) else { return true };
    let mode = state.mode.as_str().map(v1::state::Mode::from_str_name);
    let direction = state.direction.as_str().map(v1::state::Direction::from_str_name);
    mode == Some(None) || direction == Some(None)
}

/// Returns the agent as the event describes them.
fn stored(event: v1::AgentStateEvent, activities: &mut HashSet<Arc<Activity>>) -> Result<StoredAgent, Unreadable> {
    let time = |at: &Option<prost_types::Timestamp>| at.as_ref().map(contract::from_timestamp);
    let (Some(state), Some(state_since), Some(observed_at)) =
        (event.state, time(&event.state_since), time(&event.observed_at))
    else {
        return Err(Unreadable::Value);
    };
    let state = agent::from_state(state)?;
    let known = KnownState { quality: agent::from_quality(event.since_quality)?, state_since, state };
    let published = Published {
        user: event.user.map(|user| Arc::new(agent::from_user(user))),
        activity_since: event.activity.is_some().then(|| time(&event.activity_since).unwrap_or(state_since)),
        activity: event.activity.map(|activity| shared(agent::from_activity(activity), activities)),
    };
    let agent = SavedAgent {
        acd: event.acd,
        login_id: event.login_id.into(),
        sequence: event.sequence,
        ride_along: RideAlong {
            name: agent::text(&event.agent_name),
            extension: known.state.extension.clone(),
            role: agent::text(&event.role),
            location: agent::text(&event.location),
            logout_reason: agent::text(&event.logout_reason),
        },
        known: Some(known),
        last_seen: observed_at,
        start: None,
        told_start: None,
        state_seen: None,
        listed_again: 0,
        brief: None,
        absence: None,
    };
    Ok(StoredAgent { agent, published: Some(published), last_event: None })
}

fn shared(activity: Activity, activities: &mut HashSet<Arc<Activity>>) -> Arc<Activity> {
    if let Some(known) = activities.get(&activity) {
        return Arc::clone(known);
    }
    let activity = Arc::new(activity);
    activities.insert(Arc::clone(&activity));
    activity
}

#[cfg(test)]
#[path = "recovered_tests.rs"]
mod tests;
