//! Users and activities of injixo, by the names that CMS has for them. Immutable: a change is a new version.

use std::collections::HashMap;
use std::sync::Arc;

use crate::time::Timestamp;

use super::key::{ActivityKey, MatchLevel};
use super::scoped::ScopedUsers;
use super::spelling;

/// What users are looked up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifyBy {
    /// The CMS login id.
    LoginId,
    /// The CMS user name.
    Name,
}

/// An employee.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct User {
    /// injixo's id.
    pub employee_id: String,
    /// For people.
    pub employee_name: String,
}

impl User {
    /// The same, without the name.
    #[must_use]
    pub fn without_name(&self) -> Self {
        Self { employee_id: self.employee_id.clone(), employee_name: String::new() }
    }
}

/// An activity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Activity {
    /// injixo's id.
    pub activity_id: String,
    /// For people.
    pub activity_name: String,
}

/// One version of an integration's mapping.
#[derive(Clone, Debug)]
pub struct MappingTables {
    /// Grows with every change of content, across restarts too.
    pub version: u64,
    /// What users are looked up with.
    pub identify_by: IdentifyBy,
    /// By external user in its [normal](spelling::normal) spelling; case counts. They count everywhere, and always.
    pub users: HashMap<String, Arc<User>>,
    /// Users whose rows count on one ACD, or for a time.
    pub scoped: ScopedUsers,
    /// What agents are called where the feed has no name, by login id in its normal spelling.
    pub names: HashMap<String, Arc<str>>,
    /// By activity key in its normal spelling.
    pub activities: HashMap<String, Arc<Activity>>,
    /// For keys without a row.
    pub default_activity: Arc<Activity>,
}

impl MappingTables {
    /// Returns the employee of an external user on an ACD at a moment.
    pub fn user(&self, external_user: &str, acd: u32, at: Timestamp) -> Option<Arc<User>> {
        let key = spelling::normal(external_user);
        let found = self.users.get(&*key);
        if self.scoped.is_empty() { found.cloned() } else { found.or_else(|| self.scoped.user(&key, acd, at)).cloned() }
    }

    /// Returns what an agent is called: by the feed, or by the list of names.
    pub fn name<'t>(&'t self, login_id: &str, of_feed: Option<&'t Arc<str>>) -> Option<&'t Arc<str>> {
        // Most mappings have no such list.
        match of_feed {
            None if !self.names.is_empty() => self.names.get(&*spelling::normal(login_id)),
            of_feed => of_feed,
        }
    }

    /// Returns how many external users have rows.
    pub fn user_count(&self) -> usize {
        self.users.len() + self.scoped.keys().count()
    }

    /// Returns the activity of a key: that of the most specific row, else the default where the key takes it.
    pub fn activity(&self, key: &ActivityKey) -> (Option<Arc<Activity>>, MatchLevel) {
        let row = |(key, level)| self.activity_row(key).map(|activity| (Some(activity.clone()), level));
        key.lookups().find_map(row).unwrap_or_else(|| {
            if key.takes_default() {
                (Some(self.default_activity.clone()), MatchLevel::Default)
            } else {
                (None, MatchLevel::None)
            }
        })
    }

    /// Returns the row of exactly that key.
    pub fn activity_row(&self, key: &str) -> Option<&Arc<Activity>> {
        self.activities.get(&*spelling::normal(key))
    }

    /// Returns the same, without the names of employees.
    #[must_use]
    pub fn without_names(mut self) -> Self {
        for user in self.users.values_mut() {
            *user = Arc::new(user.without_name());
        }
        self.scoped.map_users(User::without_name);
        self.names.clear();
        self
    }

    /// Whether both would map everything alike.
    pub fn has_same_content(&self, other: &Self) -> bool {
        self.identify_by == other.identify_by
            && self.users == other.users
            && self.scoped == other.scoped
            && self.names == other.names
            && self.activities == other.activities
            && self.default_activity == other.default_activity
    }
}
