//! What a layout makes of the whole feed: the project's own decoder, record by record.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::Serialize;

use crate::time::Timestamp;
use crate::wire::decode::Decoder;
use crate::wire::escape::escape;
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;

use super::feed::{Cut, Feed};

/// What became of the lines of the feed.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Fit {
    /// Records that are valid.
    pub valid: usize,
    /// Records that are not.
    pub invalid: usize,
    /// Lines that the layout skips.
    pub skipped: usize,
    /// Markers.
    pub markers: usize,
    /// Why records are invalid, the most frequent reason first.
    pub misfits: Vec<Misfit>,
    /// Codes that the state table lacks, the most frequent one first.
    pub unknown_codes: Vec<UnknownCode>,
    /// Local times that do not occur in the zone.
    pub impossible_times: usize,
    /// Bytes at the ends of connections that are no whole record.
    pub left_over: usize,
}

/// Records that are invalid for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Misfit {
    /// As in dead letters, with the column.
    pub reason: String,
    /// How many.
    pub count: usize,
    /// The first ones.
    pub examples: Vec<Example>,
}

/// A line that does not fit.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// Its number, from 1, over all connections.
    pub line: usize,
    /// Text with `\xNN` for what is not printable.
    pub raw: String,
}

/// A code that the state table does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownCode {
    /// As it came.
    pub code: String,
    /// Records that have it.
    pub count: usize,
}

/// Lines of a reason that are shown.
const SHOWN: usize = 3;

/// Bytes of a line that are shown.
const SHOWN_BYTES: usize = 160;

/// Decodes all of `feed`, cut as `cut`, or no more than `most` lines of it.
pub(super) fn decode(feed: &Feed, cut: &Cut, plan: &Plan, most: usize) -> Fit {
    let mut fit = Fit { left_over: cut.left_over(feed), ..Fit::default() };
    let mut misfits: BTreeMap<String, Misfit> = BTreeMap::new();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    let mut decoder = Decoder::default();
    for (number, line) in cut.lines(feed).into_iter().enumerate().take(most) {
        match plan.lines().classify(line.bytes) {
            LineKind::Marker => fit.markers += 1,
            LineKind::Skipped => fit.skipped += 1,
            LineKind::Record => match decoder.decode(plan, line.bytes, line.at.unwrap_or(Timestamp::from_millis(0))) {
                Ok(decoded) => {
                    fit.valid += 1;
                    fit.impossible_times += usize::from(decoded.record.times.impossible > 0);
                    if !decoded.record.recognised {
                        *unknown.entry(decoded.record.raw_state.text().into_owned()).or_default() += 1;
                    }
                }
                Err(reason) => {
                    fit.invalid += 1;
                    let told = format!("{}: {reason}", reason.label());
                    let new = || Misfit { reason: told.clone(), count: 0, examples: Vec::new() };
                    let misfit = misfits.entry(told.clone()).or_insert_with(new);
                    misfit.count += 1;
                    if misfit.examples.len() < SHOWN {
                        let raw = escape(line.bytes.get(..line.bytes.len().min(SHOWN_BYTES)).unwrap_or_default());
                        misfit.examples.push(Example { line: number + 1, raw });
                    }
                }
            },
        }
    }
    fit.misfits = misfits.into_values().collect();
    fit.misfits.sort_by_key(|misfit| Reverse(misfit.count));
    fit.unknown_codes = unknown.into_iter().map(|(code, count)| UnknownCode { code, count }).collect();
    fit.unknown_codes.sort_by_key(|code| Reverse(code.count));
    fit
}
