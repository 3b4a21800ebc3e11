//! The columns of a layout and the groups of skills behind them: how each is written. Whether they fit together is checked by
//! [`super::layout_checks`].

use crate::wire::column::{Column, GroupPart, ValueKind};
use crate::wire::layout::{ColumnSpec, FieldPlace, Repeat, SkillGroups};
use crate::wire::moment;
use crate::wire::record::MOST_SKILLS;

use super::document::{Node, Value};
use super::problem::Origin;
use super::reader::{Slot, TableReader};
use super::schema;
use super::values;

/// A column and where it is written.
pub(super) struct WrittenColumn {
    pub(super) spec: ColumnSpec,
    pub(super) origin: Origin,
    /// `at` or `width` is given, if only one of them.
    pub(super) is_placed: bool,
}

/// Groups of skills and where they are written.
pub(super) struct WrittenSkills {
    pub(super) groups: SkillGroups,
    pub(super) columns: Vec<WrittenColumn>,
    pub(super) origin: Origin,
}

/// One item of `columns`: a name, or a table with `field`.
pub(super) fn column(slot: Slot<'_>) -> Option<WrittenColumn> {
    let origin = slot.node.origin.clone();
    let is_name = slot.as_text().is_some_and(|text| !(slot.node.origin.is_variable() && text.starts_with('{')));
    if is_name {
        let column = field(slot)?;
        return Some(WrittenColumn { spec: ColumnSpec::plain(column), origin, is_placed: false });
    }
    if !matches!(slot.node.value, Value::Table(_) | Value::Text(_)) {
        return slot.wrong("the name of a column, or { field = \"…\" }", None);
    }
    let table = TableReader::open(slot, schema::COLUMN);
    let column = table.required("field", "\"login_id\", or another column", field);
    let at = table.optional("at", values::integer(0..=usize::MAX));
    let width = table.optional("width", values::integer(1..=usize::MAX));
    let is_placed = table.has("at") || table.has("width");
    if table.has("at") != table.has("width") {
        slot.error::<()>(
            "at and width go together",
            Some("give both, in bytes or, with width_in, in characters".to_owned()),
        );
    }
    let column = column?;
    let format = table.optional("format", |slot| format(slot, column));
    let place = at.zip(width).map(|(at, width)| FieldPlace { at, width });
    let null = table.or("null", Vec::new(), values::list(values::text));
    Some(WrittenColumn { spec: ColumnSpec { column, null, place, format }, origin, is_placed })
}

fn field(slot: Slot<'_>) -> Option<Column> {
    values::choice(&Column::NAMES)(slot)
}

/// A form of times, with or without a date.
fn format(slot: Slot<'_>, column: Column) -> Option<String> {
    if column.properties().value != ValueKind::Time {
        return slot.error(
            format!("column {:?} holds no time", column.name()),
            Some(format!("only {} have a format", names(|column| column.properties().value == ValueKind::Time))),
        );
    }
    let form = values::filled_text(slot)?;
    match moment::check_format(&form) {
        Ok(()) => Some(form),
        Err(error) => slot.error(
            format!("{form:?} is no form of a time: {error}"),
            Some("write it like \"%d.%m.%Y %H:%M:%S\", or \"%H:%M:%S\" without a date".to_owned()),
        ),
    }
}

/// `skills = { columns = [...], repeat = ..., empty = ... }`.
pub(super) fn skills(slot: Slot<'_>) -> Option<WrittenSkills> {
    let table = TableReader::open(slot, schema::SKILLS);
    let columns = table.required("columns", "[\"skill\", \"level\"]", values::list(column));
    let repeat = table.required("repeat", "20, or \"rest\"", repeat);
    let empty = table.optional("empty", values::text);
    let at = table.optional("at", values::integer(0..=usize::MAX));
    let columns = columns?;
    check_group(slot, &columns);
    let specs = columns.iter().map(|column| column.spec.clone()).collect();
    let groups = SkillGroups { columns: specs, repeat: repeat.unwrap_or(Repeat::Rest), empty, at };
    Some(WrittenSkills { groups, columns, origin: slot.node.origin.clone() })
}

fn repeat(slot: Slot<'_>) -> Option<Repeat> {
    if slot.as_text() == Some("rest") {
        return Some(Repeat::Rest);
    }
    let is_number = matches!(slot.node.value, Value::Integer(_)) || slot.as_variable().is_some();
    if !is_number {
        return slot.wrong("a number of groups or \"rest\"", None);
    }
    values::integer(1..=MOST_SKILLS)(slot).map(Repeat::Times)
}

fn check_group(slot: Slot<'_>, columns: &[WrittenColumn]) {
    for written in columns {
        let column = written.spec.column;
        if column.properties().in_group.is_none() {
            let message = format!("column {:?} cannot repeat", column.name());
            let node = Node::new(written.origin.clone(), Value::Boolean(false));
            let hint = format!("a group has {} only", names(|column| column.properties().in_group.is_some()));
            Slot { node: &node, ..slot }.error::<()>(message, Some(hint));
        }
    }
    let count = |wanted| {
        let parts = columns.iter().filter_map(|written| written.spec.column.properties().in_group);
        parts.filter(|part| *part == wanted).count()
    };
    if count(GroupPart::Skill) != 1 || count(GroupPart::Level) > 1 {
        slot.error::<()>("a group has exactly one skill and at most one level", None);
    }
}

/// Returns the names of the columns of which this holds, as a list in a sentence.
fn names(holds: impl Fn(Column) -> bool) -> String {
    let names: Vec<&str> = Column::ALL.into_iter().filter(|column| holds(*column)).map(Column::name).collect();
    match names.as_slice() {
        [most @ .., last] if !most.is_empty() => format!("{} and {last}", most.join(", ")),
        few => few.concat(),
    }
}
