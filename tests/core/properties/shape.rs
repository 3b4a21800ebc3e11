//! What a site's feed looks like and how it is read: any layout and settings, as the text of a configuration.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rtalink::config;
use rtalink::mapping::files;
use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
use rtalink::tracker::settings::TrackerSettings;
use rtalink::wire::column::{Column, ValueKind};
use rtalink::wire::plan::Plan;

use super::random::Random;

pub(crate) const ENCODINGS: [&str; 6] = ["ascii", "utf-8", "iso-8859-1", "iso-8859-9", "iso-8859-15", "windows-1252"];

/// What a code of the table of states is good for in a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Work,
    Aux,
    Unknown,
    Logon,
    Out,
    Unlisted,
}

type Codes = &'static [(&'static str, Kind, &'static str)];

/// Folded codes, as `rta-codes` has them: no code is UNKNOWN.
const RTA_CODES: Codes = &[
    ("20", Kind::Work, ""),
    ("30", Kind::Work, ""),
    ("32", Kind::Work, ""),
    ("31", Kind::Work, ""),
    ("40", Kind::Work, ""),
    ("80", Kind::Work, ""),
    ("220", Kind::Work, ""),
    ("50", Kind::Aux, ""),
    ("51", Kind::Aux, ""),
    ("600", Kind::Aux, ""),
    ("100", Kind::Logon, ""),
    ("10", Kind::Out, ""),
    ("110", Kind::Out, ""),
    ("95", Kind::Unlisted, ""),
    ("7", Kind::Unlisted, ""),
];

const NAMES: Codes = &[
    ("AVAIL", Kind::Work, ""),
    ("ACD", Kind::Work, ""),
    ("ACW", Kind::Work, ""),
    ("RINGING", Kind::Work, ""),
    ("OTHER", Kind::Work, ""),
    ("AUX", Kind::Aux, ""),
    ("UNKNOWN", Kind::Unknown, ""),
    ("LOGON", Kind::Logon, ""),
    ("UNSTAFF", Kind::Out, ""),
    ("LOGOFF", Kind::Out, ""),
    ("BUSY", Kind::Unlisted, ""),
];

/// A site's own words; two codes for one state among them.
const OWN: Codes = &[
    ("frei", Kind::Work, "AVAIL"),
    ("free", Kind::Work, "AVAIL"),
    ("call", Kind::Work, "ACD:in"),
    ("held", Kind::Work, "ACD:out:hold"),
    ("acw", Kind::Work, "ACW:in"),
    ("pause", Kind::Aux, "AUX:3"),
    ("lunch", Kind::Aux, "AUX:4"),
    ("aux", Kind::Aux, "AUX"),
    ("lost", Kind::Unknown, "UNKNOWN"),
    ("logon", Kind::Logon, "LOGON"),
    ("off", Kind::Out, "UNSTAFF"),
    ("weg", Kind::Unlisted, ""),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Separator(u8),
    Whitespace,
    Fixed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Bytes(&'static str),
    Length(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Snapshot,
    Delta,
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Repeat,
    Idle,
    Marker,
}

/// Groups of skills to the right of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Groups {
    /// `None`: as many as there are.
    pub(crate) times: Option<usize>,
    pub(crate) with_level: bool,
}

/// A feed's layout, settings and mapping.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) encoding: &'static str,
    pub(crate) style: Style,
    pub(crate) quote: Option<char>,
    pub(crate) ending: Ending,
    /// In the order of the row, with the width of each where they are fixed.
    pub(crate) columns: Vec<(Column, usize)>,
    pub(crate) groups: Option<Groups>,
    pub(crate) states: &'static str,
    pub(crate) codes: Codes,
    pub(crate) nulls: Vec<&'static str>,
    /// Of `timestamp` and `state_start`; `None`: UNIX times.
    pub(crate) format: Option<&'static str>,
    pub(crate) in_milliseconds: bool,
    pub(crate) clock_durations: bool,
    /// The site has its own words for directions and reasons.
    pub(crate) own_words: bool,
    pub(crate) zone: &'static str,
    pub(crate) skips_comments: bool,
    pub(crate) has_marker: bool,
    pub(crate) ignores_extra: bool,
    pub(crate) is_builtin: bool,
    pub(crate) mode: Mode,
    pub(crate) end: End,
    pub(crate) shortest_refresh: u64,
    pub(crate) logout_after: u32,
    pub(crate) stale_after: u64,
    pub(crate) tolerance: u64,
    pub(crate) unknown_after: Option<u64>,
    /// For states that come often.
    pub(crate) short_states: Option<u64>,
    pub(crate) logout_hold: Option<u64>,
    pub(crate) when_silent_empty: bool,
    pub(crate) empty_below: u32,
    pub(crate) details: bool,
    pub(crate) by_name: bool,
}

