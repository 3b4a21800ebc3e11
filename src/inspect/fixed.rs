//! Where columns of fixed width begin.
//!
//! Nothing separates such columns, so their edges show in statistics over all records. A column that begins at a position is
//! told by one of these:
//!
//! * the position before is blank in all records;
//! * values stand at the left of a column and are padded with blanks, so that the further right, the fewer records have
//!   something there: where there are suddenly more, another column begins;
//! * digits stop and letters begin;
//! * what is before it never changes for an agent, and what follows does, or the other way round.
//!
//! A column reaches up to the next one: its padding belongs to it.

use std::collections::HashMap;

use crate::wire::layout::FieldPlace;

use super::class::Class;

/// Records that are looked at.
const SAMPLE: usize = 20_000;

/// What is at one position over all records.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// How many have something there.
    filled: usize,
    classes: [usize; Class::COUNT],
    lower: usize,
    /// The byte, where it is the same in all that have one.
    byte: Option<u8>,
    varies: bool,
    /// How often it is another byte than in the record of the same agent before.
    changes: usize,
}

impl Position {
    fn share(&self, class: Class) -> f64 {
        self.classes[class.index()] as f64 / self.filled.max(1) as f64
    }

    fn is_constant(&self, records: usize) -> bool {
        !self.varies && self.filled == records
    }
}

/// Finds the columns. `agents` has the agent of each record, where that is known.
pub(super) fn places(records: &[&[u8]], agents: Option<&[usize]>) -> Vec<FieldPlace> {
    let records = &records[..records.len().min(SAMPLE)];
    let positions = positions(records, agents);
    let mut starts: Vec<usize> = Vec::new();
    for at in 0..positions.len() {
        if begins(&positions, at, records.len(), agents.is_some()) {
            starts.push(at);
        }
    }
    let end = positions.len();
    let ends = starts.iter().skip(1).copied().chain([end]);
    let places: Vec<FieldPlace> =
        starts.iter().zip(ends).map(|(at, end)| FieldPlace { at: *at, width: end - at }).collect();
    let places = if agents.is_some() { without_leading_columns(places, records, &positions) } else { places };
    let places = without_compact_times(with_compact_times(places, records), records);
    let places = with_whole_times(with_whole_texts(places, records), records);
    with_padding_in_front(places, records, &positions)
}

/// Numbers that stand at the right of their column have its padding in front: a longer one must find room there.
fn with_padding_in_front(places: Vec<FieldPlace>, records: &[&[u8]], positions: &[Position]) -> Vec<FieldPlace> {
    let is_blank = |byte: &u8| Class::of(*byte) == Class::Blank;
    let mut padded: Vec<FieldPlace> = Vec::new();
    for mut place in places {
        let values = records.iter().filter_map(|record| record.get(place.at..record.len().min(place.at + place.width)));
        let filled: Vec<&[u8]> = values.filter(|value| !value.iter().all(is_blank)).collect();
        let spans = filled.iter().filter_map(|value| {
            let first = value.iter().position(|byte| !is_blank(byte))?;
            let last = value.iter().rposition(|byte| !is_blank(byte))?;
            Some((first, last, value.get(first..=last)?.iter().all(|byte| byte.is_ascii_digit() || *byte == b':')))
        });
        let (mut firsts, mut lasts, mut are_numbers) = (Vec::new(), Vec::new(), !filled.is_empty());
        for (first, last, is_number) in spans {
            firsts.push(first);
            lasts.push(last);
            are_numbers &= is_number;
        }
        firsts.sort_unstable();
        firsts.dedup();
        lasts.sort_unstable();
        lasts.dedup();
        if are_numbers
            && lasts.len() == 1
            && firsts.len() > 1
            && let Some(before) = padded.last_mut()
        {
            let is_filled = |at: &usize| positions.get(*at).is_some_and(|position| position.filled > 0);
            let end = (before.at..place.at).rev().find(is_filled).map_or(before.at, |at| at + 1);
            // A blank stays between them, if there are two.
            let at = if place.at - end > 1 { end + 1 } else { end };
            if at > before.at {
                place = FieldPlace { at, width: place.width + place.at - at };
                before.width = at - before.at;
            }
        }
        padded.push(place);
    }
    padded
}

