//! What was found, for programs and people.

use serde::Serialize;

use crate::wire::column::Column;
use crate::wire::encoding::Encoding;
use crate::wire::layout::{FieldStyle, Framing, LayoutSpec};
use crate::wire::states::Mode;

use super::attempt::{Attempt, SURE_ENOUGH};
use super::feed::Feed;
use super::finding::Finding;
use super::fit::Fit;
use super::lines::OtherLines;
use super::profile::Profile;
use super::snapshots::{self, Snapshots};
use super::state::Meaning;
use super::style::Style;
use super::text::{self, Remarks, state_text};
use super::times::zone_text;

/// Everything that was found out about a feed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    /// Bytes that were looked at.
    pub bytes: usize,
    /// Lines that they are.
    pub lines: usize,
    /// How records end, as configuration spells it.
    pub framing: Finding<String>,
    /// How text is encoded, as configuration spells it.
    pub encoding: Finding<String>,
    /// How fields are told apart.
    pub fields: Finding<StyleReport>,
    /// Lines that are no records.
    pub other_lines: Vec<OtherLines>,
    /// Period and ends of snapshots.
    pub snapshots: Snapshots,
    /// The columns, groups of skills not counted.
    pub columns: Vec<ColumnReport>,
    /// Groups of skills.
    pub skills: Option<SkillsReport>,
    /// `rta-codes`, `cms-names` or `own`; `None` where no state was found.
    pub state_table: Option<String>,
    /// Values of the state column.
    pub states: Vec<StateReport>,
    /// Words of the AUX reason column that nobody has explained.
    pub unknown_reasons: Vec<String>,
    /// Zone for local times in the feed, a fixed distance from UTC.
    pub time_zone: Option<Finding<String>>,
    /// What each step showed.
    pub steps: Vec<StepReport>,
    /// What the layout makes of the feed; `None` where there is no layout.
    pub fit: Option<Fit>,
    /// The layout to start from; `None` where login id or state were not found.
    #[serde(skip)]
    pub layout: Option<LayoutSpec>,
    #[serde(skip)]
    remarks: Remarks,
}

/// How fields are told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StyleReport {
    /// `separator`, `whitespace` or `fixed`.
    pub kind: &'static str,
    /// The separator, as text.
    pub separator: Option<String>,
    /// The byte around quoted fields.
    pub quote: Option<String>,
}

/// A column.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ColumnReport {
    /// From 1.
    pub number: usize,
    /// With fixed width: first byte, from 0, and bytes.
    pub at: Option<usize>,
    /// See `at`.
    pub width: Option<usize>,
    /// What it most likely is; `-` where nothing is known.
    pub field: String,
    /// Whether the layout says so too, or leaves it out for lack of certainty.
    pub in_layout: bool,
    /// From 0 to 1.
    pub confidence: f64,
    /// Why.
    pub evidence: String,
    /// What else can be said.
    pub profile: Profile,
}

/// Groups of skills.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SkillsReport {
    /// The first column of the first group, from 1; with fixed width its first byte, from 0.
    pub at: usize,
    /// Columns of a group, or bytes.
    pub width: usize,
    /// Most groups of a record.
    pub most: usize,
    /// Whether a group has a level.
    pub has_level: bool,
    /// What an empty group has.
    pub empty: Option<String>,
    /// From 0 to 1.
    pub confidence: f64,
    /// Why.
    pub evidence: String,
}

/// A value of the state column.
#[derive(Clone, Debug, Serialize)]
pub struct StateReport {
    /// As it came.
    pub code: String,
    /// What it stands for, as configuration spells it; `None`: nobody knows.
    pub state: Option<String>,
    /// How that is known.
    pub source: String,
    /// Records that have it.
    pub count: usize,
}

/// What a step showed.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    /// The step.
    pub step: String,
    /// What changed from the step before, as column and values; empty where nothing did.
    pub changes: Vec<String>,
    /// Whether there was any record of the agent after it.
    pub seen: bool,
}

impl Inspection {
    /// Returns `[layout.NAME]`, with what is not certain as remarks.
    pub fn layout_text(&self, name: &str) -> Option<String> {
        self.layout.as_ref().map(|layout| text::layout(name, layout, &self.remarks))
    }
}

