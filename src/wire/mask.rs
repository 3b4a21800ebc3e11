//! A record with its people replaced, in as many bytes: what identifies somebody becomes a pseudonym, what has no known
//! meaning becomes filler.
//!
//! * Login ids, names, extensions and locations are replaced by what [`Replace`] says. Null stays null.
//! * Columns that are about the state (modes, times, splits, skills, roles) stay.
//! * State codes that the table does not have become letters: they may be a name where the layout does not fit.
//! * Everything else is filler: ignored columns, extra fields, bytes between columns, and records that cannot be decoded,
//!   except for their login id. Markers and skipped lines keep the bytes without which they would be none.
//!
//! Nothing is taken on trust: the result is decoded again. If it differs in what was to stay, the record becomes filler, and
//! that is reported. So a replay of masked records gives the same events except for what was replaced, or it is known that it
//! does not.

use std::ops::Range;

use crate::time::Timestamp;

use super::column::{Column, Privacy};
use super::cursor::{BlankSeparated, Fields, FixedCharacters, FixedWidth, Separated};
use super::decode::{Decoder, Identity};
use super::encoding::Encoding;
use super::fields::{Field, is_blank};
use super::layout::{FieldStyle, Repeat};
use super::lines::LineKind;
use super::plan::{Plan, PlanColumn};
use super::reason::Reason;
use super::record::{RawText, Record};
use super::visible;

/// When a record counts as received. It is the same before and after masking, and times stay: so any time will do.
const AT: Timestamp = Timestamp::from_millis(0);

/// Pseudonyms. The same bytes of a column always get the same one, of the same length.
pub trait Replace {
    /// Returns one for a login id or an extension: digits stay digits, letters letters, and no two get the same one.
    /// `is_free` says which may be used.
    fn same_shape(&mut self, column: Column, bytes: &[u8], is_free: &dyn Fn(&[u8]) -> bool) -> Vec<u8>;

    /// Returns one for a name, a location or an unknown state: letters only.
    fn letters(&mut self, column: Column, bytes: &[u8]) -> Vec<u8>;
}

/// What a line has become.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Masked {
    /// A valid record, with pseudonyms.
    Record,
    /// A marker or a skipped line, with filler where that is possible.
    Line,
    /// Not a valid record: filler, except for its login id.
    Broken,
    /// Filler that may say something else than the original.
    Changed,
}

/// Masks records of one layout.
#[derive(Debug, Default)]
pub struct Masker {
    before: Decoder,
    after: Decoder,
}

/// A field and its place in the frame.
struct Place<'a> {
    column: &'a PlanColumn,
    range: Range<usize>,
    /// It is null, or the filling of an empty skill group.
    is_nothing: bool,
}

impl Masker {
    /// Masks the line `frame`, whole and without its end, in as many bytes.
    pub fn line(&mut self, plan: &Plan, frame: &[u8], replace: &mut impl Replace) -> (Vec<u8>, Masked) {
        let kind = plan.lines().classify(frame);
        if kind != LineKind::Record {
            return (necessary(plan, frame, kind), Masked::Line);
        }
        let Ok(decoded) = self.before.decode(plan, frame, AT) else { return self.broken(plan, frame, true, replace) };
        let mut masked = filler(plan, frame);
        let places = places(plan, frame);
        // What is replaced comes last: where columns overlap, it wins.
        for place in places.iter().filter(|place| stays(plan, frame, place)) {
            masked[place.range.clone()].copy_from_slice(&frame[place.range.clone()]);
        }
        for place in places.iter().filter(|place| !stays(plan, frame, place)) {
            put_pseudonym(plan, &mut masked, frame, place, replace);
        }
        let login = login_of(plan, frame, &masked, &places, replace);
        let is_as_it_was = is_framed(plan, &masked)
            && plan.lines().classify(&masked) == LineKind::Record
            && self.after.decode(plan, &masked, AT).is_ok_and(|after| {
                login.as_deref() == Some(after.record.login_id) && says_the_same(&decoded.record, &after.record)
            });
        if is_as_it_was {
            return (masked, Masked::Record);
        }
        let (masked, _) = self.broken(plan, frame, true, replace);
        (masked, Masked::Changed)
    }

