//! Layouts drawn at random, with the ways in which reports are printed: to see whether a layout can be found from a feed.
//!
//! Every layout is legal, and everything that a site may choose is drawn: how fields are told apart, which columns there are
//! and in what order, skills, states, nulls, times, encodings, quotes, headers, markers. `docs/simulate.md` has the
//! distribution. No draw is skipped: what cannot be told from others by its bytes is drawn too.

use std::sync::Arc;

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::tracker::settings::SnapshotEnd;
use crate::wire::encoding::Encoding;
use crate::wire::layout::{
    Column, ColumnSpec, DEFAULT_MAX_RECORD, ExtraFields, FieldPlace, FieldStyle, Framing, LayoutSpec, Repeat,
    SkillGroups,
};
use crate::wire::states::{Direction, StateCode, StateTable};
use crate::wire::words::Words;

use super::manner::{DurationForm, Manner};
use super::random_states::{self, OwnStates};
use super::settings::SimulatedFeedSettings;

/// A layout and everything that belongs to a feed of it.
#[derive(Clone, Debug)]
pub struct RandomLayout {
    /// The layout.
    pub spec: LayoutSpec,
    /// How the report is printed.
    pub manner: Manner,
    /// Zone of its local times.
    pub time_zone: String,
    /// What ends its snapshots.
    pub snapshot_end: SnapshotEnd,
    /// Whether a log-out is a row once.
    pub logout_rows: bool,
    /// Whether states are those of a table that is built in.
    pub has_builtin_states: bool,
}

impl RandomLayout {
    /// Draws the layout of that seed.
    pub fn draw(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // Another stream than those of the agents.
        rng.set_stream(u64::MAX - 1);
        Draw { rng }.layout()
    }

    /// Returns what ends its snapshots, as configuration spells it.
    pub const fn snapshot_end_name(&self) -> &'static str {
        match self.snapshot_end {
            SnapshotEnd::Repeat => "repeat",
            SnapshotEnd::Idle => "idle",
            SnapshotEnd::Marker => "marker",
        }
    }

    /// Returns the settings of a feed of this layout.
    pub fn feed(&self) -> SimulatedFeedSettings {
        let mut feed = SimulatedFeedSettings::new(Arc::new(self.spec.clone()));
        feed.manner = self.manner.clone();
        feed.time_zone.clone_from(&self.time_zone);
        feed.listener.snapshot_end = self.snapshot_end;
        feed.logout_rows = self.logout_rows;
        feed
    }
}

/// How skills are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SkillForm {
    None,
    Groups,
    Rows,
}

struct Draw {
    rng: ChaCha8Rng,
}

/// Forms of local times. Blanks in them cannot be written where blanks separate.
const FORMATS: [&str; 7] = [
    "%d.%m.%Y %H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%H:%M:%S",
    "%Y%m%d%H%M%S",
];

const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Europe/Istanbul", "Asia/Kolkata", "Europe/London"];

impl Draw {
    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn one_of<T: Copy>(&mut self, of: &[T], otherwise: T) -> T {
        of.choose(&mut self.rng).copied().unwrap_or(otherwise)
    }

