//! The cells of a list: ids without white space around them, and nothing in them that nobody sees.

use super::sheet::{Occurrences, Row, RowProblem};
use super::{lookalike, spelling};

/// Returns the values of a row without white space around them, which is counted.
pub(super) fn values<'r, const N: usize>(row: &'r Row<'_, N>, trimmed: &mut Occurrences) -> [&'r str; N] {
    let mut count = 0;
    let values = std::array::from_fn(|column| {
        let value = row.value(column);
        let rest = spelling::trim(value);
        count += usize::from(rest != value);
        spelling::trim(lookalike::unwrapped(rest))
    });
    trimmed.add(row.line, count);
    values
}

pub(super) fn trimmed_remark(trimmed: &Occurrences) -> Option<RowProblem> {
    trimmed.remark(|values| format!("white space around {values} is left out"))
}

/// Checks an id.
pub(super) fn usable<const N: usize>(
    row: &Row<'_, N>,
    column: usize,
    id: &str,
    spoilt: impl Fn(&str) -> Option<String>,
) -> Result<(), RowProblem> {
    if id.is_empty() {
        return Err(row.problem(column, "is empty: fill it in, or delete the row"));
    }
    if let Some(c) = spelling::invisible(id) {
        let what = format!("has the invisible character U+{:04X} in it: write it without", u32::from(c));
        return Err(row.problem(column, &what));
    }
    spoilt(id).map_or(Ok(()), |what| Err(row.problem(column, &what)))
}

/// What is wrong with a key that is in two lines.
pub(super) fn again(before: u64, key: &str, id: &str) -> String {
    format!("the {key} of line {before} is here again, with another {id}: one of the two lines has to go")
}

pub(super) fn odd_blanks_remark(odd_blanks: &Occurrences, key: &str) -> Option<RowProblem> {
    odd_blanks.remark(|values| {
        let inside = "two blanks in a row, or white space other than blanks";
        format!("{values} of {key} with {inside}, which the feed must have too")
    })
}
