//! A feed as it can be changed: who says what and when, and the bytes that this is in a layout.

use std::borrow::Cow;

use jiff::tz::TimeZone;
use rtalink::capture::{CaptureEntry, Happening};
use rtalink::time::Timestamp;
use rtalink::wire::encoding::Encoding;

use super::random::Random;
use super::shape::{Ending, Groups, Shape, Style};

/// What stands in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// The login id of that number.
    Login(usize),
    Text(String),
    Seconds(u64),
    Time(Timestamp),
    Null(&'static str),
}

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Only so many fields are there.
    Short(usize),
    Long,
    /// A field that is not what its column asks for.
    Bad(usize),
    Undecodable(usize),
    Nul(usize),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Agent of the story, ACD included.
    pub(crate) agent: usize,
    /// One for each column.
    pub(crate) values: Vec<Value>,
    pub(crate) skills: Vec<(String, u16)>,
    pub(crate) flaw: Option<Flaw>,
    /// Which fields are quoted without need.
    pub(crate) quoted: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Row(Row),
    Marker,
    Comment,
    Empty,
    /// Something else than a record, such as an error message.
    Other(&'static str),
}

/// Where a line is cut: in a field, after so many of its characters; 0 is behind the separator before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) field: usize,
    pub(crate) characters: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Head(Cut),
    Tail(Cut),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) line: Line,
    pub(crate) part: Part,
    /// Blanks around fields that mean nothing, by chance of this seed.
    pub(crate) blanks: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Open(String),
    Close,
    /// It ends, and mapping and timers are looked at again as a start would.
    Break,
    Send(Vec<Piece>),
    /// Bytes as they are.
    Bytes(Vec<u8>),
    /// The process dies, and another one knows what the store would.
    Restart,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) at: Timestamp,
    pub(crate) connection: u64,
    pub(crate) act: Act,
}

/// A feed, and what happened on it.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) shape: Shape,
    /// By number; agents of two ACDs may share one.
    pub(crate) logins: Vec<String>,
    /// By number of the agent.
    pub(crate) names: Vec<String>,
    pub(crate) steps: Vec<Step>,
}

impl Capture {
    /// Who may be mapped.
    pub(crate) fn users(&self) -> &[String] {
        if self.shape.by_name { &self.names } else { &self.logins }
    }

    /// What the step is in a capture; a restart is none.
    pub(crate) fn entry(&self, step: &Step) -> Option<CaptureEntry> {
        let happening = match &step.act {
            Act::Open(peer) => Happening::Open { peer: peer.clone(), encoding: None },
            Act::Close | Act::Break => Happening::Close,
            Act::Send(pieces) => Happening::Data(pieces.iter().flat_map(|piece| self.bytes(piece)).collect()),
            Act::Bytes(bytes) => Happening::Data(bytes.clone()),
            Act::Restart => return None,
        };
        Some(CaptureEntry { at: step.at, connection: step.connection, happening })
    }

    /// For people, and for `rtalink replay`.
    pub(crate) fn lines(&self) -> String {
        let line = |step: &Step| match self.entry(step) {
            Some(entry) => entry.to_line().unwrap_or_default(),
            None => format!("{{\"at\":\"{}\",\"restart\":true}}", step.at),
        };
        self.steps.iter().map(|step| line(step) + "\n").collect()
    }

    fn bytes(&self, piece: &Piece) -> Vec<u8> {
        let cut = match piece.part {
            Part::Whole => None,
            Part::Head(cut) | Part::Tail(cut) => Some(cut),
        };
        let mut pen = Pen::new(&self.shape, cut, piece.blanks);
        match &piece.line {
            Line::Row(row) => self.write(row, &mut pen),
            Line::Marker => pen.line("END"),
            Line::Comment => pen.line("# 17"),
            Line::Empty => pen.line(""),
            Line::Other(text) => pen.line(text),
        }
        pen.end();
        let at = pen.cut_at.unwrap_or(pen.bytes.len());
        match piece.part {
            Part::Whole => pen.bytes,
            Part::Head(_) => pen.bytes[..at].to_vec(),
            Part::Tail(_) => pen.bytes[at..].to_vec(),
        }
    }

