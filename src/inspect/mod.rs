//! Finds the layout of a recorded feed.
//!
//! There is no public byte layout of Generic RTA, so whoever connects a site begins with bytes of which nobody can say what
//! they mean. This module says what can be known from the bytes alone, with the evidence and how sure it is, and writes a
//! layout to start from. What a feed calls its states can often not be known from bytes; then somebody logs in, goes through
//! the states and writes down when ([`Step`]).
//!
//! Pure: bytes and times are arguments. The order of the work:
//!
//! ```text
//! bytes -- framing --> lines -- separator or fixed --> rows and cells -- agents, snapshots --> columns --> layout -- decoder --> fit
//! ```
//!
//! Where a step is not certain, several ways are tried, and the one that leads to the best reading counts. A guess that is not
//! sure enough is a remark beside the layout and not a part of it.
//!
//! ```
//! use rtalink::inspect::{Feed, inspect};
//!
//! let feed = Feed::raw(b"4711|ACD|12\n4712|AVAIL|7\n4711|ACD|15\n4712|AUX|2\n4711|ACW|1\n4712|AUX|5\n");
//! let found = inspect(&feed, &[]).expect("a feed");
//! let layout = found.layout_text("acme").expect("a layout");
//! assert!(layout.contains("separator = \"|\""));
//! assert!(layout.contains("\"login_id\""));
//! ```

mod attempt;
mod by_steps;
mod class;
mod columns;
mod doubts;
mod encoding;
mod feed;
mod finding;
mod fit;
mod fixed;
mod framing;
mod guess;
mod layout;
mod lines;
mod login;
mod print;
mod profile;
mod report;
mod separator;
mod skills;
mod snapshots;
mod state;
mod steps;
mod style;
mod table;
pub mod text;
mod times;
mod trial;
mod words;
mod work;

pub use feed::Feed;
pub use finding::Finding;
pub use fit::{Example, Fit, Misfit, UnknownCode};
pub use lines::{OtherLines, Role};
pub use profile::Profile;
pub use report::{ColumnReport, Inspection, SkillsReport, StateReport, StepReport, StyleReport};
pub use snapshots::Snapshots;
pub use steps::{Action, Step, StepsError, parse as parse_steps};

use crate::wire::plan::Plan;

use attempt::{Attempt, Given};
use style::Style;

/// Most ways to take records apart that are tried.
const ATTEMPTS: usize = 3;

/// Lines that are looked at to find the separator.
const SAMPLE: usize = 3_000;

/// Why nothing can be said of a feed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Not one byte.
    #[error("the feed has no bytes: was anything received while it was recorded?")]
    Empty,
    /// Neither an end of records nor a length.
    #[error("no end of records is found in {bytes} bytes, and no length that they have: record more of the feed")]
    NoRecords {
        /// How many were looked at.
        bytes: usize,
    },
    /// There are lines, and none looks like another.
    #[error("of {lines} lines no two have the same form: this is no report of agents, or too little of one")]
    NoForm {
        /// How many there are.
        lines: usize,
    },
}

/// Finds the layout of `feed`; `steps` are what agents did on purpose meanwhile.
///
/// # Errors
/// When there is nothing that looks like records. That columns are not understood is no error: the result says so.
pub fn inspect(feed: &Feed, steps: &[Step]) -> Result<Inspection, InspectError> {
    if feed.is_empty() {
        return Err(InspectError::Empty);
    }
    let framing = framing::find(feed).ok_or(InspectError::NoRecords { bytes: feed.len() })?;
    let cut = feed.cut(&framing.value);
    let all = cut.lines(feed);
    let encoding = encoding::find(all.iter().map(|line| line.bytes));
    let lines = &all[..all.len().min(table::SAMPLE)];
    let given = Given { feed, lines, framing: &framing.value, encoding: encoding.value, steps };
    let styles = styles(&given);
    let attempts = styles.into_iter().map(|style| trial::make(&given, style));
    let best = attempts.filter(|attempt| !attempt.table.rows.is_empty()).reduce(better);
    let best = best.ok_or(InspectError::NoForm { lines: all.len() })?;
    let zone = best.zone.and_then(times::zone_name).unwrap_or_else(|| "UTC".to_owned());
    let plan = best.spec.as_ref().and_then(|spec| Plan::compile(spec, &zone).ok());
    let fit = plan.map(|plan| fit::decode(feed, &cut, &plan, usize::MAX));
    Ok(report::of(feed, framing.clone(), encoding, all.len(), best, zone, fit))
}

/// Of two equally good ones the first counts: it is the likelier one before all is known.
fn better<'g>(one: Attempt<'g>, other: Attempt<'g>) -> Attempt<'g> {
    if other.score > one.score + 0.05 { other } else { one }
}

/// Returns the ways to take records apart that are worth a try, the likeliest one first.
fn styles(given: &Given<'_>) -> Vec<Finding<Style>> {
    let step = (given.lines.len() / SAMPLE).max(1);
    let sample: Vec<&[u8]> = given.lines.iter().step_by(step).map(|line| line.bytes).collect();
    let likely = separator::likely_records(&sample);
    let candidates = separator::candidates(&likely);
    let is_clear = candidates.first().is_some_and(|first| first.is_clear);
    let mut styles: Vec<Finding<Style>> =
        candidates.into_iter().take(if is_clear { 1 } else { ATTEMPTS }).map(|candidate| candidate.style).collect();
    let places = fixed::places(&likely, None);
    if !is_clear && places.len() >= 2 {
        let evidence =
            format!("no byte separates well; values begin at the same {} places in all records", places.len());
        styles.push(Finding::sure(Style::fixed(places), 0.8, evidence));
    }
    styles
}