    fn layout(&mut self) -> RandomLayout {
        let fields = self.fields();
        let encoding = self.encoding(fields);
        let quote = self.quote(fields);
        let skill_form = match self.rng.random_range(0..100) {
            0..45 => SkillForm::Groups,
            45..57 => SkillForm::Rows,
            _ => SkillForm::None,
        };
        let mut columns = self.columns(skill_form);
        let nulls = self.nulls(fields);
        let own = self.chance(45).then(|| random_states::draw(&mut self.rng, encoding, fields, &mut columns));
        let manner = Manner {
            durations: self.durations(fields),
            quotes_all: quote.is_some() && self.chance(40),
            trims: self.chance(40),
            ..Manner::default()
        };
        let states = match &own {
            Some(own) => own.table.clone(),
            None if self.chance(55) => StateTable::rta_codes(),
            None => StateTable::cms_names(),
        };
        let specs: Vec<ColumnSpec> = columns.iter().map(|column| self.column(*column, fields, &nulls)).collect();
        let skills = (skill_form == SkillForm::Groups).then(|| self.groups(fields, &nulls));
        let mut spec = LayoutSpec {
            encoding,
            framing: Framing::Terminator(b"\n".to_vec()),
            max_record: DEFAULT_MAX_RECORD,
            fields,
            quote,
            skip: Vec::new(),
            marker: None,
            columns: specs,
            skills,
            states,
            aux_reasons: own.as_ref().map(|own| own.aux_reasons.clone()).unwrap_or_default(),
            directions: own.as_ref().map(|own| own.directions.clone()).unwrap_or_default(),
            null: nulls,
            extra_fields: ExtraFields::Error,
        };
        let mut manner = manner;
        if fields.is_fixed() {
            self.place(&mut spec, &manner, own.as_ref());
        }
        self.framing(&mut spec, &mut manner);
        let must_end = skill_form == SkillForm::Rows;
        let has_marker = self.chance(if must_end { 75 } else { 35 });
        if has_marker {
            let marker = self.one_of(&["^END", "^END$", r"^-- end\.$", "^==", "^#END", "^EOF"], "^END");
            let is_padded = matches!(spec.framing, Framing::Length(_));
            spec.marker = Some(if is_padded { marker.replace('$', " *$") } else { marker.to_owned() });
        }
        self.headers(&mut spec, &mut manner);
        let snapshot_end = match (has_marker, must_end) {
            (true, _) => SnapshotEnd::Marker,
            (false, true) => SnapshotEnd::Idle,
            (false, false) => SnapshotEnd::Repeat,
        };
        RandomLayout {
            spec,
            manner,
            time_zone: self.one_of(&ZONES, "UTC").to_owned(),
            snapshot_end,
            logout_rows: self.chance(40),
            has_builtin_states: own.is_none(),
        }
    }

    fn fields(&mut self) -> FieldStyle {
        match self.rng.random_range(0..100) {
            0..38 => FieldStyle::FixedWidth,
            38..54 => FieldStyle::Whitespace,
            _ => {
                let separators = [b'|', b'|', b';', b';', b',', b',', b'\t', b'\t', b'^', b'~', b'!', b':', b'#', 0x1f];
                FieldStyle::Separator(self.one_of(&separators, b'|'))
            }
        }
    }

    fn encoding(&mut self, fields: FieldStyle) -> Encoding {
        let _ = fields;
        let encodings = [
            Encoding::Ascii,
            Encoding::Utf8,
            Encoding::Utf8,
            Encoding::Iso8859_1,
            Encoding::Iso8859_9,
            Encoding::Iso8859_15,
            Encoding::Windows1252,
        ];
        self.one_of(&encodings, Encoding::Utf8)
    }

    fn quote(&mut self, fields: FieldStyle) -> Option<u8> {
        let can_quote = !fields.is_fixed();
        (can_quote && self.chance(30)).then(|| self.one_of(b"\"\"\"'", b'"'))
    }

    /// Draws the columns and their order. A report names its agent early, and before the agent's extension.
    fn columns(&mut self, skill_form: SkillForm) -> Vec<Column> {
        let optional = [
            (Column::Name, 65),
            (Column::AuxReason, 75),
            (Column::Direction, 35),
            (Column::WorkSplit, 50),
            (Column::Extension, 50),
            (Column::Duration, 75),
            (Column::Timestamp, 25),
            (Column::StateStart, 20),
            (Column::Acd, 20),
            (Column::Role, 20),
            (Column::Location, 25),
            (Column::OnHold, 15),
            (Column::Ignored, 30),
            (Column::Ignored, 15),
        ];
        let mut columns = vec![Column::State];
        for (column, percent) in optional {
            if self.chance(percent) {
                columns.push(column);
            }
        }
        if skill_form == SkillForm::Rows {
            columns.push(Column::Skill);
            if self.chance(75) {
                columns.push(Column::Level);
            }
        }
        columns.shuffle(&mut self.rng);
        let at = if self.chance(60) { 0 } else { self.rng.random_range(0..4).min(columns.len()) };
        columns.insert(at, Column::LoginId);
        let position = |wanted: Column, columns: &[Column]| columns.iter().position(|column| *column == wanted);
        if let Some(extension) = position(Column::Extension, &columns).filter(|extension| *extension < at) {
            columns.swap(extension, at);
        }
        columns
    }