    fn write(&self, row: &Row, pen: &mut Pen<'_>) {
        let most = match row.flaw {
            Some(Flaw::Short(fields)) => fields,
            _ => usize::MAX,
        };
        for (index, ((_, width), value)) in self.shape.columns.iter().zip(&row.values).enumerate().take(most) {
            let mut text = self.text(value);
            if row.flaw == Some(Flaw::Bad(index)) {
                text = "x?1".into();
            }
            let spoiled = match row.flaw {
                Some(Flaw::Undecodable(at)) if at == index => Some(0xFF),
                Some(Flaw::Nul(at)) if at == index => Some(0),
                _ => None,
            };
            pen.field(&text, *width, row.quoted >> (index % 64) & 1 == 1, spoiled);
        }
        if let Some(groups) = self.shape.groups.filter(|_| most == usize::MAX) {
            write_groups(groups, &row.skills, pen);
        }
        if row.flaw == Some(Flaw::Long) {
            pen.field("9", 1, false, None);
            pen.field("9", 1, false, None);
        }
    }

    fn text<'a>(&'a self, value: &'a Value) -> Cow<'a, str> {
        match value {
            Value::Login(number) => self.logins[*number].as_str().into(),
            Value::Text(text) => text.as_str().into(),
            Value::Null(text) => (*text).into(),
            Value::Seconds(seconds) if self.shape.clock_durations => clock(*seconds).into(),
            Value::Seconds(seconds) => seconds.to_string().into(),
            Value::Time(at) => self.time(*at).into(),
        }
    }

    fn time(&self, at: Timestamp) -> String {
        match self.shape.format {
            None if self.shape.in_milliseconds => at.as_millis().to_string(),
            None => at.as_millis().div_euclid(1_000).to_string(),
            Some(format) => {
                let zone = TimeZone::get(self.shape.zone).expect("a zone");
                let at = jiff::Timestamp::from_millisecond(at.as_millis()).expect("a time of our days");
                at.to_zoned(zone).strftime(format).to_string()
            }
        }
    }
}

fn write_groups(groups: Groups, skills: &[(String, u16)], pen: &mut Pen<'_>) {
    let times = groups.times.unwrap_or(skills.len());
    for number in 0..times {
        let (skill, level) =
            skills.get(number).map_or(("0", "0".to_owned()), |(skill, level)| (skill, level.to_string()));
        pen.field(skill, 5, false, None);
        if groups.with_level {
            pen.field(&level, 3, false, None);
        }
    }
}

/// As reports print it: `:45`, `1:15`, `1:00:05`.
fn clock(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!(":{seconds:02}"),
        (0, _) => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Writes one line.
struct Pen<'a> {
    shape: &'a Shape,
    encoding: Encoding,
    bytes: Vec<u8>,
    fields: usize,
    cut: Option<Cut>,
    cut_at: Option<usize>,
    blanks: Option<Random>,
}

impl<'a> Pen<'a> {
    fn new(shape: &'a Shape, cut: Option<Cut>, blanks: Option<u64>) -> Self {
        let encoding = Encoding::NAMES.iter().find(|(name, _)| *name == shape.encoding).expect("an encoding").1;
        let blanks = blanks.map(|seed| Random::new(seed, 7));
        Self { shape, encoding, bytes: Vec::new(), fields: 0, cut, cut_at: None, blanks }
    }

    fn line(&mut self, text: &str) {
        self.text(text);
    }

    fn text(&mut self, text: &str) {
        if text.is_ascii() {
            self.bytes.extend_from_slice(text.as_bytes());
            return;
        }
        let bytes = self.encoding.encode(text);
        self.bytes.extend(bytes.unwrap_or_else(|c| panic!("{} has no {c:?}", self.shape.encoding)));
    }

    fn some_blanks(&mut self, least: usize) {
        let Some(random) = &mut self.blanks else {
            self.bytes.extend(std::iter::repeat_n(b' ', least));
            return;
        };
        let with_tabs = self.shape.style != Style::Separator(b'\t');
        for _ in 0..least + random.below(3) {
            let blank = if with_tabs && random.chance(20) { b'\t' } else { b' ' };
            self.bytes.push(blank);
        }
    }