    /// Masks bytes that are not a valid record; `whole` is false where the end of the record is missing.
    pub fn broken(&mut self, plan: &Plan, frame: &[u8], whole: bool, replace: &mut impl Replace) -> (Vec<u8>, Masked) {
        let reason = self.before.decode(plan, frame, AT).err();
        let identity = self.before.identify(plan, frame, false).map(|Identity { acd, .. }| acd);
        let places = places(plan, frame);
        let mut masked =
            if reason == Some(Reason::Undecodable) { undecodable(plan, frame) } else { filler(plan, frame) };
        for place in &places {
            if place.is_nothing || (place.column.column == Column::Acd && identity.is_some()) {
                masked[place.range.clone()].copy_from_slice(&frame[place.range.clone()]);
            }
        }
        for place in places.iter().filter(|place| identity.is_some() && place.column.column == Column::LoginId) {
            put_pseudonym(plan, &mut masked, frame, place, replace);
        }
        let login = login_of(plan, frame, &masked, &places, replace);
        let expected = identity.map(|acd| (login, acd));
        if self.is_broken_alike(plan, &masked, whole, expected.as_ref()) {
            return (masked, Masked::Broken);
        }
        // A NUL makes it invalid, whatever else it is; within the identifying columns it identifies nobody.
        let is_of_identity = |at: &usize| {
            let mut named = places.iter().filter(|place| place.column.identifies);
            named.any(|place| place.range.contains(at))
        };
        let (inside, outside): (Vec<usize>, Vec<usize>) =
            (0..masked.len()).filter(|at| masked[*at].is_ascii_alphanumeric()).partition(is_of_identity);
        for at in [outside.last(), inside.last()].into_iter().flatten() {
            let mut with_nul = masked.clone();
            with_nul[*at] = 0;
            if self.is_broken_alike(plan, &with_nul, whole, expected.as_ref()) {
                return (with_nul, Masked::Broken);
            }
        }
        (filler(plan, frame), Masked::Changed)
    }

    fn is_broken_alike(
        &mut self,
        plan: &Plan,
        masked: &[u8],
        whole: bool,
        expected: Option<&(Option<String>, Option<u32>)>,
    ) -> bool {
        let found = self.after.identify(plan, masked, false);
        let found = found.map(|Identity { login_id, acd }| (Some(login_id.to_owned()), acd));
        let is_invalid = !whole || self.after.decode(plan, masked, AT).is_err();
        let is_record = !whole || plan.lines().classify(masked) == LineKind::Record;
        is_invalid && is_record && is_framed(plan, masked) && found.as_ref() == expected
    }
}

/// Returns filler for bytes with no known meaning, such as the rest of a record that is too long. They do not end a record.
pub fn anything(plan: &Plan, length: usize) -> Vec<u8> {
    let filled = vec![b'x'; length];
    if is_framed(plan, &filled) { filled } else { vec![b'0'; length] }
}

fn put_pseudonym(plan: &Plan, masked: &mut [u8], frame: &[u8], place: &Place<'_>, replace: &mut impl Replace) {
    if let Some(pseudonym) = pseudonym(plan, place, &frame[place.range.clone()], replace) {
        masked[place.range.clone()].copy_from_slice(&pseudonym);
    }
}

/// Returns what `bytes` become in that place; `None` where there is nobody, or the column is about nobody.
fn pseudonym(plan: &Plan, place: &Place<'_>, bytes: &[u8], replace: &mut impl Replace) -> Option<Vec<u8>> {
    if place.is_nothing || bytes.is_empty() {
        return None;
    }
    let column = place.column.column;
    let mut pseudonym = match column.properties().privacy {
        Privacy::Id => replace.same_shape(column, bytes, &|candidate| !place.column.null.has(candidate)),
        // A code that the table does not have: two of them must not become one.
        Privacy::Name | Privacy::Place | Privacy::StateCode => replace.letters(column, bytes),
        Privacy::Nobody | Privacy::Unknown => return None,
    };
    keep_characters(plan, bytes, &mut pseudonym);
    Some(pseudonym)
}

