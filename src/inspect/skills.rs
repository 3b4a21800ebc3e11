//! Where the skills of an agent are: groups that repeat to the right, or one row per agent and skill.
//!
//! A group is known by what it may not do: no skill occurs twice in a record, skills hardly change from one snapshot to the
//! next, levels are 1 to 99, and behind the first empty group there is no other. The columns that are in the same place of
//! two groups have the same words.

use std::collections::{HashMap, HashSet};

use crate::wire::layout::{FieldPlace, FieldStyle};

use super::class::{is_null, is_null_or_zero, number};
use super::style::{Style, trim};
use super::table::{Row, Table};

/// Groups of skills.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Groups {
    /// The first column of the first group; with fixed width the first byte.
    pub(super) at: usize,
    /// Columns of a group, or bytes.
    pub(super) width: usize,
    /// Most groups of a record.
    pub(super) most: usize,
    /// All records have as many.
    pub(super) is_constant: bool,
    /// Where in a group the skill is, and its level. With fixed width the places of both.
    pub(super) skill: FieldPlace,
    pub(super) level: Option<FieldPlace>,
    /// What an empty group has instead of a skill, and instead of a level.
    pub(super) empty: Vec<String>,
    pub(super) empty_levels: Vec<String>,
    pub(super) confidence: f64,
    pub(super) evidence: String,
}

/// One row per agent and skill.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SkillRows {
    pub(super) skill: usize,
    pub(super) level: Option<usize>,
    pub(super) evidence: String,
}

/// Whether a value may be a level.
fn is_level(value: &[u8]) -> bool {
    number(value).is_some_and(|level| (1..=99).contains(&level))
}

/// Finds groups of skills behind the columns; none begins before `from`, a column or, with fixed width, a byte.
pub(super) fn groups(table: &Table<'_>, style: &Style, from: usize) -> Option<Groups> {
    if table.has_further_rows {
        return None;
    }
    match style.fields {
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => placed(table, style, from),
        FieldStyle::Whitespace => separated(table, from).filter(|groups| !are_loose_words(table, groups)),
        FieldStyle::Separator(_) => separated(table, from),
    }
}

/// Words of a name look like groups of one column, where blanks separate.
fn are_loose_words(table: &Table<'_>, groups: &Groups) -> bool {
    let has_letters = |value: &[u8]| !is_null_or_zero(value) && number(value).is_none();
    groups.level.is_none() && table.column(groups.at + groups.skill.at).any(has_letters)
}

fn separated(table: &Table<'_>, from: usize) -> Option<Groups> {
    let counts: HashSet<usize> = table.rows.iter().map(|row| row.cells.len()).collect();
    let least = counts.iter().min().copied()?;
    let is_constant = counts.len() == 1;
    // A separator behind the last field makes one that is always empty, and an empty group may look the same.
    let stripped = table.width.saturating_sub(1);
    let is_always_empty = is_constant && table.column(stripped).all(<[u8]>::is_empty);
    let ends = [Some(table.width), is_always_empty.then_some(stripped)].into_iter().flatten().filter(|end| *end > from);
    let columns: Vec<Facts<'_>> = (from..table.width).map(|column| Facts::of(table, column)).collect();
    let mut best: Option<Placed> = None;
    for end in ends {
        for width in 1..=4_usize {
            if !is_constant && !counts.iter().all(|count| (count - least).is_multiple_of(width)) {
                continue;
            }
            for skill in 0..width {
                let at = begin_of_groups(table, &columns, from, end, width, skill);
                let found = Placed { at, width, skill, groups: (end - at) / width };
                // The same columns are groups of twice the width too: the narrower ones are meant.
                let covers_more = best.as_ref().is_none_or(|known| found.covers() >= known.covers() + found.width);
                let is_filled = columns.get(at - from + skill).is_some_and(|facts| !facts.values.is_empty());
                if found.groups >= 2 && is_filled && covers_more && (is_constant || at <= least) {
                    best = Some(found);
                }
            }
        }
    }
    let Placed { at, width, skill, groups: most } = best?;
    let level = (0..width).filter(|part| *part != skill).find(|part| {
        let of_part = || (0..most).filter_map(|group| columns.get(at - from + group * width + part));
        let has_some = of_part().any(|facts| !facts.values.is_empty());
        has_some && of_part().all(|facts| facts.values.iter().all(|value| is_level(value)))
    });
    let spellings = |part: usize| -> Vec<String> {
        let of_part = (0..most).filter_map(|group| columns.get(at - from + group * width + part));
        let mut found: Vec<String> = Vec::new();
        for facts in of_part {
            for null in &facts.nulls {
                let text = String::from_utf8_lossy(null).into_owned();
                if !found.contains(&text) {
                    found.push(text);
                }
            }
        }
        found
    };
    let empty = spellings(skill);
    let empty_levels = level.map(spellings).unwrap_or_default();
    let filling = empty.first().map_or_else(String::new, |empty| format!(", empty ones read {empty:?}"));
    let number =
        if is_constant { format!("{most} groups") } else { format!("up to {most} groups, as many as the record has") };
    let evidence = format!(
        "{number} of {width} column{}{filling}; no skill twice in a record, and hardly a change{}",
        if width == 1 { "" } else { "s" },
        if level.is_some() { ", levels from 1 to 99" } else { "" }
    );
    let place = |at: usize| FieldPlace { at, width: 1 };
    Some(Groups {
        at,
        width,
        most,
        is_constant,
        skill: place(skill),
        level: level.map(place),
        empty,
        empty_levels,
        confidence: 0.95,
        evidence,
    })
}

