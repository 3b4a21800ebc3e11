//! What a transition means in injixo: its user, its activity, and since when that activity lasts.

use std::sync::Arc;

use crate::time::Timestamp;
use crate::tracker::event::{AgentEvent, Cause};
use crate::tracker::shared_texts::SharedTexts;
use crate::tracker::table::AgentIndex;

use super::key::{ActivityKey, MatchLevel};
use super::names::NameIndex;
use super::tables::{Activity, IdentifyBy, MappingTables, User};

/// Why an event has no user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NoUser {
    /// No row for the external user.
    Unmapped,
    /// Two logins share the name.
    Ambiguous,
    /// The feed gave no name.
    Nameless,
}

/// What the mapping says about an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// What the user was looked up with.
    pub external_user: Arc<str>,
    /// The user, or why there is none.
    pub user: Result<Arc<User>, NoUser>,
    /// Activity key of the state.
    pub external_activity: Arc<str>,
    /// The same without its split: what a planner maps.
    pub activity_base: Arc<str>,
    /// The activity.
    pub activity: Option<Arc<Activity>>,
    /// How it was found.
    pub level: MatchLevel,
    /// Activity key of the previous state.
    pub previous_external_activity: Option<Arc<str>>,
    /// Activity of the previous state, as it was published.
    pub previous_activity: Option<Arc<Activity>>,
    /// Since when the activity is the same; `None` where there is none.
    pub activity_since: Option<Timestamp>,
    /// The version of the mapping.
    pub version: u64,
}

/// What was last published of an agent's mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The user; `None` while unmapped.
    pub user: Option<Arc<User>>,
    /// The activity.
    pub activity: Option<Arc<Activity>>,
    /// Since when the activity is the same; `None` where there is none.
    pub activity_since: Option<Timestamp>,
}

/// Annotates the events of one integration.
#[derive(Debug)]
pub struct Annotator {
    tables: Arc<MappingTables>,
    names: NameIndex,
    last: Vec<Option<Published>>,
    /// Activity keys.
    texts: SharedTexts,
}

impl Annotator {
    /// Creates an annotator with the mapping in force.
    pub fn new(tables: Arc<MappingTables>) -> Self {
        Self { tables, names: NameIndex::default(), last: Vec::new(), texts: SharedTexts::default() }
    }

    /// Returns the mapping in force.
    pub const fn tables(&self) -> &Arc<MappingTables> {
        &self.tables
    }

    /// Sets another version. The caller asks [`Self::is_outdated`] for every agent.
    /// Names have to be set anew, as the list of names may be another.
    pub fn set_tables(&mut self, tables: Arc<MappingTables>) {
        self.tables = tables;
        self.names = NameIndex::default();
    }

    /// Sets an agent's name, as the feed gave it. The agents returned may be mapped differently now.
    pub fn set_name(&mut self, agent: AgentIndex, login_id: &Arc<str>, name: &Arc<str>) -> Vec<AgentIndex> {
        if self.tables.identify_by != IdentifyBy::Name {
            return Vec::new();
        }
        self.names.set(agent, login_id, name)
    }

    /// Returns what the mapping says about `event`, and remembers that as published.
    pub fn annotate(&mut self, event: &AgentEvent) -> Annotation {
        let (external_user, user) =
            self.user(&event.login_id, event.ride_along.name.as_ref(), event.acd, event.observed_at);
        let key = ActivityKey::of(&event.state);
        let (activity, level) = self.tables.activity(&key);
        let previous_key = event.previous.as_ref().map(|previous| ActivityKey::of(&previous.state));
        let last = self.slot(event.agent).take();
        // A remembered log-out was never published: it is named as the mapping names it now.
        let previous_activity = match &last {
            Some(last) => last.activity.clone(),
            None => previous_key.as_ref().and_then(|key| self.tables.activity(key).0),
        };
        let id = |activity: &Option<Arc<Activity>>| activity.as_ref().map(|activity| activity.activity_id.clone());
        let is_the_same = event.cause != Cause::Reentered && id(&previous_activity) == id(&activity);
        let begun_before = match &last {
            Some(last) => last.activity_since,
            // It began with the remembered log-out.
            None => event.previous.as_ref().map(|previous| previous.state_since),
        };
        let activity_since =
            activity.is_some().then(|| begun_before.filter(|_| is_the_same).unwrap_or(event.state_since));
        *self.slot(event.agent) =
            Some(Published { user: user.clone().ok(), activity: activity.clone(), activity_since });
        Annotation {
            external_user,
            user,
            external_activity: self.texts.get(key.full()),
            activity_base: self.texts.get(key.without_split()),
            activity,
            level,
            previous_external_activity: previous_key.map(|key| self.texts.get(key.full())),
            previous_activity,
            activity_since,
            version: self.tables.version,
        }
    }

    /// Returns what was last published of an agent.
    pub fn published(&self, index: AgentIndex) -> Option<&Published> {
        self.last.get(index as usize)?.as_ref()
    }

    /// Restores what was last published of an agent by another process.
    pub fn restore(&mut self, index: AgentIndex, published: Option<Published>) {
        *self.slot(index) = published;
    }

    /// Forgets an agent. Those returned may be mapped differently now.
    pub fn forget(&mut self, index: AgentIndex) -> Vec<AgentIndex> {
        if let Some(last) = self.last.get_mut(index as usize) {
            *last = None;
        }
        self.names.forget(index)
    }

    fn slot(&mut self, index: AgentIndex) -> &mut Option<Published> {
        let slot = index as usize;
        if self.last.len() <= slot {
            self.last.resize(slot + 1, None);
        }
        &mut self.last[slot]
    }

    /// Whether the mapping in force differs for an agent's known state from what was published, at that moment.
    pub fn is_outdated(&self, agent: &crate::tracker::agent::Agent, index: AgentIndex, at: Timestamp) -> bool {
        let (Some(known), Some(last)) = (&agent.known, self.published(index)) else { return false };
        let (_, user) = self.user(&agent.login_id, agent.ride_along.name.as_ref(), agent.acd, at);
        let (activity, _) = self.tables.activity(&ActivityKey::of(&known.state));
        user.ok() != last.user || activity != last.activity
    }

    fn user(
        &self,
        login_id: &Arc<str>,
        name: Option<&Arc<str>>,
        acd: u32,
        at: Timestamp,
    ) -> (Arc<str>, Result<Arc<User>, NoUser>) {
        let external = match (self.tables.identify_by, self.tables.name(login_id, name)) {
            (IdentifyBy::LoginId, _) => login_id,
            (IdentifyBy::Name, Some(name)) => name,
            (IdentifyBy::Name, None) => return ("".into(), Err(NoUser::Nameless)),
        };
        if self.tables.identify_by == IdentifyBy::Name && self.names.is_ambiguous(external) {
            return (external.clone(), Err(NoUser::Ambiguous));
        }
        (external.clone(), self.tables.user(external, acd, at).ok_or(NoUser::Unmapped))
    }
}
