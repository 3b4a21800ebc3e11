//! Work modes, directions and the tables that turn a site's state codes into them.
//!
//! Source of `rta-codes`: the public Avaya CMS event table of NICE (help.nicecxone.com, workforcemanagement/avayacms.htm):
//! tens digit = work mode, units digit = direction. Source of `cms-names`: the agent string values of Avaya CMS R21. The
//! numbers of column `WORKMODE` in the CMS *database* are different; never mix them.

use std::fmt;

use super::text::RawText;
use super::words::Words;

/// What an agent is doing, as CMS names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// CMS does not know, or the code is in no table.
    Unknown,
    /// Not logged in.
    Unstaff,
    /// Available for an ACD call.
    Avail,
    /// On an ACD call.
    Acd,
    /// After-call work.
    Acw,
    /// Auxiliary work: a break, training, ... with a reason.
    Aux,
    /// On a direct-agent ACD call.
    Dacd,
    /// After-call work of a direct-agent call.
    Dacw,
    /// A call is ringing.
    Ring,
    /// Just logged in, dialling, or a held call with nothing else active.
    Other,
    /// The moment of logging in.
    Logon,
    /// The moment of logging out.
    Logoff,
}

impl Mode {
    /// Every mode, in the order of the protobuf enum.
    pub const ALL: [Self; 12] = [
        Self::Unknown,
        Self::Unstaff,
        Self::Avail,
        Self::Acd,
        Self::Acw,
        Self::Aux,
        Self::Dacd,
        Self::Dacw,
        Self::Ring,
        Self::Other,
        Self::Logon,
        Self::Logoff,
    ];

    /// Returns the name in keys, tables, events and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Unstaff => "UNSTAFF",
            Self::Avail => "AVAIL",
            Self::Acd => "ACD",
            Self::Acw => "ACW",
            Self::Aux => "AUX",
            Self::Dacd => "DACD",
            Self::Dacw => "DACW",
            Self::Ring => "RING",
            Self::Other => "OTHER",
            Self::Logon => "LOGON",
            Self::Logoff => "LOGOFF",
        }
    }

    /// Returns the mode of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }

    /// Whether an agent in this mode is logged out.
    pub const fn is_logged_out(self) -> bool {
        matches!(self, Self::Unstaff | Self::Logoff)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The direction of the call that a mode is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// No call, or not reported.
    #[default]
    None,
    /// Outbound.
    Out,
    /// Inbound.
    In,
}

impl Direction {
    /// Returns the name in records and events.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Out => "OUT",
            Self::In => "IN",
        }
    }
}

/// What one code of a state table stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateCode {
    /// Work mode.
    pub mode: Mode,
    /// Direction of the call.
    pub direction: Direction,
    /// An ACD call waits on hold.
    pub on_hold: bool,
    /// AUX reason that the code itself carries; a column that is not null beats it.
    pub aux_reason: Option<u32>,
}

impl StateCode {
    const fn new(mode: Mode, direction: Direction) -> Self {
        Self { mode, direction, on_hold: false, aux_reason: None }
    }

    /// Parses the spelling of configuration: `MODE[:reason][:in|:out][:hold]`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let mode = Mode::from_name(name).ok_or_else(|| {
            format!("unknown mode {name:?}: expected one of {}", Mode::ALL.map(Mode::name).join(", "))
        })?;
        let mut code = Self::new(mode, Direction::None);
        let mut last = 0;
        for part in parts {
            let position = match part {
                "in" => {
                    code.direction = Direction::In;
                    2
                }
                "out" => {
                    code.direction = Direction::Out;
                    2
                }
                "hold" => {
                    code.on_hold = true;
                    3
                }
                reason if mode == Mode::Aux && !reason.is_empty() && reason.bytes().all(|b| b.is_ascii_digit()) => {
                    code.aux_reason = Some(reason.parse().map_err(|_| format!("reason {reason} is too large"))?);
                    1
                }
                other => {
                    return Err(format!("{other:?} after the mode: expected MODE[:reason][:in|:out][:hold]"));
                }
            };
            if position <= last {
                return Err(format!("{text:?} is out of order: expected MODE[:reason][:in|:out][:hold]"));
            }
            last = position;
        }
        Ok(code)
    }
}

/// A table of state codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateTable(Words<StateCode>);

impl StateTable {
    /// Creates a table from its rows; of two rows with one code the later wins.
    pub fn new(rows: impl IntoIterator<Item = (String, StateCode)>) -> Self {
        Self(Words::new(rows))
    }

    /// Returns the folded codes of Generic RTA.
    pub fn rta_codes() -> Self {
        let mut rows = Vec::new();
        let directions = [Direction::None, Direction::Out, Direction::In];
        for (tens, mode) in [(3, Mode::Acd), (4, Mode::Acw), (5, Mode::Aux), (6, Mode::Dacd), (7, Mode::Dacw)] {
            for (units, direction) in directions.into_iter().enumerate() {
                rows.push((format!("{tens}{units}"), StateCode::new(mode, direction)));
            }
        }
        let single = [
            ("10", Mode::Unstaff),
            ("20", Mode::Avail),
            ("80", Mode::Ring),
            ("100", Mode::Logon),
            ("110", Mode::Logoff),
            ("220", Mode::Other),
        ];
        rows.extend(single.map(|(code, mode)| (code.to_owned(), StateCode::new(mode, Direction::None))));
        let aux_out_with_call_on_hold =
            StateCode { mode: Mode::Aux, direction: Direction::Out, on_hold: true, aux_reason: None };
        rows.push(("600".to_owned(), aux_out_with_call_on_hold));
        Self::new(rows)
    }

    /// Returns the names of CMS reports and of agent trace.
    pub fn cms_names() -> Self {
        let spell = |mode: Mode| {
            if mode == Mode::Ring { "RINGING" } else { mode.name() }
        };
        Self::new(Mode::ALL.map(|mode| (spell(mode).to_owned(), StateCode::new(mode, Direction::None))))
    }

    /// Returns what `code` stands for; case counts.
    pub fn lookup(&self, code: &[u8]) -> Option<StateCode> {
        self.0.lookup(code)
    }

    /// Does the same for a field.
    #[inline]
    pub(super) fn meaning(&self, field: RawText<'_>) -> Option<StateCode> {
        self.0.meaning(field)
    }

    /// Every row, in the order of definition.
    pub fn rows(&self) -> &[(String, StateCode)] {
        self.0.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rta_codes_fold_mode_and_direction() {
        let table = StateTable::rta_codes();
        let cases = [
            ("32", Mode::Acd, Direction::In, false),
            ("51", Mode::Aux, Direction::Out, false),
            ("600", Mode::Aux, Direction::Out, true),
            ("80", Mode::Ring, Direction::None, false),
            ("110", Mode::Logoff, Direction::None, false),
        ];
        for (code, mode, direction, on_hold) in cases {
            let state = table.lookup(code.as_bytes()).unwrap();
            assert_eq!((state.mode, state.direction, state.on_hold), (mode, direction, on_hold), "{code}");
        }
        assert_eq!(table.lookup(b"95"), None);
        assert_eq!(table.lookup(b"032"), None);
    }

    #[test]
    fn a_code_is_spelled_as_mode_reason_direction_hold() {
        let code = StateCode::parse("AUX:3:out:hold").unwrap();
        assert_eq!(code.aux_reason, Some(3));
        assert!(code.on_hold);
        for wrong in ["AUX:out:3", "ACD:3", "acd", "AUX:", "ACD:in:in", ""] {
            assert!(StateCode::parse(wrong).is_err(), "{wrong}");
        }
    }
}