static ACTIVITIES: LazyLock<HashMap<String, Arc<Activity>>> = LazyLock::new(|| {
    let csv = "external_activity,activity_id,activity_name\nAVAIL,2,Work\nACD,2,Work\nACD:in,3,Call\nAUX:3,4,Break\n\
               AUX:4:out,5,Outbound\nLOGGED_OUT,9,Away\n";
    files::parse_activities(csv.as_bytes()).unwrap_or_else(|problems| panic!("{problems:?}")).rows
});

/// A shape as the engine takes it.
#[derive(Clone)]
pub(crate) struct Compiled {
    pub(crate) plan: Arc<Plan>,
    pub(crate) settings: TrackerSettings,
    pub(crate) mapping: Arc<MappingTables>,
}

impl Shape {
    pub(crate) fn any(random: &mut Random) -> Self {
        let mut shape = Self::layout(random);
        if random.chance(8) {
            shape.make_builtin();
        }
        shape.settle(random);
        shape
    }

    fn layout(random: &mut Random) -> Self {
        let style = match random.below(10) {
            0..=5 => Style::Separator(random.pick(b"|;,\t")),
            6 | 7 => Style::Whitespace,
            _ => Style::Fixed,
        };
        let (states, codes) = random.pick(&[("\"rta-codes\"", RTA_CODES), ("\"cms-names\"", NAMES), ("", OWN)]);
        let nulls: &[&str] = random.pick(&[&["", "N/A"][..], &["", "N/A"], &["", "-"], &["NULL"], &["", "N/A", "?"]]);
        let format = match random.below(4) {
            0 => Some(if style == Style::Whitespace { "%Y-%m-%dT%H:%M:%S" } else { "%d.%m.%Y %H:%M:%S" }),
            1 => Some(random.pick(&["%Y%m%d%H%M%S", "%Y%m%d%H%M%S", "%H:%M:%S"])),
            _ => None,
        };
        let is_rows = random.chance(15);
        let mut shape = Self {
            encoding: random.pick(&ENCODINGS),
            style,
            quote: if style != Style::Fixed && random.chance(40) { Some(random.pick(&['"', '\''])) } else { None },
            ending: Ending::Bytes(random.pick(&["\n", "\n", "\r\n", "##", "\u{3}"])),
            columns: Vec::new(),
            groups: None,
            states,
            codes,
            nulls: nulls.to_vec(),
            format,
            in_milliseconds: random.chance(30),
            clock_durations: random.chance(30),
            own_words: random.chance(20),
            zone: random.pick(&["Europe/Berlin", "UTC", "Europe/Berlin", "America/New_York"]),
            skips_comments: random.chance(75),
            has_marker: random.chance(75),
            ignores_extra: random.chance(30),
            is_builtin: false,
            mode: Mode::Snapshot,
            end: End::Repeat,
            shortest_refresh: random.pick(&[0, 1, 1]),
            logout_after: random.pick(&[1, 2, 2, 3]),
            stale_after: random.pick(&[8, 12, 30]),
            tolerance: random.pick(&[0, 1, 2, 2, 2, 5]),
            unknown_after: random.pick(&[None, None, Some(5), Some(20), Some(40)]),
            short_states: None,
            logout_hold: None,
            when_silent_empty: random.chance(30),
            empty_below: random.pick(&[0, 2, 5, 20]),
            details: random.chance(50),
            by_name: false,
        };
        shape.choose_columns(is_rows, random);
        shape.choose_brief();
        shape
    }

