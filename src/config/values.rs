//! Conversions of single values: each adds a problem that names what it expected, and returns `None`.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use crate::mapping::spelling;

use super::document::{Node, Value};
use super::reader::Slot;
use super::schema::nearest;
use super::units;

/// Any text.
pub(super) fn text(slot: Slot<'_>) -> Option<String> {
    let Some(text) = slot.as_text() else {
        let is_scalar = matches!(slot.node.value, Value::Integer(_) | Value::Float(_) | Value::Boolean(_));
        return slot.wrong("text", is_scalar.then(|| "put it in quotes".to_owned()));
    };
    Some(text.to_owned())
}

/// Text that is not empty.
pub(super) fn filled_text(slot: Slot<'_>) -> Option<String> {
    let text = text(slot)?;
    if text.trim().is_empty() { slot.error("is empty", None) } else { Some(text) }
}

/// An id from a mapping, as its files spell it: with nothing around it and no invisible characters in it.
pub(super) fn mapping_id(slot: Slot<'_>) -> Option<String> {
    let text = filled_text(slot)?;
    let id = spelling::trim(&text);
    if id.is_empty() {
        return slot.error("is empty", None);
    }
    if let Some(c) = spelling::invisible(id) {
        let message = format!("has the invisible character U+{:04X} in it", u32::from(c));
        return slot.error(message, Some("write it without".to_owned()));
    }
    if id != text {
        slot.warning("has white space around it, which is left out");
    }
    Some(id.to_owned())
}

pub(super) fn boolean(slot: Slot<'_>) -> Option<bool> {
    match (&slot.node.value, slot.as_variable()) {
        (Value::Boolean(value), _) => Some(*value),
        (_, Some("true")) => Some(true),
        (_, Some("false")) => Some(false),
        _ => slot.wrong("true or false", None),
    }
}

/// A whole number within `range`.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(Slot<'_>) -> Option<T>
where
    T: TryFrom<i64> + FromStr + PartialOrd + Display,
{
    move |slot| {
        let number = match (&slot.node.value, slot.as_variable()) {
            (Value::Integer(number), _) => T::try_from(*number).ok(),
            (_, Some(text)) => text.parse().ok(),
            _ => None,
        };
        if let Some(number) = number.filter(|number| range.contains(number)) {
            return Some(number);
        }
        let quoted = slot.as_text().is_some_and(|text| text.parse::<T>().is_ok()) && slot.as_variable().is_none();
        let hint = quoted.then(|| "write it without quotes".to_owned());
        slot.wrong(&format!("a whole number from {} to {}", range.start(), range.end()), hint)
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(choices: &[(&str, T)]) -> impl Fn(Slot<'_>) -> Option<T> {
    move |slot| {
        let found = slot.as_text().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        if let Some((_, value)) = found {
            return Some(*value);
        }
        let hint = slot.as_text().and_then(|text| nearest(text, choices.iter().map(|(name, _)| *name)));
        let names: Vec<String> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
        slot.wrong(&one_of(&names), hint.map(|name| format!("did you mean {name:?}?")))
    }
}

fn one_of(names: &[String]) -> String {
    match names {
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
        [] => String::new(),
    }
}

pub(super) fn duration(slot: Slot<'_>) -> Option<Duration> {
    let parsed = slot.as_text().and_then(|text| units::duration(text.trim()));
    if parsed.is_some() {
        return parsed;
    }
    let bare = match &slot.node.value {
        Value::Integer(number) => Some(number.to_string()),
        Value::Text(text) => Some(text.trim().to_owned()).filter(|text| text.parse::<u64>().is_ok()),
        _ => None,
    };
    slot.wrong(
        units::DURATION_FORM,
        bare.filter(|_| !slot.node.secret).map(|number| format!("did you mean \"{number}s\"?")),
    )
}

/// A duration that is not zero.
pub(super) fn positive_duration(slot: Slot<'_>) -> Option<Duration> {
    let duration = duration(slot)?;
    if duration.is_zero() { slot.error("must be longer than zero", None) } else { Some(duration) }
}

/// A number of bytes, at least one.
pub(super) fn size(slot: Slot<'_>) -> Option<usize> {
    let bytes = match &slot.node.value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Text(text) => units::size(text.trim()),
        _ => None,
    };
    let Some(bytes) = bytes.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return slot.wrong(units::SIZE_FORM, None);
    };
    if bytes == 0 { slot.error("must be at least one byte", None) } else { Some(bytes) }
}

/// A file or folder; a relative one is relative to `folder`.
pub(super) fn path(folder: &Path) -> impl Fn(Slot<'_>) -> Option<PathBuf> {
    move |slot| filled_text(slot).map(|text| folder.join(text))
}

/// Anything with a `FromStr`.
pub(super) fn parsed<T: FromStr>(expected: &str) -> impl Fn(Slot<'_>) -> Option<T> {
    move |slot| match slot.as_text().and_then(|text| text.trim().parse().ok()) {
        Some(value) => Some(value),
        None => slot.wrong(expected, None),
    }
}

/// A list; of a variable, comma-separated text or a TOML array. Items that are wrong are left out.
pub(super) fn list<T>(convert: impl Fn(Slot<'_>) -> Option<T>) -> impl Fn(Slot<'_>) -> Option<Vec<T>> {
    move |slot| {
        let Some(items) = items(slot) else { return slot.wrong("a list", None) };
        let item_slot = |node| Slot { node, ..slot };
        Some(items.iter().filter_map(|node| convert(item_slot(node))).collect())
    }
}

fn items(slot: Slot<'_>) -> Option<Vec<Node>> {
    if let Value::List(items) = &slot.node.value {
        return Some(items.clone());
    }
    if let Ok(Some(Node { value: Value::List(items), .. })) = slot.node.expanded() {
        return Some(items);
    }
    let part = |text: &str| Node { value: Value::Text(text.trim().to_owned()), ..slot.node.clone() };
    let text = slot.as_variable().filter(|text| !text.starts_with('['))?;
    Some(text.split(',').filter(|part| !part.trim().is_empty()).map(part).collect())
}
