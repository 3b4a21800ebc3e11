//! Rows of users that count on one ACD only, or for a time: login ids are reused.
//!
//! A row counts from `from`, inclusive, until `to`, exclusive. No two rows of an external user with different employees count
//! at the same time on the same ACD: the reader of a file refuses that.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::time::Timestamp;

use super::tables::User;

/// Where and when a row counts. The default is: everywhere, and always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The only ACD; `None`: every one.
    pub acd: Option<u32>,
    /// The first moment; `None`: it has always counted.
    pub from: Option<Timestamp>,
    /// The first moment at which it no longer counts; `None`: it counts for ever.
    pub to: Option<Timestamp>,
}

impl Scope {
    /// Whether a row counts there and then.
    pub fn holds(&self, acd: u32, at: Timestamp) -> bool {
        self.acd.is_none_or(|only| only == acd) && self.holds_at(at)
    }

    /// Whether it counts then, on whatever ACD.
    pub fn holds_at(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.to.is_none_or(|to| at < to)
    }

    /// Whether there is an ACD and a moment at which both count.
    pub fn overlaps(&self, other: &Self) -> bool {
        let on_one_acd = self.acd.is_none() || other.acd.is_none() || self.acd == other.acd;
        let begins_before = |one: &Self, other: &Self| match (one.from, other.to) {
            (Some(from), Some(to)) => from < to,
            _ => true,
        };
        on_one_acd && begins_before(self, other) && begins_before(other, self)
    }

    /// Whether it counts everywhere and always.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// The rows with a scope, by external user in its normal spelling.
#[derive(Clone, Debug, Default)]
pub struct ScopedUsers {
    rows: HashMap<String, Vec<(Scope, Arc<User>)>>,
    /// When rows begin to count, or cease to.
    changes: Vec<Timestamp>,
}

impl ScopedUsers {
    /// Takes rows that do not contradict each other.
    pub fn new(rows: HashMap<String, Vec<(Scope, Arc<User>)>>) -> Self {
        let scopes = rows.values().flatten().map(|(scope, _)| scope);
        let changes: BTreeSet<Timestamp> = scopes.flat_map(|scope| [scope.from, scope.to]).flatten().collect();
        Self { rows, changes: changes.into_iter().collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Returns the employee of an external user in its normal spelling.
    pub fn user(&self, external_user: &str, acd: u32, at: Timestamp) -> Option<&Arc<User>> {
        let rows = self.rows.get(external_user)?;
        rows.iter().find(|(scope, _)| scope.holds(acd, at)).map(|(_, user)| user)
    }

    /// Returns when a row begins to count or ceases to, next after a moment.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.changes.get(self.changes.partition_point(|change| *change <= after)).copied()
    }

    /// All rows of an external user in its normal spelling.
    pub fn of(&self, external_user: &str) -> &[(Scope, Arc<User>)] {
        self.rows.get(external_user).map(Vec::as_slice).unwrap_or_default()
    }

    /// All external users that have such rows.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// All rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = (&str, &Scope, &Arc<User>)> {
        self.rows.iter().flat_map(|(key, rows)| rows.iter().map(move |(scope, user)| (key.as_str(), scope, user)))
    }

    /// Replaces every user.
    pub(super) fn map_users(&mut self, with: impl Fn(&User) -> User) {
        for (_, user) in self.rows.values_mut().flatten() {
            *user = Arc::new(with(user));
        }
    }
}

impl PartialEq for ScopedUsers {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(second * 1_000)
    }

    fn scope(acd: Option<u32>, from: Option<i64>, to: Option<i64>) -> Scope {
        Scope { acd, from: from.map(at), to: to.map(at) }
    }

    #[test]
    fn a_row_counts_from_its_beginning_until_before_its_end_on_its_acd() {
        let user = |id: &str| Arc::new(User { employee_id: id.to_owned(), employee_name: String::new() });
        let rows = vec![
            (scope(None, None, Some(10)), user("first")),
            (scope(Some(1), Some(10), Some(20)), user("on 1")),
            (scope(Some(2), Some(10), None), user("on 2")),
        ];
        let users = ScopedUsers::new(HashMap::from([("4711".to_owned(), rows)]));
        let cases = [
            (1, 9, Some("first")),
            (3, 9, Some("first")),
            (1, 10, Some("on 1")),
            (2, 10, Some("on 2")),
            (3, 10, None),
            (1, 19, Some("on 1")),
            (1, 20, None),
            (2, 1_000, Some("on 2")),
        ];
        for (acd, second, expected) in cases {
            let found = users.user("4711", acd, at(second)).map(|user| user.employee_id.as_str());
            assert_eq!(found, expected, "ACD {acd} at {second}");
        }
        assert_eq!(users.user("4712", 1, at(0)), None);
        let changes: Vec<_> = [0, 9, 10, 19, 20].into_iter().map(|second| users.next_change(at(second))).collect();
        assert_eq!(changes, [Some(at(10)), Some(at(10)), Some(at(20)), Some(at(20)), None]);
    }

    #[test]
    fn rows_overlap_where_both_count() {
        let always = scope(None, None, None);
        assert!(always.is_unlimited() && always.overlaps(&always));
        let cases = [
            (scope(None, Some(1), Some(2)), scope(None, Some(2), Some(3)), false),
            (scope(None, Some(1), Some(3)), scope(None, Some(2), None), true),
            (scope(Some(1), None, None), scope(Some(2), None, None), false),
            (scope(Some(1), None, None), scope(None, None, None), true),
            (scope(Some(1), None, Some(5)), scope(Some(1), Some(5), None), false),
            (scope(Some(1), None, Some(5)), scope(Some(1), None, None), true),
        ];
        for (one, other, expected) in cases {
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }
}
