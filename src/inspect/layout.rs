//! The layout that an attempt comes to: what is sure enough of it, as configuration has it.

use crate::wire::column::Column;
use crate::wire::layout::{ColumnSpec, DEFAULT_MAX_RECORD, ExtraFields, FieldPlace, LayoutSpec, Repeat, SkillGroups};
use crate::wire::states::{Mode, StateCode, StateTable};
use crate::wire::words::Words;

use super::attempt::{Attempt, Given};
use super::class::is_null;
use super::lines::Role;
use super::state::Meaning;
use super::style::Style;

impl Attempt<'_> {
    /// Writes the layout; `None` where login id or state are not found.
    pub(super) fn layout(&self, given: &Given<'_>, style: &Style) -> Option<LayoutSpec> {
        let state = self.state.as_ref()?;
        self.login.as_ref()?;
        let is_fixed = style.fields.is_fixed();
        let groups_at = self.groups.as_ref().filter(|_| is_fixed).map(|groups| groups.at);
        let place = |index: usize| -> Option<FieldPlace> {
            let place = *style.places.get(index)?;
            let end = groups_at.map_or(place.at + place.width, |at| at.min(place.at + place.width));
            Some(FieldPlace { width: end.saturating_sub(place.at).max(1), ..place })
        };
        let mut columns = Vec::new();
        for index in 0..self.width {
            let guess = self.column(index);
            let column =
                if index == state.column { Column::State } else { guess.map_or(Column::Ignored, |guess| guess.column) };
            if is_fixed && column == Column::Ignored {
                continue;
            }
            columns.push(ColumnSpec {
                column,
                null: guess.map(|guess| guess.null.clone()).unwrap_or_default(),
                place: if is_fixed { place(index) } else { None },
                format: guess.and_then(|guess| guess.format.clone()),
            });
        }
        let states = match &state.meaning {
            Meaning::RtaCodes => StateTable::rta_codes(),
            Meaning::CmsNames => StateTable::cms_names(),
            Meaning::Own(rows) => {
                let rows = rows.iter().filter(|row| row.source.is_some() || row.code.mode != Mode::Unknown);
                let mut rows: Vec<_> =
                    rows.map(|row| (given.encoding.decode(&row.value).into_owned(), row.code)).collect();
                if rows.is_empty() {
                    // A table needs a row; the codes are listed as unknown.
                    let unknown = self.unknown_state(given)?;
                    rows.push(unknown);
                }
                StateTable::new(rows)
            }
        };
        let longest = given.lines.iter().map(|line| line.bytes.len()).max().unwrap_or(0);
        let patterns =
            |role: Role| self.others.iter().filter(move |other| other.role == role).map(|other| other.pattern.clone());
        let (skills, extra_fields) = self.skills(is_fixed);
        Some(LayoutSpec {
            encoding: given.encoding,
            framing: given.framing.clone(),
            max_record: if longest > DEFAULT_MAX_RECORD {
                longest.next_multiple_of(1_024) * 2
            } else {
                DEFAULT_MAX_RECORD
            },
            fields: style.fields,
            quote: style.quote,
            skip: patterns(Role::Header).collect(),
            marker: patterns(Role::Marker).next(),
            columns,
            skills,
            states,
            aux_reasons: Words::new(self.words.aux_reasons.iter().cloned()),
            directions: Words::new(self.words.directions.iter().cloned()),
            null: vec![String::new(), "N/A".to_owned()],
            extra_fields,
        })
    }

    fn unknown_state(&self, given: &Given<'_>) -> Option<(String, StateCode)> {
        let Meaning::Own(rows) = &self.state.as_ref()?.meaning else { return None };
        rows.first().map(|row| (given.encoding.decode(&row.value).into_owned(), row.code))
    }

    fn skills(&self, is_fixed: bool) -> (Option<SkillGroups>, ExtraFields) {
        let Some(groups) = &self.groups else {
            let counts: Vec<usize> = self.table.rows.iter().map(|row| row.cells.len()).collect();
            let varies = counts.iter().any(|count| *count != self.width);
            // With fixed width, columns that nobody needs are left out.
            let last = self.width.checked_sub(1);
            let ends_unread = last.is_some_and(|last| {
                self.column(last).is_none_or(|guess| guess.column == Column::Ignored)
                    && self.state.as_ref().is_none_or(|state| state.column != last)
            });
            let is_more = if is_fixed { ends_unread } else { varies };
            return (None, if is_more { ExtraFields::Ignore } else { ExtraFields::Error });
        };
        let at = |place: FieldPlace| is_fixed.then_some(place);
        // `empty` is one spelling; a level beside an empty skill must be nothing too.
        let empty = groups.empty.iter().find(|empty| !is_null(empty.as_bytes())).or_else(|| groups.empty.first());
        let other_nulls = |spellings: &[String]| -> Vec<String> {
            let others = spellings.iter().filter(|null| !matches!(null.as_str(), "" | "N/A"));
            others.cloned().collect()
        };
        let mut skill_nulls = other_nulls(&groups.empty);
        skill_nulls.retain(|null| Some(null) != empty);
        let mut level_nulls = other_nulls(&groups.empty_levels);
        level_nulls.retain(|null| Some(null) != empty);
        let skill = ColumnSpec { place: at(groups.skill), null: skill_nulls, ..ColumnSpec::plain(Column::Skill) };
        let level = groups.level.map(|level| ColumnSpec {
            place: at(level),
            null: level_nulls,
            ..ColumnSpec::plain(Column::Level)
        });
        let columns: Vec<ColumnSpec> = if is_fixed {
            [Some(skill), level].into_iter().flatten().collect()
        } else {
            let part = |part: usize| {
                if part == groups.skill.at {
                    skill.clone()
                } else {
                    let is_level = groups.level.is_some_and(|level| level.at == part);
                    level.clone().filter(|_| is_level).unwrap_or_else(|| ColumnSpec::plain(Column::Ignored))
                }
            };
            (0..groups.width).map(part).collect()
        };
        let is_exact = groups.is_constant && !is_fixed;
        let repeat = if is_exact { Repeat::Times(groups.most) } else { Repeat::Rest };
        let has_more = is_exact && self.table.width > groups.at + groups.most * groups.width;
        let spec = SkillGroups { columns, repeat, empty: empty.cloned(), at: is_fixed.then_some(groups.at) };
        (Some(spec), if has_more { ExtraFields::Ignore } else { ExtraFields::Error })
    }
}