/// Puts a time of 14 digits, or of 10 since 1970, together: its first digits seldom change, and its last ones do.
fn with_compact_times(places: Vec<FieldPlace>, records: &[&[u8]]) -> Vec<FieldPlace> {
    let mut whole: Vec<FieldPlace> = Vec::new();
    for place in places {
        let joined = whole.last().map(|before| FieldPlace { at: before.at, width: place.at + place.width - before.at });
        let is_time = joined.is_some_and(|joined| {
            let values =
                records.iter().filter_map(|record| record.get(joined.at..record.len().min(joined.at + joined.width)));
            let mut values = values.map(<[u8]>::trim_ascii_end).filter(|value| !value.is_empty()).peekable();
            let first = values.peek().copied().unwrap_or_default();
            let is_like_first = |value: &[u8]| value.len() == first.len() && value.iter().all(u8::is_ascii_digit);
            let is_time = |value: &[u8]| match first.len() {
                14 => is_compact_time(value),
                10 => value.get(..4) == first.get(..4) && matches!(value.first(), Some(b'1' | b'2')),
                _ => false,
            };
            values.all(|value| is_like_first(value) && is_time(value))
        });
        match whole.last_mut().zip(joined).filter(|_| is_time) {
            Some((before, joined)) => *before = joined,
            None => whole.push(place),
        }
    }
    whole
}

/// Takes a time of 14 digits, or of 10 since 1970, apart from digits behind it.
fn without_compact_times(places: Vec<FieldPlace>, records: &[&[u8]]) -> Vec<FieldPlace> {
    let mut apart = Vec::new();
    for place in places {
        let values = records.iter().filter_map(|record| record.get(place.at..record.len().min(place.at + place.width)));
        let values: Vec<&[u8]> = values.map(<[u8]>::trim_ascii_end).filter(|value| !value.is_empty()).collect();
        let are_longer = |length: usize| {
            let longer = values.iter().filter(|value| value.len() > length).count();
            longer * 10 >= values.len() * 9
                && values.iter().all(|value| value.iter().take(length).all(u8::is_ascii_digit))
        };
        let first = values.first().copied().unwrap_or_default();
        let begin_alike = values.iter().all(|value| value.get(..4) == first.get(..4));
        // Thirteen digits throughout are milliseconds.
        let is_seconds = values.iter().any(|value| value.len() == 10) || values.iter().any(|value| value.len() != 13);
        let has_seconds = values.iter().all(|value| value.len() >= 10 && value.iter().all(u8::is_ascii_digit));
        let is_calendar = values.iter().all(|value| is_compact_time(value));
        let is_more = has_seconds && is_seconds && !is_calendar && values.iter().any(|value| value.len() > 10);
        let length = if are_longer(14) && values.iter().all(|value| is_compact_time(value)) {
            Some(14)
        } else {
            (is_more && begin_alike && matches!(first.first(), Some(b'1' | b'2'))).then_some(10)
        };
        match length.filter(|length| *length < place.width) {
            Some(length) => {
                apart.push(FieldPlace { width: length, ..place });
                apart.push(FieldPlace { at: place.at + length, width: place.width - length });
            }
            None => apart.push(place),
        }
    }
    apart
}

/// Whether a value begins with year, month, day, hour, minute and second.
fn is_compact_time(value: &[u8]) -> bool {
    let two = |at: usize| value.get(at..at + 2).and_then(super::class::number).unwrap_or(99);
    (19..=20).contains(&two(0))
        && (1..=12).contains(&two(4))
        && (1..=31).contains(&two(6))
        && two(8) < 24
        && two(10) < 60
        && two(12) < 60
}

/// A blank that is in the same place of all values is no end of a column: `Leipzig 2`. Then whatever is behind it stands there
/// only where the value before it reaches up to it.
fn with_whole_texts(places: Vec<FieldPlace>, records: &[&[u8]]) -> Vec<FieldPlace> {
    let is_filled = |record: &[u8], at: usize| record.get(at).is_some_and(|byte| Class::of(*byte) != Class::Blank);
    let mut whole: Vec<FieldPlace> = Vec::new();
    for place in places {
        let continues = whole.last().is_some_and(|before| {
            let Some(end) = place.at.checked_sub(2).filter(|end| *end > before.at) else { return false };
            let filled: Vec<&&[u8]> = records.iter().filter(|record| is_filled(record, place.at)).collect();
            let is_letter = |record: &&&[u8]| record.get(end).is_some_and(|byte| Class::of(*byte) == Class::Letter);
            filled.len() < records.len()
                && records.iter().all(|record| !is_filled(record, end + 1))
                && filled.iter().all(is_letter)
                && records.iter().any(|record| is_filled(record, before.at) && !is_filled(record, end))
        });
        match whole.last_mut().filter(|_| continues) {
            Some(before) => before.width = place.at + place.width - before.at,
            None => whole.push(place),
        }
    }
    whole
}