/// Where groups may be.
struct Placed {
    at: usize,
    width: usize,
    skill: usize,
    groups: usize,
}

impl Placed {
    const fn covers(&self) -> usize {
        self.groups * self.width
    }
}

/// What counts about a column of a group.
struct Facts<'a> {
    /// What stands there, nothing and zeros excepted.
    values: HashSet<&'a [u8]>,
    nulls: Vec<&'a [u8]>,
    /// Share of rows that differ from the agent's row before.
    changes: f64,
}

impl<'a> Facts<'a> {
    fn of(table: &Table<'a>, column: usize) -> Self {
        let mut values = HashSet::new();
        let mut nulls: Vec<&[u8]> = Vec::new();
        for row in table.rows.iter().filter(|row| row.cells.len() > column) {
            let value = row.cell(column);
            if !is_null_or_zero(value) {
                values.insert(value);
            } else if !nulls.contains(&value) {
                nulls.push(value);
            }
        }
        let (mut pairs, mut changed) = (0, 0);
        for (before, after) in table.pairs() {
            pairs += 1;
            changed += usize::from(before.cell(column) != after.cell(column));
        }
        Self { values, nulls, changes: changed as f64 / f64::from(pairs.max(1)) }
    }

    /// Whether a column to the right of which these words stand in the same place of groups may belong to them.
    fn belongs_to(&self, words: &HashSet<&[u8]>) -> bool {
        if self.values.is_empty() || words.is_empty() {
            return true;
        }
        let are_numbers = |values: &HashSet<&[u8]>| values.iter().all(|value| number(value).is_some());
        let common = self.values.intersection(words).count();
        // The last groups are those of few agents.
        let fewer = self.values.len().min(words.len());
        // Words that have nothing in common are columns of their own: a name, a place.
        let is_rare = words.len() < 8 && (are_numbers(words) || common > 0);
        let is_known = is_rare || (common > 0 && (fewer < 16 || common * 8 >= fewer));
        // What stands in front of the groups may be small enough for a skill, but hardly for a level too.
        let are_levels = |values: &HashSet<&[u8]>| values.iter().all(|value| is_level(value));
        let is_as_small = !are_levels(words) || are_levels(&self.values);
        is_known && is_as_small && are_numbers(&self.values) == are_numbers(words)
    }
}

