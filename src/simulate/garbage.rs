//! Records that no listener may take for valid.
//!
//! Each kind is invalid for a reason that holds in any layout: too few or too many fields, a line that is too long, a number
//! that is not one, or a state that is null. Where records have a fixed length, garbage has it too, or everything after it
//! would be shifted. A line that the layout would skip, or take for its marker, is not garbage and is left out.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use regex::bytes::Regex;

use crate::wire::encoding::Encoding;
use crate::wire::layout::{Column, ExtraFields, FieldStyle, Framing, LayoutSpec, Repeat};

use super::doubt::Doubt;
use super::field::RenderedField;
use super::render::{RenderedSnapshot, Renderer, encode};

/// A login id that no agent of the contact centre has.
const NOBODY: &str = "999999";

/// Makes garbage for one layout.
#[derive(Clone, Debug)]
pub(super) struct Garbage {
    /// Garbage whose login id can be read: it is always that of [`NOBODY`].
    readable: Vec<Vec<u8>>,
    /// Garbage whose login id cannot be read.
    unreadable: Vec<Vec<u8>>,
}

impl Garbage {
    /// Creates every kind that is possible in the layout.
    pub(super) fn new(renderer: &Renderer) -> Self {
        let layout = renderer.layout().as_ref();
        let patterns = layout.skip.iter().chain(&layout.marker).filter_map(|pattern| Regex::new(pattern).ok());
        let patterns: Vec<Regex> = patterns.collect();
        let finish = |kinds: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
            let is_record = |kind: &Vec<u8>| !patterns.iter().any(|pattern| pattern.is_match(kind));
            let fits = |kind: &Vec<u8>| match &layout.framing {
                Framing::Length(length) => kind.len() <= *length,
                Framing::Terminator(end) => !kind.windows(end.len().max(1)).any(|window| window == end),
            };
            let ended = |mut kind: Vec<u8>| {
                renderer.end_record(0, &mut kind);
                kind
            };
            kinds.into_iter().filter(is_record).filter(fits).map(ended).collect()
        };
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for kind in kinds(renderer) {
            if kind.keeps_login_id { &mut readable } else { &mut unreadable }.push(kind.line);
        }
        Self { readable: finish(readable), unreadable: finish(unreadable) }
    }

    /// Returns some garbage; `may_hide_ids` allows kinds whose login id cannot be read.
    pub(super) fn some(&self, may_hide_ids: bool, rng: &mut ChaCha8Rng) -> Option<(&[u8], Doubt)> {
        let hides_login_id = may_hide_ids && (self.readable.is_empty() || rng.random_bool(0.5));
        let kinds = if hides_login_id { &self.unreadable } else { &self.readable };
        let doubt = Doubt { lines: 1, hides_login_id, names_stranger: !hides_login_id };
        kinds.choose(rng).map(|kind| (kind.as_slice(), doubt))
    }

    /// Puts garbage between the records of a snapshot: one for each hundred records, and one more.
    pub(super) fn spread(&self, snapshot: &mut RenderedSnapshot, may_hide_ids: bool, rng: &mut ChaCha8Rng) -> Doubt {
        let mut doubt = Doubt::default();
        let mut bytes = Vec::with_capacity(snapshot.bytes.len() + 1_024);
        let mut ends = Vec::with_capacity(snapshot.ends.len());
        let mut begin = 0;
        let surely = snapshot.ends.len() / 2;
        for (number, &end) in snapshot.ends.iter().enumerate() {
            bytes.extend_from_slice(&snapshot.bytes[begin..end]);
            ends.push(bytes.len());
            begin = end;
            if (number == surely || rng.random_bool(0.01))
                && let Some((garbage, its_doubt)) = self.some(may_hide_ids, rng)
            {
                bytes.extend_from_slice(garbage);
                doubt = doubt.and(its_doubt);
            }
        }
        bytes.extend_from_slice(&snapshot.bytes[begin..]);
        *snapshot = RenderedSnapshot { bytes, ends };
        doubt
    }
}

/// Makes a record of nobody in no state, changed by `change`; `None` where the state cannot be null.
fn stateless(renderer: &Renderer, change: impl Fn(&RenderedField) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let layout = renderer.layout().as_ref();
    let state = renderer.fields().iter().find(|field| field.column == Column::State)?;
    if !state.reads_as_null(&state.null) {
        return None;
    }
    Some(record(renderer, |field| change(field).unwrap_or_else(|| plain(layout, field))))
}

fn plain(layout: &LayoutSpec, field: &RenderedField) -> Vec<u8> {
    match field.column {
        Column::LoginId => NOBODY.into(),
        Column::State => encode(layout.encoding, &field.null),
        _ => b"0".to_vec(),
    }
}

/// A kind of garbage, without its end.
#[derive(Clone, Debug)]
struct Kind {
    line: Vec<u8>,
    /// The login id can be read: its field is whole, and that of the ACD where there is one.
    keeps_login_id: bool,
}