    /// Made of what was drawn: so each seed tells the story that it told before there were these settings.
    fn choose_brief(&mut self) {
        let drawn =
            self.stale_after + 7 * self.tolerance + 3 * u64::from(self.empty_below) + u64::from(self.logout_after);
        let drawn = usize::try_from(drawn).unwrap();
        self.short_states = [None, Some(2), None, Some(5), Some(20)][drawn % 5];
        self.logout_hold = [None, Some(2), Some(10), None, Some(30), None, Some(10)][drawn % 7];
    }

    fn choose_columns(&mut self, is_rows: bool, random: &mut Random) {
        let mut columns = vec![Column::LoginId, Column::State];
        let shares = [
            (Column::Name, 40),
            (Column::AuxReason, 60),
            (Column::Direction, 20),
            (Column::WorkSplit, 40),
            (Column::Extension, 50),
            (Column::Duration, 55),
            (Column::Timestamp, 25),
            (Column::StateStart, 25),
            (Column::Acd, 20),
            (Column::Role, 10),
            (Column::OnHold, 15),
            (Column::Location, 10),
            (Column::LogoutReason, 25),
            (Column::Ignored, 15),
        ];
        columns.extend(shares.iter().filter(|(_, percent)| random.chance(*percent)).map(|(column, _)| *column));
        if is_rows {
            columns.extend([Column::Skill, Column::Level]);
        } else if random.chance(40) {
            let times = if random.chance(50) { Some(random.below(3) + 1) } else { None };
            self.groups = Some(Groups { times, with_level: random.chance(70) });
        }
        if random.chance(60) {
            random.shuffle(&mut columns);
        }
        self.columns = columns.into_iter().map(|column| (column, width(column))).collect();
        if self.style == Style::Fixed && random.chance(40) {
            self.ending = Ending::Length(self.length() + random.below(3));
        }
    }

    fn make_builtin(&mut self) {
        let columns = [
            Column::LoginId,
            Column::State,
            Column::AuxReason,
            Column::Ignored,
            Column::Ignored,
            Column::WorkSplit,
            Column::Ignored,
            Column::Ignored,
            Column::Extension,
        ];
        self.encoding = "ascii";
        self.style = Style::Whitespace;
        self.quote = None;
        self.ending = Ending::Bytes("\n");
        self.columns = columns.map(|column| (column, 0)).to_vec();
        self.groups = Some(Groups { times: Some(20), with_level: true });
        (self.states, self.codes) = ("\"rta-codes\"", RTA_CODES);
        self.nulls = vec!["", "N/A"];
        self.format = None;
        self.own_words = false;
        self.skips_comments = false;
        self.has_marker = false;
        self.ignores_extra = false;
        self.is_builtin = true;
    }

    /// Settings that the layout allows.
    fn settle(&mut self, random: &mut Random) {
        self.mode = match random.below(10) {
            0 | 1 => Mode::Delta,
            2 if !self.is_rows() => Mode::Event,
            _ => Mode::Snapshot,
        };
        self.end = match random.below(3) {
            0 if !self.is_rows() => End::Repeat,
            1 if self.has_marker => End::Marker,
            _ if self.has_marker && random.chance(30) => End::Marker,
            _ => End::Idle,
        };
        self.when_silent_empty &= self.mode == Mode::Snapshot;
        self.by_name = self.has(Column::Name) && random.chance(50);
    }

    pub(crate) fn has(&self, column: Column) -> bool {
        self.columns.iter().any(|(has, _)| *has == column)
    }

    pub(crate) fn is_rows(&self) -> bool {
        self.has(Column::Skill)
    }

    pub(crate) fn has_times(&self) -> bool {
        self.has(Column::Timestamp) || self.has(Column::StateStart)
    }

    /// Whether what the feed tells about time depends on a zone.
    pub(crate) fn has_local_times(&self) -> bool {
        self.has_times() && self.format.is_some()
    }