/// Where places are in characters, there must be as many as there were: one of several bytes becomes another of as many.
fn keep_characters(plan: &Plan, before: &[u8], masked: &mut [u8]) {
    if plan.style != FieldStyle::FixedCharacters {
        return;
    }
    let mut at = 0;
    for chunk in before.utf8_chunks() {
        for character in chunk.valid().chars() {
            let other = match character.len_utf8() {
                2 => "ø",
                3 => "々",
                4 => "𝒙",
                _ => "",
            };
            if let Some(masked) = masked.get_mut(at..at + other.len()) {
                masked.copy_from_slice(other.as_bytes());
            }
            at += character.len_utf8();
        }
        at += chunk.invalid().len();
    }
}

/// Returns how a login id that was put there reads. `None` where it may differ in the next record: it was spelled with a
/// doubled quote, and the same id can be spelled differently; or another column shares its bytes, and was put over it.
fn login_of(
    plan: &Plan,
    frame: &[u8],
    masked: &[u8],
    places: &[Place<'_>],
    replace: &mut impl Replace,
) -> Option<String> {
    let place = places.iter().find(|place| place.column.column == Column::LoginId)?;
    let has_doubled =
        |bytes: &[u8]| plan.quote.is_some_and(|quote| bytes.windows(2).any(|pair| pair == [quote, quote]));
    let [before, after] = [frame, masked].map(|bytes| &bytes[place.range.clone()]);
    if has_doubled(before) || has_doubled(after) || pseudonym(plan, place, before, replace).as_deref() != Some(after) {
        return None;
    }
    Some(plan.encoding.decode(after).into_owned())
}

/// Whether a field of a valid record is about the state, not about a person.
fn stays(plan: &Plan, frame: &[u8], place: &Place<'_>) -> bool {
    if place.is_nothing {
        return true;
    }
    match place.column.column.properties().privacy {
        Privacy::Id | Privacy::Name | Privacy::Place | Privacy::Unknown => false,
        Privacy::StateCode => {
            let code = &frame[place.range.clone()];
            // A number of three digits is a code missing from the table, and nobody's name.
            let is_number = code.len() <= 3 && code.iter().all(u8::is_ascii_digit);
            is_number || plan.states.lookup(plan.encoding.decode(code).as_bytes()).is_some()
        }
        // Numbers, times and words of fixed meaning, including the site's own, and texts about the work.
        Privacy::Nobody => true,
    }
}

/// Returns the fields from left to right, as far as they can be separated.
fn places<'a>(plan: &'a Plan, frame: &[u8]) -> Vec<Place<'a>> {
    match plan.style {
        FieldStyle::Separator(separator) => walk(plan, Separated::new(frame, separator, plan.quote)),
        FieldStyle::Whitespace => walk(plan, BlankSeparated::new(frame, plan.quote)),
        FieldStyle::FixedCharacters if !frame.is_ascii() => walk(plan, FixedCharacters::new(frame, plan.quote)),
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => walk(plan, FixedWidth::new(frame, plan.quote)),
    }
}

