//! What nobody has mapped yet, for the planner who will.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::time::Timestamp;

use super::annotate::{Annotation, NoUser};
use super::key::{LOGGED_OUT, MatchLevel};
use super::tables::MappingTables;

/// Most distinct users, and most distinct activities, that are listed; more are counted.
pub const MAX_LISTED: usize = 10_000;

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnmappedEntry {
    /// First event with it.
    pub first_seen: Timestamp,
    /// Last event with it.
    pub last_seen: Timestamp,
    /// Number of events.
    pub count: u64,
    /// The ACD of the last event: a row may count on one only.
    pub acd: u32,
    /// Why it is unmapped, for users.
    pub reason: NoUser,
}

/// Users and activities without a mapping.
#[derive(Debug)]
pub struct Unmapped {
    users: HashMap<Arc<str>, UnmappedEntry, FixedState>,
    activities: HashMap<Arc<str>, UnmappedEntry, FixedState>,
    not_listed: u64,
}

/// What is listed at a moment.
#[derive(Clone, Debug)]
pub struct Listed {
    users: Vec<(Arc<str>, UnmappedEntry)>,
    activities: Vec<(Arc<str>, UnmappedEntry)>,
    /// Events whose user or activity was not listed because the list is full.
    pub not_listed: u64,
}

impl Listed {
    /// Users and activity keys, each with the most frequent first.
    pub fn sorted(mut self) -> [Vec<(Arc<str>, UnmappedEntry)>; 2] {
        for entries in [&mut self.users, &mut self.activities] {
            entries.sort_unstable_by(|(a, left), (b, right)| right.count.cmp(&left.count).then(a.cmp(b)));
        }
        [self.users, self.activities]
    }
}

impl Default for Unmapped {
    fn default() -> Self {
        let hasher = || FixedState::with_seed(2);
        Self { users: HashMap::with_hasher(hasher()), activities: HashMap::with_hasher(hasher()), not_listed: 0 }
    }
}

impl Unmapped {
    /// Notes what an event says.
    pub fn note(&mut self, annotation: &Annotation, acd: u32, at: Timestamp) {
        let seen = |reason| UnmappedEntry { first_seen: at, last_seen: at, count: 1, acd, reason };
        match annotation.user {
            Err(reason) if reason != NoUser::Nameless => {
                self.not_listed += note(&mut self.users, &annotation.external_user, seen(reason));
            }
            Err(_) => {}
            Ok(_) if self.users.is_empty() => {}
            // Whoever is mapped on one ACD may not be on another.
            Ok(_) if self.users.get(&annotation.external_user).is_some_and(|seen| seen.acd == acd) => {
                self.users.remove(&annotation.external_user);
            }
            Ok(_) => {}
        }
        let is_unmapped = matches!(annotation.level, MatchLevel::Default | MatchLevel::None);
        if is_unmapped && *annotation.activity_base != *LOGGED_OUT {
            self.not_listed += note(&mut self.activities, &annotation.activity_base, seen(NoUser::Unmapped));
        }
    }

    /// Keeps the users who still exist.
    pub fn retain_users(&mut self, is_somebody: impl Fn(&str) -> bool) {
        self.users.retain(|user, _| is_somebody(user));
    }

    /// Removes what another mapping maps from the list.
    pub fn prune(&mut self, tables: &MappingTables) {
        let is_unmapped = |user: &str, seen: &UnmappedEntry| tables.user(user, seen.acd, seen.last_seen).is_none();
        self.users.retain(|user, seen| seen.reason == NoUser::Ambiguous || is_unmapped(user, seen));
        self.activities.retain(|key, _| {
            let shorter = key.match_indices(':').map(|(cut, _)| &key[..cut]);
            !shorter.chain([&**key]).any(|key| tables.activity_row(key).is_some())
        });
    }

    /// Returns a copy of all of it as it is now, to be shown after the lock is released.
    pub fn listed(&self) -> Listed {
        let entries = |list: &HashMap<Arc<str>, UnmappedEntry, FixedState>| {
            list.iter().map(|(key, seen)| (Arc::clone(key), *seen)).collect()
        };
        Listed { users: entries(&self.users), activities: entries(&self.activities), not_listed: self.not_listed }
    }

    /// Returns how many users and activities are listed.
    pub fn counts(&self) -> (usize, usize) {
        (self.users.len(), self.activities.len())
    }

    /// Events whose user or activity was not listed because the list is full.
    pub const fn not_listed(&self) -> u64 {
        self.not_listed
    }
}

fn note(list: &mut HashMap<Arc<str>, UnmappedEntry, FixedState>, key: &Arc<str>, now: UnmappedEntry) -> u64 {
    if let Some(seen) = list.get_mut(key) {
        *seen = UnmappedEntry { first_seen: seen.first_seen, count: seen.count + 1, ..now };
        return 0;
    }
    if list.len() >= MAX_LISTED {
        return 1;
    }
    list.insert(key.clone(), now);
    0
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Annotation, Arc, MappingTables, MatchLevel, NoUser, Timestamp, Unmapped};
    use crate::mapping::scoped::{Scope, ScopedUsers};
    use crate::mapping::tables::{Activity, IdentifyBy, User};

    fn annotation(user: &str, is_mapped: bool) -> Annotation {
        Annotation {
            external_user: user.into(),
            user: if is_mapped { Ok(employee()) } else { Err(NoUser::Unmapped) },
            external_activity: "ACD:IN".into(),
            activity_base: "ACD:IN".into(),
            activity: None,
            level: MatchLevel::Exact,
            previous_external_activity: None,
            previous_activity: None,
            activity_since: None,
            version: 1,
        }
    }

    fn employee() -> Arc<User> {
        Arc::new(User { employee_id: "E1".into(), employee_name: "A".into() })
    }

    /// Rows that count on an ACD only say nothing about the other one.
    #[test]
    fn whoever_is_mapped_on_another_acd_stays_on_the_list() {
        let at = Timestamp::from_millis(1_000);
        let mut unmapped = Unmapped::default();
        unmapped.note(&annotation("4711", false), 2, at);
        unmapped.note(&annotation("4711", true), 1, at);
        let on = |acd| {
            let scope = Scope { acd: Some(acd), ..Scope::default() };
            let rows = std::iter::once(("4711".to_owned(), vec![(scope, employee())])).collect();
            MappingTables {
                version: 1,
                identify_by: IdentifyBy::LoginId,
                users: HashMap::default(),
                scoped: ScopedUsers::new(rows),
                names: HashMap::default(),
                activities: HashMap::default(),
                default_activity: Arc::new(Activity { activity_id: String::new(), activity_name: String::new() }),
            }
        };
        unmapped.prune(&on(1));
        assert_eq!(unmapped.counts().0, 1, "the row is for ACD 1");
        unmapped.prune(&on(2));
        assert_eq!(unmapped.counts().0, 0);
    }
}