    /// Of a row of fixed width.
    fn length(&self) -> usize {
        let columns: usize = self.columns.iter().map(|(_, width)| width).sum();
        let groups = self.groups.map_or(0, |groups| groups.times.unwrap_or(3) * groups.width());
        columns + groups
    }

    pub(crate) fn toml(&self) -> String {
        let mut text = String::from("[kafka]\nbootstrap_servers = \"embedded\"\n\n[[integration]]\nid = \"case\"\n");
        let mode = ["snapshot", "delta", "event"][self.mode as usize];
        let end = ["repeat", "idle", "marker"][self.end as usize];
        let layout = if self.is_builtin { "cisco-icm-20" } else { "case" };
        let (zone, details) = (self.zone, self.details);
        let _ = write!(
            text,
            "kind = \"avaya-cms\"\nacd = 1\ntime_zone = \"{zone}\"\ndetails = {details}\n[integration.realtime]\n\
             port = 7001\nbind = \"127.0.0.1\"\nlayout = \"{layout}\"\nmode = \"{mode}\"\nsnapshot_end = \"{end}\"\n\
             shortest_refresh = \"{}s\"\nlogout_after = {}\nstale_after = \"{}s\"\nrestart_tolerance = \"{}s\"\n\
             empty_below = {}\n",
            self.shortest_refresh, self.logout_after, self.stale_after, self.tolerance, self.empty_below
        );
        if self.when_silent_empty {
            text += "when_silent = \"empty\"\n";
        }
        if let Some(seconds) = self.unknown_after {
            let _ = writeln!(text, "unknown_after = \"{seconds}s\"");
        }
        if let Some(seconds) = self.short_states {
            let _ = writeln!(
                text,
                "short_states = {{ OTHER = \"{seconds}s\", UNKNOWN = \"{seconds}s\", AUX = \"{seconds}s\" }}"
            );
        }
        if let Some(seconds) = self.logout_hold {
            let _ = writeln!(text, "logout_hold = \"{seconds}s\"");
        }
        if self.by_name {
            text += "[integration.mapping]\nidentify_by = \"name\"\n";
        }
        if !self.is_builtin {
            self.layout_toml(&mut text);
            self.words_toml(&mut text);
        }
        text
    }

    fn layout_toml(&self, text: &mut String) {
        let _ = write!(text, "[layout.case]\nencoding = \"{}\"\nnull = {:?}\n", self.encoding, self.nulls);
        match self.ending {
            Ending::Bytes(end) => {
                let spelled: String = end.chars().map(|c| format!("\\u{:04X}", u32::from(c))).collect();
                let _ = writeln!(text, "record_end = \"{spelled}\"");
            }
            Ending::Length(length) => {
                let _ = writeln!(text, "record_length = {length}");
            }
        }
        match self.style {
            Style::Separator(byte) => {
                let _ = writeln!(text, "separator = \"\\u{byte:04X}\"");
            }
            Style::Whitespace => *text += "separator = \"whitespace\"\n",
            Style::Fixed => {}
        }
        if let Some(quote) = self.quote {
            let _ = writeln!(text, "quote = \"\\u{:04X}\"", u32::from(quote));
        }
        if self.skips_comments {
            *text += "skip = [\"^#\", \"^$\"]\n";
        }
        if self.has_marker {
            *text += "marker = \"^END\"\n";
        }
        if self.ignores_extra {
            *text += "extra_fields = \"ignore\"\n";
        }
        let mut at = 0;
        let columns: Vec<String> =
            self.columns.iter().map(|(column, width)| self.column(*column, *width, &mut at)).collect();
        let _ = writeln!(text, "columns = [{}]", columns.join(", "));
        if let Some(groups) = self.groups {
            let mut at = 0;
            let mut columns = vec![self.column(Column::Skill, 5, &mut at)];
            if groups.with_level {
                columns.push(self.column(Column::Level, 3, &mut at));
            }
            let repeat = groups.times.map_or("\"rest\"".to_owned(), |times| times.to_string());
            let _ =
                writeln!(text, "skills = {{ columns = [{}], repeat = {repeat}, empty = \"0\" }}", columns.join(", "));
        }
        if !self.states.is_empty() {
            let _ = writeln!(text, "states = {}", self.states);
            return;
        }
        *text += "[layout.case.states]\n";
        for (code, _, meaning) in self.codes.iter().filter(|(_, kind, _)| *kind != Kind::Unlisted) {
            let _ = writeln!(text, "{code:?} = {meaning:?}");
        }
    }