/// Returns the report of the best attempt.
pub(super) fn of(
    feed: &Feed,
    framing: Finding<Framing>,
    encoding: Finding<Encoding>,
    lines: usize,
    best: Attempt<'_>,
    zone: String,
    fit: Option<Fit>,
) -> Inspection {
    let decode = |bytes: &[u8]| encoding.value.decode(bytes).into_owned();
    let snapshots = snapshots::find(&best.table, &best.others, feed.has_times());
    let columns = columns(&best);
    let skills = skills(&best);
    let (state_table, states) = states(&best, &decode);
    let time_zone = best.zone.map(|minutes| {
        let evidence = format!(
            "local times are {} ahead of the times of receipt: if the site has clocks that change, name its zone instead",
            zone_text(minutes)
        );
        Finding::sure(zone.clone(), 0.8, evidence)
    });
    let steps = steps(&best);
    let remarks = remarks(&best, &snapshots, &columns, &states, time_zone.as_ref(), &encoding);
    Inspection {
        bytes: feed.len(),
        lines,
        framing: framing.map(|framing| match framing {
            Framing::Terminator(end) => format!("record_end = {:?}", decode(&end)),
            Framing::Length(length) => format!("record_length = {length}"),
        }),
        fields: best.style.clone().map(|style| style_report(&style, &decode)),
        encoding: encoding.clone().map(|encoding| text::encoding_name(encoding).to_owned()),
        other_lines: best.others.clone(),
        snapshots,
        columns,
        skills,
        state_table,
        states,
        unknown_reasons: best.words.unknown_reasons.clone(),
        time_zone,
        steps,
        fit,
        layout: best.spec,
        remarks,
    }
}

fn style_report(style: &Style, decode: &dyn Fn(&[u8]) -> String) -> StyleReport {
    let quote = style.quote.map(|quote| decode(&[quote]));
    match style.fields {
        FieldStyle::Separator(byte) => StyleReport { kind: "separator", separator: Some(decode(&[byte])), quote },
        FieldStyle::Whitespace => StyleReport { kind: "whitespace", separator: None, quote },
        FieldStyle::FixedWidth | FieldStyle::FixedCharacters => StyleReport { kind: "fixed", separator: None, quote },
    }
}

fn columns(best: &Attempt<'_>) -> Vec<ColumnReport> {
    let of_column = |index: usize| {
        let profile = best.profiles.get(&index)?.clone();
        let place = best.style.value.places.get(index);
        let state = best.state.as_ref().filter(|state| state.column == index);
        let login = best.login.as_ref().filter(|login| login.index == index);
        let guess = login.or_else(|| best.guesses.iter().find(|guess| guess.index == index));
        let (field, confidence, evidence) = match (state, guess) {
            (Some(state), _) => (Column::State, state.confidence, state.evidence.clone()),
            (None, Some(guess)) => (guess.column, guess.confidence, guess.evidence.clone()),
            (None, None) => (Column::Ignored, 0.0, described(&profile)),
        };
        Some(ColumnReport {
            number: index + 1,
            at: place.map(|place| place.at),
            width: place.map(|place| place.width),
            field: field.name().to_owned(),
            in_layout: text::is_read(field) && confidence >= SURE_ENOUGH || state.is_some() || login.is_some(),
            confidence,
            evidence,
            profile,
        })
    };
    (0..best.width).filter_map(of_column).collect()
}

/// What can be said of a column that is not understood.
fn described(profile: &Profile) -> String {
    if profile.constant {
        return "the same everywhere".to_owned();
    }
    let kind = if profile.numeric > 0.98 { "numbers" } else { "texts" };
    let moves = if profile.is_of_person() {
        "that agents keep".to_owned()
    } else {
        format!("that change in {:.1} % of an agent's records", profile.changes * 100.0)
    };
    format!("{} {kind} {moves}", profile.distinct)
}

fn skills(best: &Attempt<'_>) -> Option<SkillsReport> {
    let groups = best.groups.as_ref()?;
    let is_fixed = best.style.value.fields.is_fixed();
    Some(SkillsReport {
        at: if is_fixed { groups.at } else { groups.at + 1 },
        width: groups.width,
        most: groups.most,
        has_level: groups.level.is_some(),
        empty: groups.empty.first().cloned(),
        confidence: groups.confidence,
        evidence: groups.evidence.clone(),
    })
}