    /// Draws what stands for nothing. Where blanks separate, it cannot be nothing.
    fn nulls(&mut self, fields: FieldStyle) -> Vec<String> {
        let written: &[&str] = if fields == FieldStyle::Whitespace {
            self.one_of(&[&["-"][..], &["N/A"], &["--"], &["-1"]], &["-"])
        } else {
            self.one_of(&[&["", "N/A"][..], &["", "N/A"], &["", "N/A"], &["-"], &["N/A"], &["-1"]], &["", "N/A"])
        };
        written.iter().map(|null| (*null).to_owned()).collect()
    }

    fn durations(&mut self, fields: FieldStyle) -> DurationForm {
        let forms = [
            DurationForm::Seconds,
            DurationForm::MinutesSeconds,
            DurationForm::HoursMinutesSeconds,
            DurationForm::Short,
        ];
        if fields == FieldStyle::Separator(b':') {
            DurationForm::Seconds
        } else {
            self.one_of(&forms, DurationForm::Seconds)
        }
    }

    fn column(&mut self, column: Column, fields: FieldStyle, nulls: &[String]) -> ColumnSpec {
        let mut spec = ColumnSpec::plain(column);
        let is_blank = nulls.iter().any(|null| null.is_empty());
        match column {
            Column::WorkSplit if !is_blank && self.chance(50) => spec.null = vec!["0".to_owned()],
            Column::Timestamp | Column::StateStart if self.chance(60) => {
                let can_be_written = |format: &&&str| match fields {
                    FieldStyle::Separator(separator) => !format.as_bytes().contains(&separator) && separator != b':',
                    FieldStyle::Whitespace => !format.contains(' '),
                    FieldStyle::FixedWidth | FieldStyle::FixedCharacters => true,
                };
                let possible: Vec<&str> = FORMATS.iter().filter(can_be_written).copied().collect();
                spec.format = possible.choose(&mut self.rng).map(|format| (*format).to_owned());
            }
            _ => {}
        }
        spec
    }

    fn groups(&mut self, fields: FieldStyle, nulls: &[String]) -> SkillGroups {
        let plain = ColumnSpec::plain;
        let with_level = self.chance(75);
        let is_constant = self.chance(50);
        let mut columns = vec![plain(Column::Skill)];
        if with_level {
            columns.push(plain(Column::Level));
            if self.chance(15) {
                columns.swap(0, 1);
            }
        }
        if !fields.is_fixed() && self.chance(15) {
            columns.push(plain(Column::Ignored));
        }
        let repeat = if is_constant { Repeat::Times(self.one_of(&[8, 10, 20], 10)) } else { Repeat::Rest };
        let is_blank = nulls.iter().any(|null| null.is_empty()) && !fields.is_fixed() && self.chance(30);
        let empty = is_constant.then(|| if is_blank { String::new() } else { "0".to_owned() });
        if is_blank {
            // An empty skill has level 0 beside it.
            for level in columns.iter_mut().filter(|spec| spec.column == Column::Level) {
                level.null = vec!["0".to_owned()];
            }
        }
        SkillGroups { columns, repeat, empty, at: None }
    }