/// Returns the column of the first group of that form, `end` where not even the last columns are one.
fn begin_of_groups(
    table: &Table<'_>,
    columns: &[Facts<'_>],
    from: usize,
    end: usize,
    width: usize,
    skill: usize,
) -> usize {
    let facts = |column: usize| column.checked_sub(from).and_then(|index| columns.get(index));
    let mut begin = end;
    let mut words: Vec<HashSet<&[u8]>> = vec![HashSet::new(); width];
    while begin >= from + width {
        let next = begin - width;
        let is_group = (0..width).all(|part| {
            let Some(own) = facts(next + part) else { return false };
            let is_like_others = words.get(part).is_some_and(|words| own.belongs_to(words));
            let can_be_skill = part != skill || own.values.iter().all(|value| is_skill(value));
            own.changes <= 0.015 && is_like_others && can_be_skill
        });
        let skills = (next..end).step_by(width).map(|column| column + skill);
        if !is_group || !all_differ(table, &skills.collect::<Vec<_>>()) {
            break;
        }
        for (part, words) in words.iter_mut().enumerate() {
            words.extend(facts(next + part).iter().flat_map(|facts| facts.values.iter().copied()));
        }
        begin = next;
    }
    begin
}

/// Whether a value may be a skill: a number of CMS, or a word.
fn is_skill(value: &[u8]) -> bool {
    let is_null = is_null_or_zero(value);
    value.len() <= 40 && (number(value).is_none() || (value.len() <= 5 && (is_null || value.first() != Some(&b'0'))))
}

/// Whether no record has a value twice in these columns, and nothing behind an empty one.
fn all_differ(table: &Table<'_>, columns: &[usize]) -> bool {
    let mut twice = 0;
    let mut gaps = 0;
    for row in &table.rows {
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut is_over = false;
        for value in columns.iter().map(|column| row.cell(*column)) {
            if is_null_or_zero(value) {
                is_over = true;
                continue;
            }
            gaps += usize::from(is_over);
            twice += usize::from(seen.contains(&value));
            seen.push(value);
        }
    }
    twice * 200 <= table.rows.len() && gaps * 200 <= table.rows.len()
}

/// Groups of fixed width.
fn placed(table: &Table<'_>, style: &Style, from: usize) -> Option<Groups> {
    let longest = table.rows.iter().map(|row| row.line.bytes.trim_ascii_end().len()).max()?;
    let sample: Vec<&Row<'_>> = table.rows.iter().step_by((table.rows.len() / 1_500).max(1)).collect();
    let mut found: Vec<(usize, usize, Form)> = Vec::new();
    for place in style.places.iter().filter(|place| place.at >= from) {
        for width in 2..=24_usize {
            if place.at + width >= longest + width {
                continue;
            }
            if let Some(form) = form(&sample, place.at, width) {
                found.push((place.at, width, form));
            }
        }
    }
    // As much as possible is groups; of several widths the narrowest.
    let (at, width, form) = found.into_iter().min_by_key(|(at, width, _)| (*at, *width))?;
    if !is_stable(table, at) {
        return None;
    }
    let most = (longest - at).div_ceil(width);
    let lengths: HashSet<usize> = table.rows.iter().map(|row| row.line.bytes.len()).collect();
    let counted = if form.empty.is_empty() { 0 } else { (longest - at) / width };
    let (skill, level) = (form.skill, form.level);
    let evidence = format!(
        "groups of {width} bytes from byte {at} on{}; no skill twice in a record, and hardly a change{}",
        form.empty.first().map_or_else(String::new, |empty| format!(", empty ones read {empty:?}")),
        if level.is_some() { ", levels from 1 to 99" } else { "" }
    );
    let is_constant = lengths.len() == 1 && counted > 0;
    Some(Groups {
        at,
        width,
        most,
        is_constant,
        skill,
        level,
        empty: form.empty,
        empty_levels: form.empty_levels,
        confidence: 0.9,
        evidence,
    })
}

/// What groups of fixed width look like.
#[derive(Debug)]
struct Form {
    skill: FieldPlace,
    level: Option<FieldPlace>,
    empty: Vec<String>,
    empty_levels: Vec<String>,
}

/// Groups as bytes, for each record.
type Cut = Vec<Vec<Vec<u8>>>;

/// Returns the form of groups of that width from there to the end of each record, if they can be some.
fn form(rows: &[&Row<'_>], at: usize, width: usize) -> Option<Form> {
    let groups_of = |row: &Row<'_>| -> Vec<Vec<u8>> {
        let bytes = row.line.bytes.get(at..).unwrap_or_default().trim_ascii_end();
        let padded = |group: &[u8]| {
            let mut group = group.to_vec();
            group.resize(width, b' ');
            group
        };
        bytes.chunks(width).map(padded).collect()
    };
    let all: Cut = rows.iter().map(|row| groups_of(row)).collect();
    let with_two = all.iter().filter(|groups| groups.iter().filter(|group| !is_filling(group)).count() >= 2).count();
    if with_two * 10 < all.len() || all.iter().flatten().any(|group| group.first().is_none_or(|first| *first == b' ')) {
        return None;
    }
    let distinct: HashSet<&[u8]> = all.iter().flatten().map(Vec::as_slice).collect();
    let whole = FieldPlace { at: 0, width };
    let front = |width: usize| FieldPlace { at: 0, width };
    let back = |at: usize| FieldPlace { at, width: width - at };
    // One word in every group: there is no level. Else the widest part in front, which holds the padding.
    let alone = [(whole, None)].into_iter();
    let skill_first = (1..width).rev().map(|cut| (front(cut), Some(back(cut))));
    let level_first = (1..width).rev().map(|cut| (back(cut), Some(front(cut))));
    let (skill, level) = alone
        .chain(skill_first)
        .chain(level_first)
        .find(|(skill, level)| are_skills(&distinct, *skill, *level) && are_sets(&all, *skill))?;
    let spellings = |place: FieldPlace| -> Vec<String> {
        let nulls: HashSet<&[u8]> = distinct
            .iter()
            .map(|group| part(group, place))
            .filter(|text| !text.is_empty() && is_null_or_zero(text))
            .collect();
        let mut nulls: Vec<String> = nulls.into_iter().map(|null| String::from_utf8_lossy(null).into_owned()).collect();
        nulls.sort();
        nulls
    };
    Some(Form { skill, level, empty: spellings(skill), empty_levels: level.map(spellings).unwrap_or_default() })
}

fn part(group: &[u8], place: FieldPlace) -> &[u8] {
    trim(group.get(place.at..place.at + place.width).unwrap_or_default())
}

/// Whether each group has one word as its skill, and a level where there should be one.
fn are_skills(groups: &HashSet<&[u8]>, skill: FieldPlace, level: Option<FieldPlace>) -> bool {
    let is_word = |text: &[u8]| !text.is_empty() && !text.contains(&b' ') && is_skill(text);
    let may_be_level = |text: &[u8]| text.is_empty() || is_level(text) || is_null_or_zero(text);
    // Without a level, padding is all that tells one group from the next.
    let padded = groups.iter().filter(|group| group.last() == Some(&b' ')).count();
    if level.is_none() && padded * 10 < groups.len() * 9 {
        return false;
    }
    let fits =
        |group: &&[u8]| is_word(part(group, skill)) && level.is_none_or(|level| may_be_level(part(group, level)));
    groups.iter().all(fits) && level.is_none_or(|level| groups.iter().any(|group| is_level(part(group, level))))
}

/// Whether no record has a skill twice, nothing is behind an empty group, and first and second groups have the same skills.
fn are_sets(all: &Cut, skill: FieldPlace) -> bool {
    let mut repeated = 0;
    let mut behind_empty = 0;
    let mut words: [HashSet<&[u8]>; 2] = [HashSet::new(), HashSet::new()];
    for groups in all {
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut is_over = false;
        for (number, group) in groups.iter().enumerate() {
            let skill = part(group, skill);
            if is_null_or_zero(skill) {
                is_over = true;
                continue;
            }
            behind_empty += usize::from(is_over);
            repeated += usize::from(seen.contains(&skill));
            if let Some(words) = words.get_mut(number) {
                words.insert(skill);
            }
            seen.push(skill);
        }
    }
    let [first, second] = &words;
    let common = first.intersection(second).count();
    let fewer = first.len().min(second.len());
    repeated * 200 <= all.len() && behind_empty * 200 <= all.len() && common * 2 >= fewer && fewer > 0
}

fn is_filling(group: &[u8]) -> bool {
    trim(group).split(|byte| *byte == b' ').all(is_null_or_zero)
}

/// Whether what is behind that byte hardly changes.
fn is_stable(table: &Table<'_>, at: usize) -> bool {
    let tail = |row: &Row<'_>| row.line.bytes.get(at..).unwrap_or_default().trim_ascii_end().to_vec();
    let (mut pairs, mut changed) = (0, 0);
    for (before, after) in table.pairs() {
        pairs += 1;
        changed += usize::from(tail(before) != tail(after));
    }
    changed * 60 <= pairs
}

/// Finds the skill of a row where an agent has several rows in a snapshot.
pub(super) fn rows(table: &Table<'_>, columns: &[usize]) -> Option<SkillRows> {
    if !table.has_further_rows {
        return None;
    }
    let mut best: Option<(usize, f64)> = None;
    for &column in columns {
        let (mut further, mut differs, mut repeated) = (0, 0, 0);
        let mut seen: HashMap<(usize, usize), Vec<&[u8]>> = HashMap::new();
        for row in &table.rows {
            let values = seen.entry((row.agent, row.snapshot)).or_default();
            let value = row.cell(column);
            if !values.is_empty() {
                further += 1;
                differs += usize::from(values.last() != Some(&value));
                repeated += usize::from(values.contains(&value));
            }
            values.push(value);
        }
        let share = differs as f64 / f64::from(further.max(1)) - 2.0 * repeated as f64 / f64::from(further.max(1));
        let is_filled = table.column(column).filter(|value| is_null(value)).count() * 50 <= table.rows.len();
        let can_be_skill = table.column(column).take(2_000).all(is_skill);
        if share > 0.9 && is_filled && can_be_skill && best.is_none_or(|(_, known)| share > known + 0.01) {
            best = Some((column, share));
        }
    }
    let (skill, _) = best?;
    let level = columns.iter().copied().filter(|column| *column != skill).find(|column| {
        let mut of_skill: HashMap<(usize, &[u8]), &[u8]> = HashMap::new();
        let (mut other, mut varies) = (0, false);
        let mut of_agent: HashMap<(usize, usize), &[u8]> = HashMap::new();
        for row in &table.rows {
            let value = row.cell(*column);
            if !is_level(value) && !is_null_or_zero(value) {
                return false;
            }
            let known = of_skill.insert((row.agent, row.cell(skill)), value);
            other += usize::from(known.is_some_and(|known| known != value));
            varies |= of_agent.insert((row.agent, row.snapshot), value).is_some_and(|known| known != value);
        }
        varies && other * 50 <= table.rows.len()
    });
    let evidence = "an agent has several rows that follow each other, which differ in it".to_owned();
    Some(SkillRows { skill, level, evidence })
}

#[cfg(test)]
#[path = "skills_tests.rs"]
mod tests;
