//! What happens besides an ordinary shift, refresh by refresh.
//!
//! A scenario decides by the number of the refresh alone, so that it needs no state and plays the same every time.

use std::fmt;
use std::str::FromStr;

use crate::time::Timestamp;

use super::shift::ShiftOpening;

/// What happens besides an ordinary shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Hash)]
pub enum Scenario {
    /// Nothing.
    #[default]
    Shift,
    /// Four of five agents log in within three minutes.
    ShiftStart,
    /// Agents are given other skills while working; some vanish for a few snapshots and come back.
    Reskill,
    /// Agents log out for breaks.
    BreaksByLogout,
    /// The link between switch and CMS fails (everybody UNKNOWN, or silence), later the connection drops.
    LinkOutage,
    /// The other CMS of a high-availability pair dials in, sends garbage first and then takes over.
    TwinTakeover,
    /// Records that cannot be read, and half a record at a disconnect.
    Garbage,
    /// The report is of two ACDs, and a login id is of somebody else in each.
    TwoAcds,
    /// The night of 25 October 2026, in which clocks in Europe show an hour twice.
    DstNight,
    /// One agent after the other leaves for the night, until the report is empty.
    EmptyNight,
}

/// So many refreshes are empty in a night.
const NIGHT: u64 = 40;

/// What one refresh is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refresh {
    /// A snapshot.
    Normal,
    /// Everybody is UNKNOWN; where that cannot be reported, nothing comes.
    LinkDown,
    /// Nothing comes.
    Silent,
    /// A snapshot, after which the connection drops.
    ThenDrop,
    /// A snapshot with garbage in it.
    Garbage,
    /// A snapshot with garbage in it and half a record after it, where the connection drops; waits for a refresh in which
    /// nothing is lost by that.
    GarbageThenTorn,
    /// A snapshot, and garbage on a new connection.
    TwinDials,
    /// A snapshot on the new connection alone.
    TwinTakesOver,
    /// A snapshot on either.
    BothSend,
    /// A snapshot on the new connection; the old one closes.
    OldCloses,
}

impl Scenario {
    /// Every scenario with its name on the command line.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("shift", Self::Shift),
        ("shift-start", Self::ShiftStart),
        ("reskill", Self::Reskill),
        ("breaks-by-logout", Self::BreaksByLogout),
        ("link-outage", Self::LinkOutage),
        ("twin-takeover", Self::TwinTakeover),
        ("garbage", Self::Garbage),
        ("two-acds", Self::TwoAcds),
        ("dst-night", Self::DstNight),
        ("empty-night", Self::EmptyNight),
    ];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, scenario)| *scenario == self).map_or("shift", |(name, _)| name)
    }

    /// Returns when it begins, where that matters: then it can only be recorded. Half an hour before clocks go back.
    pub const fn start(self) -> Option<Timestamp> {
        match self {
            Self::DstNight => Some(Timestamp::from_millis(1_792_888_200_000)),
            _ => None,
        }
    }

    /// Returns how many of so many agents are still there in the refresh with that number. When nobody is, the night goes on
    /// for [`NIGHT`] refreshes; then they are back.
    pub(super) fn remaining(self, agents: usize, number: u64) -> usize {
        if self != Self::EmptyNight {
            return agents;
        }
        let evening = agents as u64 + NIGHT;
        usize::try_from(number % evening).map_or(0, |gone| agents.saturating_sub(gone))
    }

    /// Returns how the shift begins.
    pub(super) const fn opening(self) -> ShiftOpening {
        match self {
            Self::ShiftStart => ShiftOpening::ShiftStart,
            _ => ShiftOpening::MidShift,
        }
    }

    /// Returns what the refresh with that number, from 0, is like.
    pub(super) const fn refresh(self, number: u64) -> Refresh {
        match self {
            Self::Shift
            | Self::ShiftStart
            | Self::Reskill
            | Self::BreaksByLogout
            | Self::TwoAcds
            | Self::DstNight
            | Self::EmptyNight => Refresh::Normal,
            Self::LinkOutage => match number % 12 {
                4 | 5 => Refresh::LinkDown,
                8 => Refresh::ThenDrop,
                9 => Refresh::Silent,
                _ => Refresh::Normal,
            },
            Self::TwinTakeover => match number % 40 {
                3 => Refresh::TwinDials,
                4 => Refresh::TwinTakesOver,
                5 | 6 => Refresh::BothSend,
                7 => Refresh::OldCloses,
                _ => Refresh::Normal,
            },
            Self::Garbage => match number % 6 {
                5 => Refresh::GarbageThenTorn,
                _ => Refresh::Garbage,
            },
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, scenario)| *scenario).ok_or_else(|| {
            format!("unknown scenario {text:?}: expected one of {}", Self::NAMES.map(|(name, _)| name).join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (name, scenario) in Scenario::NAMES {
            assert_eq!(name.parse(), Ok(scenario));
            assert_eq!(scenario.to_string(), name);
        }
        assert!("nights".parse::<Scenario>().is_err());
    }
}