    /// Gives every column a place: as wide as its longest value, or somewhat wider, with or without bytes in between.
    fn place(&mut self, spec: &mut LayoutSpec, manner: &Manner, own: Option<&OwnStates>) {
        let states: Vec<String> = spec.states.rows().iter().map(|(code, _)| code.clone()).collect();
        let null = spec.null.iter().map(String::len).max().unwrap_or(0);
        let encoded = |text: &str| spec.encoding.encode(text).map_or(text.len(), |bytes| bytes.len());
        let longest = |column: &ColumnSpec| -> usize {
            let value = match column.column {
                Column::LoginId | Column::Name => 10,
                Column::State => states.iter().map(|code| encoded(code)).max().unwrap_or(1),
                Column::AuxReason => {
                    own.iter().flat_map(|own| own.aux_reasons.rows()).map(|(word, _)| encoded(word)).max().unwrap_or(1)
                }
                Column::Direction => own
                    .iter()
                    .flat_map(|own| own.directions.rows())
                    .map(|(word, _)| encoded(word))
                    .max()
                    .unwrap_or(3)
                    .max(4),
                Column::WorkSplit | Column::Skill => 4,
                Column::Extension => 6,
                Column::Duration => match manner.durations {
                    DurationForm::Seconds => 5,
                    DurationForm::MinutesSeconds | DurationForm::Short => 6,
                    DurationForm::HoursMinutesSeconds => 8,
                },
                Column::Timestamp | Column::StateStart => {
                    column.format.as_deref().map_or(10, |format| format.replace("%Y", "0000").replace('%', "0").len())
                }
                Column::Level => 2,
                Column::Role => 7,
                Column::Location => 10,
                Column::Acd | Column::OnHold | Column::LogoutReason | Column::Ignored => 1,
            };
            value.max(null)
        };
        let mut at = if self.chance(15) { self.rng.random_range(1..4) } else { 0 };
        let mut widths: Vec<usize> = spec.columns.iter().map(longest).collect();
        for (width, column) in widths.iter_mut().zip(&spec.columns) {
            if column.column == Column::Name {
                *width = self.rng.random_range(12..=24);
            }
            *width += if self.chance(20) { 0 } else { self.rng.random_range(1..=4) };
        }
        for (column, width) in spec.columns.iter_mut().zip(widths) {
            column.place = Some(FieldPlace { at, width });
            at += width + if self.chance(25) { self.rng.random_range(1..=2) } else { 0 };
        }
        let Some(groups) = &mut spec.skills else { return };
        groups.at = Some(at);
        let mut within = 0;
        for column in &mut groups.columns {
            let longest = if column.column == Column::Skill { 4 } else { 2 };
            let width = longest + self.rng.random_range(1..=2);
            column.place = Some(FieldPlace { at: within, width });
            within += width;
        }
    }

    fn framing(&mut self, spec: &mut LayoutSpec, manner: &mut Manner) {
        let is_fixed = spec.fields.is_fixed();
        if self.chance(if is_fixed { 25 } else { 4 }) {
            let length = if is_fixed { end_of(spec) + self.rng.random_range(0..8) } else { 600 };
            spec.framing = Framing::Length(length);
            return;
        }
        let separator = match spec.fields {
            FieldStyle::Separator(separator) => Some(separator),
            _ => None,
        };
        let end: &[u8] = match self.rng.random_range(0..100) {
            0..75 => b"\n",
            75..83 => b"\r",
            83..89 => b"\x1e",
            89..94 => b"\x03\n",
            94..97 if separator != Some(b'~') => b"~",
            _ => b"$$",
        };
        manner.with_cr = end == b"\n" && self.chance(35);
        spec.framing = Framing::Terminator(end.to_vec());
    }

    /// Lines before the records: a comment with the time, titles of the columns, an empty line.
    fn headers(&mut self, spec: &mut LayoutSpec, manner: &mut Manner) {
        if self.chance(25) {
            manner.headers.push(self.one_of(&["# agents {time}", "# report 17", "* {time}"], "# report 17").to_owned());
        }
        if self.chance(30) {
            let titles = self.titles(spec);
            manner.headers.push(titles);
        }
        if self.chance(10) {
            manner.headers.push(String::new());
        }
        manner.headers_once = self.chance(30);
        for header in &manner.headers {
            let is_padded = matches!(spec.framing, Framing::Length(_));
            let pattern = if header.is_empty() {
                if is_padded { "^ *$".to_owned() } else { "^$".to_owned() }
            } else if header.starts_with('#') || header.starts_with('*') {
                format!("^{} ", regex::escape(&header[..1]))
            } else {
                let length = match spec.framing {
                    Framing::Length(length) => length,
                    Framing::Terminator(_) => usize::MAX,
                };
                let text: String = header.chars().take(length.min(header.len())).collect();
                format!("^{}", regex::escape(text.trim_end()))
            };
            if !spec.skip.contains(&pattern) {
                spec.skip.push(pattern);
            }
        }
    }

