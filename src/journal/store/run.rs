//! Runs: which process counted which positions of an integration's journal.
//!
//! Purpose: the id of a store is copied with its file, so that two stores of the same id may have counted the same positions
//! for different messages. Each opening of the store is a *run* with an id of its own. The store remembers, per integration,
//! the last runs and the position at which each of them began: its *lineage*. Two lineages show up to which position two
//! journals are the same: up to where the first run began that only one of them has.
//!
//! Invariant: a run that Kafka may know of stays in the lineage while there is room, whatever came after it: runs that never
//! reached Kafka leave first, and what they counted passes to the next one. Cost: a row of `meta` per integration, written at
//! startup and when Kafka first knows of the run.

use std::fmt;

use uuid::Uuid;

/// How many runs are remembered.
const MOST: usize = 8;

/// A run and where it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    id: Uuid,
    first: u64,
    /// Kafka knows of it.
    is_known: bool,
}

/// The last runs of an integration's journal, in their order; empty where nothing is known. As text `ID@POSITION ID@POSITION!
/// …`, with a mark where Kafka knows of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Vec<Run>);

impl Lineage {
    /// The last run.
    pub fn run(&self) -> Option<Uuid> {
        self.0.last().map(|run| run.id)
    }

    /// Returns where the last run began.
    pub fn first(&self) -> u64 {
        self.0.last().map_or(0, |run| run.first)
    }

    /// Whether it has the run.
    pub fn has(&self, run: Uuid) -> bool {
        self.0.iter().any(|known| known.id == run)
    }

    /// Returns the same with another run after the last one.
    #[must_use]
    pub fn followed_by(&self, id: Uuid, first: u64) -> Self {
        let mut runs: Vec<Run> = self.0.iter().copied().filter(|run| run.id != id).collect();
        // A journal that has lost its end counts it again: what comes after no longer belongs to the earlier runs.
        runs.iter_mut().for_each(|run| run.first = run.first.min(first));
        runs.push(Run { id, first, is_known: false });
        while runs.len() > MOST {
            let last = runs.len() - 1;
            let leaves = runs[..last].iter().position(|run| !run.is_known).unwrap_or(0);
            let left = runs.remove(leaves);
            runs[leaves].first = runs[leaves].first.min(left.first);
        }
        Self(runs)
    }

    /// Returns the same once Kafka knows of the last run.
    #[must_use]
    pub fn known(mut self) -> Self {
        self.0.iter_mut().rev().take(1).for_each(|run| run.is_known = true);
        self
    }

    /// Returns up to where two journals of the same store are the same; `None` where they have no run in common.
    pub fn same_to(&self, other: &Self) -> Option<u64> {
        let (ours, theirs) = self.0.iter().enumerate().rev().find_map(|(ours, run)| {
            let theirs = other.0.iter().position(|known| known.id == run.id)?;
            Some((ours, theirs))
        })?;
        let end = |runs: &[Run], index: usize| runs.get(index + 1).map_or(u64::MAX, |next| next.first);
        Some(end(&self.0, ours).min(end(&other.0, theirs)))
    }

    /// Reads it from its text; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let run = |text: &str| {
            let (id, first) = text.split_once('@')?;
            let (first, is_known) = first.strip_suffix('!').map_or((first, false), |first| (first, true));
            Some(Run { id: Uuid::parse_str(id).ok()?, first: first.parse().ok()?, is_known })
        };
        text.split_whitespace().map(run).collect::<Option<_>>().map(Self)
    }
}

impl fmt::Display for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Run { id, first, is_known }) in self.0.iter().enumerate() {
            let (blank, mark) = (if index > 0 { " " } else { "" }, if *is_known { "!" } else { "" });
            write!(f, "{blank}{id}@{first}{mark}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads runs by number; known ones have a mark.
    fn lineage(runs: &str) -> Lineage {
        let mut lineage = Lineage::default();
        for run in runs.split_whitespace() {
            let (id, first) = run.split_once('@').unwrap();
            let (first, is_known) = first.strip_suffix('!').map_or((first, false), |first| (first, true));
            lineage = lineage.followed_by(Uuid::from_u128(id.parse().unwrap()), first.parse().unwrap());
            if is_known {
                lineage = lineage.known();
            }
        }
        lineage
    }

    fn told(lineage: &Lineage) -> String {
        let run = |run: &Run| format!("{}@{}{}", run.id.as_u128(), run.first, if run.is_known { "!" } else { "" });
        lineage.0.iter().map(run).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn two_journals_are_the_same_up_to_the_first_run_that_only_one_has() {
        let cases = [
            ("1@0", "1@0", Some(u64::MAX)),
            // Copied during run 1, which continued.
            ("1@0 2@50", "1@0", Some(50)),
            ("1@0 2@50 3@120", "1@0", Some(50)),
            // A copy of the end of run 1, and the original.
            ("1@0 3@70", "1@0 2@50", Some(50)),
            ("1@0 2@50", "1@0 2@50 3@90", Some(90)),
            ("1@0 2@50 4@60", "1@0 2@50 3@90 5@95", Some(60)),
            ("1@0", "2@0", None),
            ("1@0", "", None),
        ];
        for (ours, theirs, expected) in cases {
            assert_eq!(lineage(ours).same_to(&lineage(theirs)), expected, "{ours} and {theirs}");
            assert_eq!(lineage(theirs).same_to(&lineage(ours)), expected, "{theirs} and {ours}");
        }
    }

    #[test]
    fn runs_that_kafka_never_heard_of_leave_first_and_leave_their_positions_to_the_next_one() {
        let runs = "1@0! 2@10! 3@20 4@30 5@40 6@50 7@60 8@70";
        assert_eq!(told(&lineage(runs)), runs);
        assert_eq!(told(&lineage(&format!("{runs} 9@80"))), "1@0! 2@10! 4@20 5@40 6@50 7@60 8@70 9@80");
        let known = (1..=9).map(|run| format!("{run}@{run}0!")).collect::<Vec<_>>().join(" ");
        assert_eq!(told(&lineage(&known)), "2@10! 3@30! 4@40! 5@50! 6@60! 7@70! 8@80! 9@90!");
        // Power loss: the journal counts from 30 again.
        assert_eq!(told(&lineage("1@0! 2@50! 3@30")), "1@0! 2@30! 3@30");
    }

    #[test]
    fn its_text_can_be_read_back() {
        for runs in ["", "1@0!", "1@0 2@18446744073709551615! 3@7"] {
            assert_eq!(Lineage::parse(&lineage(runs).to_string()), Some(lineage(runs)), "{runs}");
        }
        for text in ["1", "x@1", "00000000-0000-0000-0000-000000000001@-1"] {
            assert_eq!(Lineage::parse(text), None, "{text}");
        }
    }
}