    fn words_toml(&self, text: &mut String) {
        if self.own_words {
            *text += "[layout.case.aux_reasons]\n\"Lunch\" = 3\n\"Talk\" = 4\n";
            *text += "[layout.case.directions]\n\"ein\" = \"in\"\n\"aus\" = \"out\"\n";
        }
    }

    fn column(&self, column: Column, width: usize, at: &mut usize) -> String {
        let is_time = column.properties().value == ValueKind::Time;
        let mut options = Vec::new();
        if self.style == Style::Fixed {
            options.push(format!("at = {at}, width = {width}"));
            *at += width;
        }
        if let Some(format) = self.format.filter(|_| is_time) {
            options.push(format!("format = {format:?}"));
        }
        if column == Column::WorkSplit {
            options.push("null = [\"0\"]".to_owned());
        }
        if options.is_empty() {
            return format!("{:?}", column.name());
        }
        format!("{{ field = {:?}, {} }}", column.name(), options.join(", "))
    }

    /// As a user's configuration is read.
    pub(crate) fn compile(&self, users: &[String]) -> Compiled {
        let text = self.toml();
        let loaded = config::parse(&text, Path::new("case.toml"), []);
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        let config = loaded.config.unwrap_or_else(|| panic!("{}\n{text}", problems.join("\n")));
        let integration = &config.integrations[0];
        let layout = &integration.realtime.as_ref().expect("a feed").layout;
        let plan = Plan::compile(layout, &integration.time_zone).unwrap_or_else(|error| panic!("{error}\n{text}"));
        Compiled { plan, settings: integration.settings.clone(), mapping: self.mapping(users) }
    }

    /// Of the users of the given login ids or names: each second one is mapped.
    pub(crate) fn mapping(&self, users: &[String]) -> Arc<MappingTables> {
        let mut csv = String::from("external_user,employee_id,employee_name\n");
        let mut told = Vec::new();
        for (number, user) in users.iter().enumerate().filter(|(number, _)| number % 2 == 0) {
            if !user.is_empty() && !told.contains(&user) {
                let _ = writeln!(csv, "\"{}\",{},Employee {number}", user.replace('"', "\"\""), 1_000 + number);
                told.push(user);
            }
        }
        let users =
            files::parse_users(csv.as_bytes(), "UTC").unwrap_or_else(|problems| panic!("{problems:?}\n{csv}")).rows;
        let activities = if self.details { ACTIVITIES.clone() } else { HashMap::new() };
        let present = Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() };
        Arc::new(MappingTables {
            version: 1,
            identify_by: if self.by_name { IdentifyBy::Name } else { IdentifyBy::LoginId },
            users,
            scoped: Default::default(),
            names: Default::default(),
            activities,
            default_activity: Arc::new(present),
        })
    }

    pub(crate) fn tolerance(&self) -> Duration {
        Duration::from_secs(self.tolerance)
    }
}

impl Groups {
    pub(crate) fn width(self) -> usize {
        if self.with_level { 8 } else { 5 }
    }
}

/// What any value of the column fits into, in any encoding.
const fn width(column: Column) -> usize {
    match column {
        Column::LoginId => 7,
        Column::State => 8,
        Column::Name => 20,
        Column::Timestamp | Column::StateStart => 20,
        Column::Duration => 9,
        Column::Location | Column::LogoutReason | Column::Role => 8,
        Column::AuxReason
        | Column::Direction
        | Column::WorkSplit
        | Column::Extension
        | Column::Acd
        | Column::OnHold
        | Column::Skill
        | Column::Level
        | Column::Ignored => 6,
    }
}