    fn titles(&mut self, spec: &LayoutSpec) -> String {
        let is_german = self.chance(40);
        let title = |column: Column| -> &'static str {
            let (english, german) = match column {
                Column::LoginId => ("Login ID", "Anmeldekennung"),
                Column::State => ("State", "Status"),
                Column::Name => ("Agent Name", "Name"),
                Column::AuxReason => ("AUX Reason", "AUX-Grund"),
                Column::Direction => ("Direction", "Richtung"),
                Column::WorkSplit => ("Work Skill", "Arbeitssplit"),
                Column::Extension => ("Extension", "Nebenstelle"),
                Column::Duration => ("Time in State", "Dauer"),
                Column::Timestamp => ("Time", "Zeit"),
                Column::StateStart => ("Since", "Seit"),
                Column::Acd => ("ACD", "ACD"),
                Column::Role => ("Role", "Rolle"),
                Column::OnHold => ("Hold", "Gehalten"),
                Column::Location => ("Location", "Standort"),
                Column::LogoutReason => ("Logout Reason", "Abmeldegrund"),
                Column::Skill => ("Skill", "Skill"),
                Column::Level => ("Level", "Stufe"),
                Column::Ignored => ("Field", "Feld"),
            };
            if is_german { german } else { english }
        };
        let titles: Vec<(String, Option<FieldPlace>)> = spec
            .columns
            .iter()
            .map(|column| {
                let text = title(column.column);
                let text = if spec.fields == FieldStyle::Whitespace { text.replace(' ', "_") } else { text.to_owned() };
                (text, column.place)
            })
            .collect();
        match spec.fields {
            FieldStyle::Separator(separator) => {
                let joined: Vec<String> = titles.into_iter().map(|(text, _)| text).collect();
                joined.join(&char::from(separator).to_string())
            }
            FieldStyle::Whitespace => titles.into_iter().map(|(text, _)| text).collect::<Vec<_>>().join(" "),
            FieldStyle::FixedWidth | FieldStyle::FixedCharacters => {
                let mut line = String::new();
                for (text, place) in titles {
                    let Some(place) = place else { continue };
                    while line.len() < place.at {
                        line.push(' ');
                    }
                    line.extend(text.chars().take(place.width));
                }
                line
            }
        }
    }
}

/// Returns the first byte behind all columns and groups.
fn end_of(spec: &LayoutSpec) -> usize {
    let end = |columns: &[ColumnSpec]| {
        columns.iter().filter_map(|column| column.place).map(|place| place.at + place.width).max()
    };
    let columns = end(&spec.columns).unwrap_or(1);
    let Some(groups) = &spec.skills else { return columns };
    let times = match groups.repeat {
        Repeat::Times(times) => times,
        // As many skills as an agent has.
        Repeat::Rest => 8,
    };
    groups.at.unwrap_or(columns) + times * end(&groups.columns).unwrap_or(0)
}

/// Creates a state table of rows as configuration spells them.
pub(super) fn table(rows: &[(String, StateCode)]) -> StateTable {
    StateTable::new(rows.iter().cloned())
}

/// Creates words for directions.
pub(super) fn direction_words(words: [&str; 2]) -> Words<Direction> {
    let [inward, outward] = words;
    Words::new([(inward.to_owned(), Direction::In), (outward.to_owned(), Direction::Out)])
}

// In the build of the core alone, which is the quicker one: once is enough for what takes a minute.
#[cfg(all(test, not(feature = "service")))]
#[path = "inspect_tests.rs"]
mod tests;