fn walk<'a, 'f>(plan: &'a Plan, mut fields: impl Fields<'f>) -> Vec<Place<'a>> {
    let mut places = Vec::new();
    let frame = fields.frame();
    let mut note = |column: &'a PlanColumn, field: Field<'_>, is_nothing: bool| {
        let begin = (field.bytes.as_ptr() as usize).saturating_sub(frame.as_ptr() as usize);
        let range = begin..begin + field.bytes.len();
        if range.end > frame.len() {
            return;
        }
        if column.column != Column::LoginId {
            places.push(Place { column, range, is_nothing: is_nothing || column.null.has(field.bytes) });
            return;
        }
        // White space around a login id is not part of it, and stays.
        let id = visible::trim(plan.encoding, field.bytes);
        let front = id.as_ptr() as usize - field.bytes.as_ptr() as usize;
        let id_range = begin + front..begin + front + id.len();
        let is_null = id.is_empty() || column.null.has(field.bytes) || column.null.has(id);
        places.push(Place { column, range: id_range.clone(), is_nothing: is_null });
        for white in [range.start..id_range.start, id_range.end..range.end] {
            places.push(Place { column, range: white, is_nothing: true });
        }
    };
    for column in &plan.columns {
        let Ok(field) = fields.next(column) else { return places };
        note(column, field, false);
    }
    let Some(groups) = &plan.groups else { return places };
    let mut read = 0;
    while fields.enter_group(groups, read) && groups.repeat != Repeat::Times(read) {
        for (index, column) in groups.columns.iter().enumerate() {
            if groups.repeat == Repeat::Rest && index > 0 && fields.is_cut_off() {
                return places;
            }
            let Ok(field) = fields.next(column) else { return places };
            note(column, field, groups.empty.has(field.bytes));
        }
        read += 1;
    }
    places
}

/// Makes every digit a 0 and every letter an x; what separates fields stays.
fn filler(plan: &Plan, frame: &[u8]) -> Vec<u8> {
    let mut filled: Vec<u8> =
        frame.iter().map(|byte| if parts_fields(plan, *byte) { *byte } else { fill(*byte) }).collect();
    keep_characters(plan, frame, &mut filled);
    filled
}

fn parts_fields(plan: &Plan, byte: u8) -> bool {
    plan.style == FieldStyle::Separator(byte) || plan.quote == Some(byte) || is_blank(byte)
}

const fn fill(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => b'0',
        b'A'..=b'Z' => b'X',
        b'a'..=b'z' | 0x80..=0xff => b'x',
        other => other,
    }
}

/// Does the same for bytes that the encoding lacks; the result still has such bytes.
fn undecodable(plan: &Plan, frame: &[u8]) -> Vec<u8> {
    let wrong = if plan.encoding == Encoding::Windows1252 { 0x81 } else { 0xff };
    let filled = filler(plan, frame);
    let mut filled: Vec<u8> =
        frame.iter().zip(filled).map(|(byte, filled)| if byte.is_ascii() { filled } else { wrong }).collect();
    keep_characters(plan, frame, &mut filled);
    filled
}

/// Returns filler, except for the bytes without which the line would be of another kind: what the layout's own pattern
/// requires.
fn necessary(plan: &Plan, frame: &[u8], kind: LineKind) -> Vec<u8> {
    let mut masked = frame.to_vec();
    for at in 0..masked.len() {
        let byte = masked[at];
        masked[at] = fill(byte);
        if masked[at] != byte && (plan.lines().classify(&masked) != kind || !is_framed(plan, &masked)) {
            masked[at] = byte;
        }
    }
    masked
}

/// Whether the layout's framing still cuts the line where it was cut.
fn is_framed(plan: &Plan, line: &[u8]) -> bool {
    plan.ends().cuts_after(line)
}

/// Whether two records say the same in everything that stays.
fn says_the_same(before: &Record<'_>, after: &Record<'_>) -> bool {
    let text = |text: Option<RawText<'_>>| text.map(|text| text.text().into_owned());
    let told = |record: &Record<'_>| {
        let skills: Vec<_> = record.skills.iter().map(|skill| (skill.skill.text().into_owned(), skill.level)).collect();
        let texts = [record.work_split, record.role, record.logout_reason].map(text);
        let there = [record.name, record.extension, record.location].map(|text| text.is_some());
        let state = (record.mode, record.direction, record.on_hold, record.recognised, record.aux_reason);
        (record.acd, state, record.times, texts, there, skills)
    };
    told(before) == told(after)
}
