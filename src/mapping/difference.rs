//! How two versions of a mapping differ, as figures.

use std::collections::HashMap;
use std::sync::Arc;

use super::scoped::Scope;
use super::tables::{MappingTables, User};

/// How many entries of a list are new, gone, or say something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// They were not there before.
    pub added: usize,
    /// They are not there any more.
    pub removed: usize,
    /// They say something else.
    pub changed: usize,
}

impl Difference {
    /// Compares two lists.
    fn between<K: Eq + std::hash::Hash, V: PartialEq>(before: &HashMap<K, V>, after: &HashMap<K, V>) -> Self {
        let mut difference =
            Self { removed: before.keys().filter(|key| !after.contains_key(key)).count(), ..Self::default() };
        for (key, value) in after {
            match before.get(key) {
                None => difference.added += 1,
                Some(known) => difference.changed += usize::from(known != value),
            }
        }
        difference
    }

    fn and(self, other: Self) -> Self {
        Self {
            added: self.added + other.added,
            removed: self.removed + other.removed,
            changed: self.changed + other.changed,
        }
    }
}

/// Another version of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingChange {
    /// The version before.
    pub version_before: u64,
    /// The version in force.
    pub version: u64,
    /// External users.
    pub users: Difference,
    /// Activity keys.
    pub activities: Difference,
    /// Names of logins.
    pub names: Difference,
}

impl MappingChange {
    /// Compares two versions; `None` where they are one.
    pub fn between(before: &MappingTables, after: &MappingTables) -> Option<Self> {
        if before.version == after.version {
            return None;
        }
        let scoped = |tables: &MappingTables| -> HashMap<(String, Scope), Arc<User>> {
            tables.scoped.rows().map(|(key, scope, user)| ((key.to_owned(), *scope), Arc::clone(user))).collect()
        };
        let of_scoped = Difference::between(&scoped(before), &scoped(after));
        Some(Self {
            version_before: before.version,
            version: after.version,
            users: Difference::between(&before.users, &after.users).and(of_scoped),
            activities: Difference::between(&before.activities, &after.activities),
            names: Difference::between(&before.names, &after.names),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_gone_and_different_is_counted() {
        let list = |entries: &[(&'static str, u8)]| entries.iter().copied().collect::<HashMap<_, _>>();
        let before = list(&[("a", 1), ("b", 2), ("c", 3)]);
        let after = list(&[("b", 2), ("c", 4), ("d", 5), ("e", 6)]);
        assert_eq!(Difference::between(&before, &after), Difference { added: 2, removed: 1, changed: 1 });
        assert_eq!(Difference::between(&after, &after), Difference::default());
    }
}