fn states(best: &Attempt<'_>, decode: &dyn Fn(&[u8]) -> String) -> (Option<String>, Vec<StateReport>) {
    let Some(state) = &best.state else { return (None, Vec::new()) };
    let name = match state.meaning {
        Meaning::RtaCodes => "rta-codes",
        Meaning::CmsNames => "cms-names",
        Meaning::Own(_) => "own",
    };
    let report = |(value, count): super::profile::Counted<'_>| {
        let (known, source) = match &state.meaning {
            Meaning::Own(rows) => {
                let row = rows.iter().find(|row| row.value == value);
                let source = row.and_then(|row| row.source.clone());
                (row.filter(|row| row.source.is_some()).map(|row| row.code), source)
            }
            builtin => {
                let code = builtin.of(value);
                (code, code.map(|_| name.to_owned()))
            }
        };
        let source = source.unwrap_or_else(|| "nobody knows".to_owned());
        StateReport { code: decode(value), state: known.map(|code| state_text(&code)), source, count }
    };
    let values = super::profile::values(&best.table, state.column);
    (Some(name.to_owned()), values.into_iter().map(report).collect())
}

fn steps(best: &Attempt<'_>) -> Vec<StepReport> {
    let mut reports = Vec::new();
    let mut before: Option<&Vec<String>> = None;
    for (action, previous, cells) in &best.seen {
        if previous.is_none() {
            before = None;
        }
        let changes =
            before.zip(cells.as_ref()).map(|(before, after)| changes(best, before, after)).unwrap_or_default();
        reports.push(StepReport { step: action.name(), changes, seen: cells.is_some() });
        before = cells.as_ref().or(before);
    }
    reports
}

/// What differs between two rows of an agent, times left out.
fn changes(best: &Attempt<'_>, before: &[String], after: &[String]) -> Vec<String> {
    let name = |index: usize| {
        if best.state.as_ref().is_some_and(|state| state.column == index) {
            return "state".to_owned();
        }
        best.column(index).map_or_else(|| format!("column {}", index + 1), |guess| guess.column.name().to_owned())
    };
    let is_clock = |index: usize| {
        let column = best.guesses.iter().find(|guess| guess.index == index).map(|guess| guess.column);
        matches!(column, Some(Column::Duration | Column::Timestamp | Column::StateStart))
    };
    let differing = before.iter().zip(after).enumerate().filter(|(index, (was, is))| was != is && !is_clock(*index));
    differing.map(|(index, (was, is))| format!("{} {was:?} -> {is:?}", name(index))).collect()
}

/// Returns what stands beside the layout.
fn remarks(
    best: &Attempt<'_>,
    snapshots: &Snapshots,
    columns: &[ColumnReport],
    states: &[StateReport],
    time_zone: Option<&Finding<String>>,
    encoding: &Finding<Encoding>,
) -> Remarks {
    let mut head = vec![
        "Guessed by `rtalink inspect`: a layout to start from.".to_owned(),
        format!("[integration.realtime] mode = {:?}, snapshot_end = {:?}", snapshots.mode, snapshots.end),
    ];
    if let Some(zone) = time_zone {
        head.push(format!("[[integration]] time_zone = {:?}: {}", zone.value, zone.evidence));
    }
    if encoding.confidence < 0.9 {
        head.push(format!("encoding: {}", encoding.evidence));
    }
    let is_fixed = best.style.value.fields.is_fixed();
    let remark = |column: &ColumnReport| {
        if column.in_layout {
            return if column.confidence < 0.9 {
                format!("{:.0} % sure: {}", column.confidence * 100.0, column.evidence)
            } else {
                String::new()
            };
        }
        if column.field == "-" {
            format!("{}: {}", column.number, column.evidence)
        } else {
            format!("perhaps {}: {}", column.field, column.evidence)
        }
    };
    let written = columns.iter().filter(|column| !is_fixed || column.in_layout);
    let unknown = states.iter().filter(|state| state.state.is_none());
    for state in unknown {
        head.push(format!("state {:?}, in {} records: nobody knows what it means", state.code, state.count));
    }
    for word in &best.words.unknown_reasons {
        head.push(format!("AUX reason {word:?}: needs a number in aux_reasons"));
    }
    let guessed =
        states.iter().filter(|state| state.state.as_ref().is_some_and(|text| !text.starts_with(Mode::Unknown.name())));
    Remarks {
        head,
        columns: written.map(remark).collect(),
        states: guessed.map(|state| (state.code.clone(), state.source.clone())).collect(),
    }
}