    fn is_cut_here(&self, characters: usize) -> bool {
        self.cut.is_some_and(|cut| cut.field == self.fields && cut.characters == characters) && self.cut_at.is_none()
    }

    fn field(&mut self, text: &str, width: usize, is_quoted: bool, spoiled: Option<u8>) {
        if self.shape.style == Style::Fixed {
            self.fixed_field(text, width, spoiled);
            return;
        }
        match self.shape.style {
            Style::Separator(byte) if self.fields > 0 => self.bytes.push(byte),
            Style::Whitespace if self.fields > 0 => self.bytes.push(b' '),
            _ => {}
        }
        if self.is_cut_here(0) {
            self.cut_at = Some(self.bytes.len());
        }
        self.some_blanks(0);
        let text = self.quote(text, is_quoted);
        match self.cut.filter(|cut| cut.field == self.fields && self.cut_at.is_none()) {
            None if spoiled.is_none() => self.text(&text),
            cut => self.characters(&text, spoiled, cut),
        }
        self.some_blanks(0);
        self.fields += 1;
    }

    /// A value that is cut, or not text.
    fn characters(&mut self, text: &str, spoiled: Option<u8>, cut: Option<Cut>) {
        let mut characters = 0;
        for character in text.chars() {
            self.text(character.encode_utf8(&mut [0; 4]));
            characters += 1;
            if characters == 1 {
                self.bytes.extend(spoiled);
            }
            if cut.is_some_and(|cut| cut.characters == characters) {
                self.cut_at = Some(self.bytes.len());
            }
        }
        if characters == 0 {
            self.bytes.extend(spoiled);
        }
        if cut.is_some_and(|cut| cut.characters > characters) {
            self.cut_at = Some(self.bytes.len());
        }
    }

    /// With quotes, where they are wanted or needed.
    fn quote<'t>(&self, text: &'t str, is_wanted: bool) -> Cow<'t, str> {
        let Some(quote) = self.shape.quote else { return text.into() };
        let is_needed = text.starts_with(quote)
            || match self.shape.style {
                Style::Separator(byte) => text.contains(char::from(byte)),
                _ => text.contains([' ', '\t']) || text.is_empty(),
            };
        if !is_needed && !is_wanted {
            return text.into();
        }
        let doubled = text.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{doubled}{quote}").into()
    }

    fn fixed_field(&mut self, text: &str, width: usize, spoiled: Option<u8>) {
        let from = self.bytes.len();
        let mut value = Vec::new();
        let mut cut_after = None;
        for (number, character) in text.chars().enumerate() {
            if self.is_cut_here(number) {
                cut_after = Some(value.len());
            }
            let encoded = self.encoding.encode(character.encode_utf8(&mut [0; 4]));
            value.extend(encoded.unwrap_or_else(|c| panic!("{} has no {c:?}", self.shape.encoding)));
        }
        if let Some(spoiled) = spoiled {
            value.truncate(value.len().saturating_sub(1));
            value.insert(0, spoiled);
        }
        assert!(value.len() <= width, "{text:?} is wider than {width}");
        let padding = width - value.len();
        let before = match &mut self.blanks {
            Some(random) if padding > 0 => random.below(padding + 1),
            _ => 0,
        };
        if let Some(after) = cut_after {
            // Before the first character, the blanks before it do not count.
            self.cut_at = Some(from + if after == 0 { 0 } else { before + after });
        }
        self.bytes.extend(std::iter::repeat_n(b' ', before));
        self.bytes.extend(value);
        self.bytes.resize(from + width, b' ');
        self.fields += 1;
    }

    fn end(&mut self) {
        if self.cut.is_some() && self.cut_at.is_none() {
            self.cut_at = Some(self.bytes.len());
        }
        match self.shape.ending {
            Ending::Bytes(end) => self.bytes.extend_from_slice(end.as_bytes()),
            Ending::Length(length) => self.bytes.resize(length, b' '),
        }
    }
}