/// Takes one digit apart that stands directly before a number: numbers padded with blanks do not begin with a zero, nor all
/// with the same digit while they grow.
fn without_leading_columns(places: Vec<FieldPlace>, records: &[&[u8]], positions: &[Position]) -> Vec<FieldPlace> {
    let mut apart = Vec::new();
    for mut place in places {
        while place.width > 1 && begins_with_a_digit_of_its_own(place, records, positions) {
            apart.push(FieldPlace { width: 1, ..place });
            place = FieldPlace { at: place.at + 1, width: place.width - 1 };
        }
        apart.push(place);
    }
    apart
}

fn begins_with_a_digit_of_its_own(place: FieldPlace, records: &[&[u8]], positions: &[Position]) -> bool {
    let values = records.iter().filter_map(|record| record.get(place.at..record.len().min(place.at + place.width)));
    let values: Vec<&[u8]> = values.map(<[u8]>::trim_ascii_end).filter(|value| !value.is_empty()).collect();
    let mut lengths: Vec<usize> = values.iter().map(|value| value.len()).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let are_numbers = values.iter().all(|value| value.iter().all(u8::is_ascii_digit));
    let with_zero = values.iter().filter(|value| value.len() > 1 && value.first() == Some(&b'0')).count();
    let within = |at: usize| positions.get(place.at + at);
    let (first, second) = (within(0), within(1));
    let grows = second.is_some_and(|second| second.changes * 5 > records.len());
    let is_constant = first.is_some_and(|first| first.is_constant(records.len())) && grows;
    let changes = (0..place.width).filter_map(within).map(|position| position.changes).sum::<usize>();
    let vary = lengths.len() >= 3 || (is_constant && lengths.len() == 2);
    are_numbers && vary && changes >= 3 && (with_zero * 2 > values.len() || is_constant)
}

fn positions(records: &[&[u8]], agents: Option<&[usize]>) -> Vec<Position> {
    let width = records.iter().map(|record| record.trim_ascii_end().len()).max().unwrap_or(0);
    let mut positions = vec![Position::default(); width];
    let mut last: HashMap<usize, &[u8]> = HashMap::new();
    for (number, record) in records.iter().enumerate() {
        for (position, &byte) in positions.iter_mut().zip(*record) {
            let class = Class::of(byte);
            if class == Class::Blank {
                continue;
            }
            position.filled += 1;
            position.classes[class.index()] += 1;
            position.lower += usize::from(byte.is_ascii_lowercase());
            position.varies |= position.byte.is_some_and(|before| before != byte);
            position.byte = Some(byte);
        }
        if let Some(&agent) = agents.and_then(|agents| agents.get(number))
            && let Some(before) = last.insert(agent, record)
        {
            for (at, position) in positions.iter_mut().enumerate() {
                let byte = |record: &[u8]| record.get(at).copied().unwrap_or(b' ');
                position.changes += usize::from(byte(before) != byte(record));
            }
        }
    }
    positions
}

/// Whether a column begins there.
fn begins(positions: &[Position], at: usize, records: usize, has_agents: bool) -> bool {
    let Some(here) = positions.get(at).filter(|here| here.filled > 0) else { return false };
    let Some(before) = at.checked_sub(1).and_then(|before| positions.get(before)) else { return true };
    let share = |position: &Position| position.filled as f64 / records.max(1) as f64;
    // A few records may be none.
    let is_gap = before.filled * 500 <= records;
    if is_gap {
        return share(here) > 0.002 || before.filled == 0;
    }
    if is_behind_time(positions, at, records) {
        return true;
    }
    if is_inside_time(positions, at, records) {
        return false;
    }
    let rise = share(here) - share(before);
    let (digits, letters) = (here.share(Class::Digit), here.share(Class::Letter));
    let were_digits = before.share(Class::Digit) >= 0.97;
    let were_letters = before.share(Class::Letter) + before.share(Class::Other) >= 0.97;
    let is_upper = here.lower as f64 <= 0.05 * here.filled as f64;
    let by_rise = if digits >= 0.97 && were_digits {
        rise > 0.01 && !is_right_aligned(positions, at, records)
    } else if digits >= 0.97 {
        rise > 0.02
    } else {
        // Words of a name begin anywhere: a column of words begins with a capital.
        (rise >= 0.2 || (share(here) >= 0.98 && rise > 0.05)) && is_upper
    };
    // What an encoding lacks is a question mark.
    let words = letters + here.share(Class::Other);
    let by_class = were_digits && words >= 0.97 && letters >= 0.5;
    let by_change = has_agents && {
        let changes_a_little = |position: &Position| position.changes >= 3;
        let stays = |position: &Position| position.changes == 0 && !position.is_constant(records);
        let is_padding = here.filled * 100 < records;
        (stays(before) && changes_a_little(here)) || (changes_a_little(before) && stays(here) && !is_padding)
    };
    let by_names = were_letters && digits >= 0.97 && share(here) >= 0.98 && share(before) < 0.9;
    by_rise || by_class || by_change || by_names
}