/// Returns every kind, including those that do not fit the framing.
fn kinds(renderer: &Renderer) -> Vec<Kind> {
    let layout = renderer.layout().as_ref();
    let has_length = matches!(layout.framing, Framing::Length(_));
    let is_fixed_width = layout.fields.is_fixed();
    let all_columns = keeps_login_id(layout);
    let mut kinds: Vec<Kind> = wrong_values(renderer)
        .into_iter()
        .chain(impossible_groups(renderer))
        .map(|line| Kind { line, keeps_login_id: all_columns })
        .collect();
    let length = layout.max_record.saturating_add(100);
    if is_fixed_width {
        // The columns of a line that is too long are in their places.
        let mut line = record(renderer, |field| plain(layout, field));
        line.resize(length.max(line.len()), b'7');
        kinds.push(Kind { line, keeps_login_id: true });
    } else {
        // A record of full length may have lost fields, but not a part of the login id.
        let is_first_alone = columns_of_identity(layout).eq([0]);
        kinds.push(Kind { line: NOBODY.into(), keeps_login_id: has_length && is_first_alone });
        kinds.push(Kind { line: b"\0\0\0\0".to_vec(), keeps_login_id: false });
        kinds.push(Kind { line: b"7".repeat(length), keeps_login_id: false });
    }
    let undecodable = match layout.encoding {
        Encoding::Ascii | Encoding::Utf8 => Some(b"\xFF\xFE".to_vec()),
        Encoding::Windows1252 => Some(b"\x81\x8D".to_vec()),
        Encoding::Iso8859_1 | Encoding::Iso8859_9 | Encoding::Iso8859_15 => None,
    };
    if let Some(bytes) = undecodable {
        let line = stateless(renderer, |field| (field.column == Column::LoginId).then(|| bytes.clone()));
        kinds.extend(line.map(|line| Kind { line, keeps_login_id: false }));
    }
    kinds
}

/// Returns the positions of the columns that identify the agent.
fn columns_of_identity(layout: &LayoutSpec) -> impl Iterator<Item = usize> {
    let columns = layout.columns.iter().enumerate();
    columns.filter(|(_, spec)| spec.column.properties().identifies).map(|(position, _)| position)
}

/// Whether a record that has all its columns identifies the agent: something follows the login id and the ACD.
fn keeps_login_id(layout: &LayoutSpec) -> bool {
    let is_last = columns_of_identity(layout).any(|position| position + 1 == layout.columns.len());
    let has_groups = layout.skills.as_ref().is_some_and(|groups| matches!(groups.repeat, Repeat::Times(1..)));
    let ends_by_place = layout.fields.is_fixed() || matches!(layout.framing, Framing::Length(_));
    !is_last || has_groups || ends_by_place
}

/// Returns records with all their columns, one of which has an impossible value.
fn wrong_values(renderer: &Renderer) -> Vec<Vec<u8>> {
    let layout = renderer.layout().as_ref();
    let mut kinds = Vec::new();
    // In a layout with a number, letters in it are enough: the state may be a good one.
    let is_number = |field: &RenderedField| matches!(field.column, Column::AuxReason | Column::Duration);
    let code = layout.states.rows().iter().find(|(_, code)| !code.mode.is_logged_out());
    if let Some((code, _)) = code.filter(|_| renderer.fields().iter().any(is_number)) {
        let good_state = |field: &RenderedField| (field.column == Column::State).then(|| encode(layout.encoding, code));
        let letters = |field: &RenderedField| is_number(field).then(|| b"1x".to_vec());
        let change = |field: &RenderedField| good_state(field).or_else(|| letters(field));
        kinds.push(record(renderer, |field| change(field).unwrap_or_else(|| plain(layout, field))));
    }
    kinds.extend(stateless(renderer, |_| None));
    let nul =
        |field: &RenderedField| matches!(field.column, Column::Name | Column::Extension).then(|| b"\0\0".to_vec());
    kinds.extend(stateless(renderer, nul));
    kinds
}

/// Returns one field more than the groups can have.
fn impossible_groups(renderer: &Renderer) -> Option<Vec<u8>> {
    let layout = renderer.layout().as_ref();
    let is_fixed = matches!(layout.skills.as_ref()?.repeat, Repeat::Times(_));
    let mut line = stateless(renderer, |_| None)?;
    line.push(separator(layout)?);
    line.extend_from_slice(b"232");
    (is_fixed && layout.extra_fields == ExtraFields::Error).then_some(line)
}

/// Makes a record without its end; skill groups are filled with zeros.
fn record(renderer: &Renderer, text: impl Fn(&RenderedField) -> Vec<u8>) -> Vec<u8> {
    let layout = renderer.layout().as_ref();
    let mut line = Vec::new();
    for (index, field) in renderer.fields().iter().enumerate() {
        let mut bytes = text(field);
        match (field.place, separator(layout)) {
            (Some(place), None) => {
                bytes.resize(place.width, b' ');
                line.resize(line.len().max(place.at + place.width), b' ');
                line[place.at..place.at + place.width].copy_from_slice(&bytes);
            }
            (_, separator) => {
                line.extend(separator.filter(|_| index > 0));
                line.extend(bytes);
            }
        }
    }
    if let (Some(groups), Some(separator)) = (&layout.skills, separator(layout))
        && let Repeat::Times(times) = groups.repeat
    {
        let empty = groups.empty.as_deref().unwrap_or("0");
        for _ in 0..times * groups.columns.len() {
            line.push(separator);
            line.extend_from_slice(empty.as_bytes());
        }
    }
    line
}

fn separator(layout: &LayoutSpec) -> Option<u8> {
    match layout.fields {
        FieldStyle::Separator(separator) => Some(separator),
        FieldStyle::Whitespace => Some(b' '),
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => None,
    }
}

#[cfg(test)]
#[path = "garbage_tests.rs"]
mod tests;
