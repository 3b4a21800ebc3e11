//! Whether more of a feed would say more.

use super::finding::percent;
use super::report::Inspection;

/// Snapshots that have to be seen: fewer tell neither the period nor who is always there.
const SNAPSHOTS: usize = 10;
/// Changes of states that have to be seen: what goes with a state shows in them only.
const CHANGES: usize = 20;

impl Inspection {
    /// Returns what is not sure yet but may become so with more of the feed, in words; nothing where more would hardly say more.
    ///
    /// What a site calls its states is no such thing: only [steps](super::Step) tell.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if self.layout.is_none() {
            doubts.push("no column of login ids or of states is found yet".to_owned());
        }
        if self.snapshots.count < SNAPSHOTS {
            doubts.push(format!("{} of {SNAPSHOTS} snapshots seen", self.snapshots.count));
        }
        let records = self.fit.as_ref().map_or(0, |fit| fit.valid);
        let state = self.columns.iter().find(|column| column.in_layout && column.field == "state");
        let changes = state.map_or(0, |state| (state.profile.changes * records as f64).round() as usize);
        if changes < CHANGES {
            doubts.push(format!("{changes} of {CHANGES} changes of states seen"));
        }
        if let Some(fit) = self.fit.as_ref().filter(|fit| fit.invalid * 100 > fit.valid) {
            let share = percent(fit.invalid, fit.valid + fit.invalid);
            doubts.push(format!("{share} of the records do not fit the layout"));
        }
        doubts
    }
}

#[cfg(test)]
mod tests {
    use crate::capture::{CaptureEntry, Happening};
    use crate::inspect::{Feed, inspect};
    use crate::time::Timestamp;

    /// So many snapshots of five agents, each of whom is in a state for six of them; every tenth line is `spoilt`.
    fn doubts(snapshots: i64, spoilt: bool) -> Vec<String> {
        let mut feed = Feed::default();
        for number in 0..snapshots {
            let states = ["AVAIL", "ACD", "ACW", "AUX"];
            let row = |agent: i64| match spoilt && (number + agent) % 10 == 3 {
                true => format!("47{agent}1|LUNCH|?|\n"),
                false => {
                    let time = number + agent;
                    format!("47{agent}1|{}|{}\n", states[(time / 6 % 4) as usize], time % 6 * 5)
                }
            };
            let bytes = (0..5).map(row).collect::<String>().into_bytes();
            let at = Timestamp::from_millis(1_767_600_000_000 + number * 5_000);
            feed.take(&CaptureEntry { at, connection: 0, happening: Happening::Data(bytes) });
        }
        inspect(&feed, &[]).unwrap().doubts()
    }

    #[test]
    fn little_of_a_feed_leaves_doubts_and_much_of_it_none() {
        let cases: [(i64, bool, &[&str]); 4] = [
            (3, false, &["3 of 10 snapshots seen", "changes of states seen"]),
            (12, false, &["10 of 20 changes of states seen"]),
            (40, false, &[]),
            (40, true, &["10 % of the records do not fit the layout"]),
        ];
        for (snapshots, spoilt, expected) in cases {
            let doubts = doubts(snapshots, spoilt);
            let are_there = expected.iter().all(|part| doubts.iter().any(|doubt| doubt.contains(part)));
            assert!(are_there && doubts.len() == expected.len(), "{snapshots}, {spoilt}: {doubts:?}");
        }
    }
}
