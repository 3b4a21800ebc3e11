//! Whom a record is about: the column of login ids.

use std::collections::HashMap;

use crate::wire::column::Column;

use super::guess::Guess;
use super::steps::Step;
use super::table::{self, Table};

/// Finds the column of login ids.
pub(super) fn find(table: &Table<'_>, steps: &[Step], titles: &HashMap<usize, Column>) -> Option<Guess> {
    if let Some(step) = steps.first() {
        let ids: Vec<&[u8]> = steps.iter().map(|step| step.login_id.as_bytes()).collect();
        let has_all = |column: &usize| ids.iter().all(|id| table.column(*column).any(|value| value == *id));
        let mut having: Vec<usize> = (0..table.width).filter(has_all).collect();
        let identities = table::identities(table);
        let regular = |column: &usize| identities.iter().find(|found| found.0 == *column).map_or(0.0, |found| found.1);
        having.sort_by(|one, other| regular(other).total_cmp(&regular(one)));
        if let Some(column) = having.first() {
            let evidence = format!("has {:?}, who took the steps", step.login_id);
            return Some(Guess::new(*column, Column::LoginId, 0.99, evidence));
        }
    }
    let found = table::identities(table);
    let best = found.first()?.1;
    let good: Vec<&(usize, f64, usize)> =
        found.iter().filter(|found| found.1 >= 0.85 * best && found.1 > 0.25).collect();
    let most = found.first()?.2;
    let complete = good.iter().filter(|found| found.2 * 10 >= most * 9);
    let liking = |column: usize| -> f64 {
        let values = table.column(column).take(500);
        let is_id = |value: &[u8]| value.len() <= 20 && !value.contains(&b' ') && !value.contains(&b',');
        let has_digits = |value: &[u8]| value.iter().any(u8::is_ascii_digit);
        let (mut ids, mut with_digits, mut all) = (0.0, 0.0, 0.0);
        for value in values {
            all += 1.0;
            ids += f64::from(is_id(value));
            with_digits += f64::from(has_digits(value));
        }
        let named = match titles.get(&column) {
            Some(Column::LoginId) => 2.0,
            Some(Column::Name | Column::Extension) => -2.0,
            _ => 0.0,
        };
        (ids + with_digits) / f64::max(all, 1.0) + named
    };
    let scored = complete.map(|found| (liking(found.0), found));
    let (_, (column, regular, distinct)) =
        scored.reduce(|best, other| if other.0 > best.0 + 0.05 { other } else { best })?;
    let named = if titles.get(column) == Some(&Column::LoginId) { "; the header calls it so" } else { "" };
    let rivals = good.iter().filter(|found| found.0 != *column && found.2 * 10 >= most * 9).count();
    let first = if rivals > 0 && named.is_empty() { "; others identify agents too, and it comes first" } else { "" };
    let evidence = format!("{distinct} values that come back in the same rounds{named}{first}");
    let confidence = if rivals > 0 && named.is_empty() { 0.8 } else { 0.95 } * regular.max(0.5);
    Some(Guess::new(*column, Column::LoginId, confidence, evidence))
}
