//! Gives each distinct content of an integration's mapping a version that only grows.
//!
//! The version is kept in the store, so that it keeps growing across restarts. A content that was in force at the last stop
//! keeps its version.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use foldhash::fast::FixedState;
use parking_lot::Mutex;

use crate::config::model::Config;
use crate::journal::store::{MappingVersion, Store, StoreError};
use crate::mapping::scoped::Scope;
use crate::mapping::tables::{Activity, IdentifyBy, MappingTables};

/// Versions by integration, as the store has them.
#[derive(Clone, Debug)]
pub struct Versions {
    known: BTreeMap<Arc<str>, MappingVersion>,
    /// No version given from now on is smaller.
    least: u64,
}

impl Versions {
    /// Loads those of the configured integrations.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn load(store: &Store, config: &Config) -> Result<Self, StoreError> {
        let mut known = BTreeMap::new();
        for integration in &config.integrations {
            if let Some((version, content)) = store.mapping_version(&integration.id)? {
                let integration = Arc::clone(&integration.id);
                known.insert(Arc::clone(&integration), MappingVersion { integration, version, content });
            }
        }
        Ok(Self { known, least: store.least_mapping_version()? })
    }

    /// Takes what the store has of one more integration.
    pub fn learn(&mut self, integration: &Arc<str>, stored: Option<(u64, u64)>) {
        if let Some((version, content)) = stored {
            let known = MappingVersion { integration: Arc::clone(integration), version, content };
            self.known.entry(Arc::clone(integration)).or_insert(known);
        }
    }

    /// Returns the version of a mapping of that integration: the previous one if it says the same, else a new one.
    pub fn assign(&mut self, integration: &Arc<str>, mapping: Content) -> u64 {
        let Content { now: content, before } = mapping;
        let version = match self.known.get(integration) {
            Some(known) if known.content == content || Some(known.content) == before => known.version,
            Some(known) => self.least.max(known.version + 1),
            None => self.least,
        };
        let known = MappingVersion { integration: Arc::clone(integration), version, content };
        self.known.insert(Arc::clone(integration), known);
        version
    }

    /// Goes beyond `published`, where the version of that integration is not: another machine has counted further. Returns
    /// the new version.
    pub fn go_beyond(&mut self, integration: &str, published: u64) -> Option<u64> {
        let known = self.known.get_mut(integration).filter(|known| known.version <= published)?;
        known.version = published + 1;
        Some(known.version)
    }

    /// Changes versions that are shared. What cannot be written down is not changed.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn change<R>(
        shared: &Mutex<Self>,
        store: &mut Store,
        change: impl FnOnce(&mut Self, &Store) -> Result<R, StoreError>,
    ) -> Result<R, StoreError> {
        let mut shared = shared.lock();
        let mut changed = shared.clone();
        let outcome = change(&mut changed, store)?;
        changed.save(store)?;
        *shared = changed;
        Ok(outcome)
    }

    /// Writes down those that the store does not have.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub fn save(&self, store: &mut Store) -> Result<(), StoreError> {
        let mut changed = Vec::new();
        for known in self.known.values() {
            if store.mapping_version(&known.integration)? != Some((known.version, known.content)) {
                changed.push(known.clone());
            }
        }
        if changed.is_empty() { Ok(()) } else { store.set_mapping_versions(&changed) }
    }
}

/// What a mapping says, as a digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    now: u64,
    /// As stores of 0.1.0 have it.
    before: Option<u64>,
}

impl Content {
    /// Returns the digest of these tables, whatever their version.
    pub fn of(tables: &MappingTables) -> Self {
        // Tables with rows that such stores did not know have no digest of then.
        let is_of_then = tables.scoped.is_empty() && tables.names.is_empty();
        Self { now: content(tables), before: is_of_then.then(|| content_before(tables)) }
    }
}