/// Whether digits are filled up from the left, so that more and more records have something the further right it is.
fn is_right_aligned(positions: &[Position], at: usize, records: usize) -> bool {
    let mut begin = at;
    while begin > 0 && positions[begin - 1].filled * 500 > records {
        if positions[begin - 1].filled > positions[begin].filled {
            return false;
        }
        begin -= 1;
    }
    begin > 0 || positions[begin].filled < records
}

/// Whether the marks of a date or time of day are around: they stand between digits, in all records alike.
fn is_inside_time(positions: &[Position], at: usize, records: usize) -> bool {
    let position = |at: Option<usize>| at.and_then(|at| positions.get(at));
    let is_mark = |at: Option<usize>| {
        position(at).is_some_and(|found| {
            !found.varies && found.filled * 10 > records && matches!(found.byte, Some(b':' | b'.' | b'-' | b'/' | b'T'))
        })
    };
    let is_digits = |at: Option<usize>| position(at).is_some_and(|found| found.share(Class::Digit) >= 0.97);
    let before = at.checked_sub(1);
    let mark_here = is_mark(Some(at)) && is_digits(before) && is_digits(Some(at + 1));
    let mark_before = is_mark(before) && is_digits(Some(at));
    // The second digit after a mark, and the second before the first mark.
    let mark_two_before = is_mark(at.checked_sub(2)) && is_digits(before) && is_digits(Some(at));
    let mark_after = is_mark(Some(at + 1)) && is_digits(before) && is_digits(Some(at)) && is_digits(Some(at + 2));
    mark_here || mark_before || mark_two_before || mark_after
}

/// Whether two digits and a colon are directly before: no time goes on with another digit.
fn is_behind_time(positions: &[Position], at: usize, records: usize) -> bool {
    let position = |back: usize| at.checked_sub(back).and_then(|at| positions.get(at));
    let is_colon =
        position(3).is_some_and(|found| !found.varies && found.filled * 10 > records && found.byte == Some(b':'));
    let are_digits =
        [0, 1, 2].into_iter().all(|back| position(back).is_some_and(|found| found.share(Class::Digit) >= 0.97));
    let are_there = [0, 1, 2].into_iter().all(|back| position(back).is_some_and(|found| found.filled * 2 > records));
    is_colon && are_digits && are_there
}

/// A date and the time of day behind it are one value.
fn with_whole_times(places: Vec<FieldPlace>, records: &[&[u8]]) -> Vec<FieldPlace> {
    let mut merged: Vec<FieldPlace> = Vec::new();
    for place in places {
        let is_time_of_day = all_look_like(records, place, |text| is_pattern(text, b"00:00"));
        if let Some(date) = merged.last_mut()
            && is_time_of_day
            && all_look_like(records, *date, |text| text.len() >= 8 && is_date(text))
            && date.width <= 11
        {
            date.width = place.at + place.width - date.at;
            continue;
        }
        merged.push(place);
    }
    merged
}

fn all_look_like(records: &[&[u8]], place: FieldPlace, looks: impl Fn(&[u8]) -> bool) -> bool {
    let values =
        records.iter().take(200).filter_map(|record| record.get(place.at..record.len().min(place.at + place.width)));
    let mut filled = values.map(<[u8]>::trim_ascii).filter(|text| !text.is_empty()).peekable();
    filled.peek().is_some() && filled.all(looks)
}

/// Whether digits and marks are where `pattern` has them; more may follow.
fn is_pattern(text: &[u8], pattern: &[u8]) -> bool {
    let fits = |(byte, wanted): (&u8, &u8)| if *wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted };
    text.len() >= pattern.len() && text.iter().zip(pattern).all(fits)
}

fn is_date(text: &[u8]) -> bool {
    let patterns: [&[u8]; 8] = [
        b"00.00.0000",
        b"0000-00-00",
        b"00/00/0000",
        b"00-00-0000",
        b"0000/00/00",
        b"00.00.00",
        b"00/00/00",
        b"00-00-00",
    ];
    patterns.iter().any(|pattern| text.len() == pattern.len() && is_pattern(text, pattern))
}

#[cfg(test)]
#[path = "fixed_tests.rs"]
mod tests;