/// Returns a digest of what the tables say: the beginning of SHA-256 over their rows, sorted, each text preceded by its length.
fn content(tables: &MappingTables) -> u64 {
    let mut digest = Context::new(&SHA256);
    let mut text = |text: &str| {
        digest.update(&(text.len() as u64).to_be_bytes());
        digest.update(text.as_bytes());
    };
    text(match tables.identify_by {
        IdentifyBy::LoginId => "login_id",
        IdentifyBy::Name => "name",
    });
    let users: BTreeMap<_, _> = tables.users.iter().collect();
    text(&users.len().to_string());
    for (user, employee) in users {
        [user, &employee.employee_id, &employee.employee_name].into_iter().for_each(|field| text(field));
    }
    let activities: BTreeMap<_, _> = tables.activities.iter().collect();
    text(&activities.len().to_string());
    for (key, activity) in activities {
        [key, &activity.activity_id, &activity.activity_name].into_iter().for_each(|field| text(field));
    }
    let Activity { activity_id, activity_name } = &*tables.default_activity;
    [activity_id, activity_name].into_iter().for_each(|field| text(field));
    // Tables without such rows keep the digest that they had before there were any.
    let mut scoped: Vec<_> = tables.scoped.rows().collect();
    scoped.sort_unstable_by_key(|(user, scope, _)| (*user, scope.acd, scope.from, scope.to));
    for (user, Scope { acd, from, to }, employee) in scoped {
        [user, &employee.employee_id, &employee.employee_name].into_iter().for_each(&mut text);
        text(&acd.map_or_else(String::new, |acd| acd.to_string()));
        for moment in [from, to] {
            text(&moment.map_or_else(String::new, |moment| moment.as_micros().to_string()));
        }
    }
    if !tables.names.is_empty() {
        let names: BTreeMap<_, _> = tables.names.iter().collect();
        text("names");
        names.into_iter().for_each(|(login_id, name)| [&**login_id, &**name].into_iter().for_each(&mut text));
    }
    digest.finish().as_ref().iter().take(8).fold(0, |content, byte| content << 8 | u64::from(*byte))
}

/// Returns the digest that stores of 0.1.0 have. It depends on a hash that may change with a dependency: it is only compared,
/// so that those stores keep their versions.
fn content_before(tables: &MappingTables) -> u64 {
    let users: BTreeMap<_, _> = tables.users.iter().collect();
    let activities: BTreeMap<_, _> = tables.activities.iter().collect();
    FixedState::with_seed(0).hash_one(&(tables.identify_by as u8, users, activities, &tables.default_activity))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::mapping::scoped::ScopedUsers;
    use crate::mapping::tables::User;
    use crate::time::Timestamp;

    fn tables() -> MappingTables {
        let user = |id: &str| Arc::new(User { employee_id: id.to_owned(), employee_name: "Ada".to_owned() });
        let activity = |id: &str| Arc::new(Activity { activity_id: id.to_owned(), activity_name: "Call".to_owned() });
        MappingTables {
            version: 0,
            identify_by: IdentifyBy::LoginId,
            scoped: ScopedUsers::default(),
            users: HashMap::from([("4711".to_owned(), user("1")), ("4712".to_owned(), user("2"))]),
            names: HashMap::new(),
            activities: HashMap::from([("ACD".to_owned(), activity("7"))]),
            default_activity: activity("0"),
        }
    }

    #[test]
    fn a_digest_is_that_of_the_content_and_of_nothing_else() {
        assert_eq!(
            content(&tables()),
            11_165_983_544_114_627_473,
            "the same on every machine and with every version of a dependency"
        );
        let mut others = vec![tables(); 11];
        others[0].identify_by = IdentifyBy::Name;
        others[1].users.remove("4711");
        others[2].activities.insert("ACD:5".to_owned(), Arc::clone(&tables().default_activity));
        others[3].default_activity = Arc::clone(&tables().activities["ACD"]);
        // The same letters in other fields.
        let moved = User { employee_id: "1A".to_owned(), employee_name: "da".to_owned() };
        others[4].users.insert("4711".to_owned(), Arc::new(moved));
        let user = Arc::clone(&tables().users["4711"]);
        let scoped = |acd, from: Option<i64>, to: Option<i64>| {
            let scope = Scope { acd, from: from.map(Timestamp::from_millis), to: to.map(Timestamp::from_millis) };
            ScopedUsers::new(HashMap::from([("5".to_owned(), vec![(scope, Arc::clone(&user))])]))
        };
        others[5].scoped = scoped(Some(1), None, None);
        others[6].scoped = scoped(Some(2), None, None);
        others[7].scoped = scoped(None, Some(1), None);
        others[8].scoped = scoped(None, None, Some(1));
        others[9].names.insert("5".to_owned(), "Ada".into());
        others[10].names.insert("5".to_owned(), "Bo".into());
        for (place, other) in others.iter().enumerate() {
            assert!(!others[..place].iter().any(|before| content(before) == content(other)), "{other:?}");
            assert_ne!(content(other), content(&tables()), "{other:?}");
        }
    }

    #[test]
    fn a_store_with_the_former_digest_keeps_its_version() {
        let integration: Arc<str> = "avaya-1".into();
        let known = |content| {
            let before = MappingVersion { integration: Arc::clone(&integration), version: 7, content };
            let known = BTreeMap::from([(Arc::clone(&integration), before)]);
            Versions { known, least: 7 }
        };
        for (before, expected) in [(content(&tables()), 7), (content_before(&tables()), 7), (4711, 8)] {
            let mut versions = known(before);
            assert_eq!(versions.assign(&integration, Content::of(&tables())), expected);
            assert_eq!(versions.known[&integration].content, content(&tables()), "it is written down anew");
        }
    }
}
