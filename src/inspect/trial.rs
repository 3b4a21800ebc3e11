//! One attempt to read the feed: with one way to take records apart, everything else follows.
//!
//! Records, agents and snapshots, skills, times, the state, the other columns, in this order: each step uses what is known by
//! then. The result is a layout; how much of the feed it can read decides between attempts.

use std::collections::HashMap;
use std::sync::Arc;

use crate::wire::column::Column;
use crate::wire::plan::Plan;

use super::attempt::{Attempt, Given, SURE_ENOUGH};
use super::class::{Shape, is_null};
use super::columns;
use super::feed::Line;
use super::finding::Finding;
use super::fixed;
use super::guess::{Guess, Known};
use super::lines::{self, OtherLines, Role};
use super::login;
use super::profile::{Profile, values};
use super::skills;
use super::state::{self, StateGuess};
use super::steps::{self, Seen};
use super::style::Style;
use super::table::{self, Table};
use super::times::{self, TimeColumn, TimeKind};
use super::words;

/// Makes the attempt.
pub(super) fn make<'g>(given: &Given<'g>, style: Finding<Style>) -> Attempt<'g> {
    let Finding { value: mut taken_apart, confidence, evidence } = style;
    let is_fixed = taken_apart.fields.is_fixed();
    let mut reading = Reading::of(given, &taken_apart);
    if is_fixed {
        // Who a record is about says which columns change, and that where others begin.
        for _ in 0..2 {
            let records: Vec<&[u8]> = reading.table.rows.iter().map(|row| row.line.bytes).collect();
            let agents: Vec<usize> = reading.table.rows.iter().map(|row| row.agent).collect();
            let places = fixed::places(&records, reading.login.is_some().then_some(agents.as_slice()));
            if places == taken_apart.places || places.is_empty() {
                break;
            }
            taken_apart = Style::fixed(places);
            reading = Reading::of(given, &taken_apart);
        }
    }
    let mut attempt = understand(given, reading, &taken_apart);
    attempt.style = Finding::sure(taken_apart, confidence, evidence);
    attempt
}

/// The feed as a table, and who its records are about.
struct Reading<'g> {
    table: Table<'g>,
    others: Vec<OtherLines>,
    login: Option<Guess>,
    titles: HashMap<usize, Column>,
}

impl<'g> Reading<'g> {
    fn of(given: &Given<'g>, style: &Style) -> Self {
        let is_record = lines::records(given.lines, style);
        let others = lines::others(given.lines, &is_record, given.feed.has_times());
        let rows = given.lines.iter().zip(&is_record).filter(|(_, is_record)| **is_record);
        let mut table = Table::new(rows.map(|(line, _)| (*line, style.cells(line.bytes))));
        let titles = titles(given, style, &is_record);
        let login = login::find(&table, given.steps, &titles);
        if let Some(login) = &login {
            table.identify(login.index, &boundaries(given, &is_record, &others));
        }
        Self { table, others, login, titles }
    }
}

/// Returns the titles of columns, from the header line that has most of them.
fn titles(given: &Given<'_>, style: &Style, is_record: &[bool]) -> HashMap<usize, Column> {
    let headers = given.lines.iter().zip(is_record).filter(|(_, is_record)| !**is_record).take(50);
    let of_line = |line: &Line<'_>| -> HashMap<usize, Column> {
        let cells = style.cells(line.bytes);
        let named = cells
            .iter()
            .enumerate()
            .filter_map(|(index, cell)| Some((index, words::title(&given.encoding.decode(cell))?)));
        named.collect()
    };
    let best = headers.map(|(line, _)| of_line(line)).max_by_key(HashMap::len).unwrap_or_default();
    if best.len() >= 2 { best } else { HashMap::new() }
}

/// Returns where markers are: the lines that end snapshots.
fn boundaries(given: &Given<'_>, is_record: &[bool], others: &[OtherLines]) -> Vec<(usize, u64)> {
    let marker = others.iter().find(|other| other.role == Role::Marker);
    let Some(expression) = marker.and_then(|marker| crate::wire::lines::expression(&marker.pattern).ok()) else {
        return Vec::new();
    };
    let lines =
        given.lines.iter().zip(is_record).filter(|(line, is_record)| !**is_record && expression.is_match(line.bytes));
    lines.map(|(line, _)| (line.connection, line.offset)).collect()
}

/// Finds out what the columns are, and writes the layout.
fn understand<'g>(given: &Given<'g>, reading: Reading<'g>, style: &Style) -> Attempt<'g> {
    let Reading { table, others, login, titles } = reading;
    let decode = |bytes: &[u8]| given.encoding.decode(bytes).into_owned();
    let is_fixed = style.fields.is_fixed();
    let after_login = login.as_ref().map_or(1, |login| {
        if is_fixed { style.places.get(login.index).map_or(1, |place| place.at + 1) } else { login.index + 1 }
    });
    let groups = login.as_ref().and_then(|_| skills::groups(&table, style, after_login));
    let width = match &groups {
        Some(groups) if is_fixed => style.places.iter().filter(|place| place.at < groups.at).count(),
        Some(groups) => groups.at,
        None => table.rows.iter().map(|row| row.cells.len()).min().unwrap_or(0).max(if is_fixed {
            style.places.len()
        } else {
            0
        }),
    };
    let profiles: HashMap<usize, Profile> =
        (0..width).map(|column| (column, Profile::of(&table, column, decode))).collect();
    let seen: Vec<Seen<'_>> =
        login.as_ref().map(|login| steps::seen(&table, login.index, given.steps)).unwrap_or_default();
    let free = |taken: &[usize]| -> Vec<usize> { (0..width).filter(|column| !taken.contains(column)).collect() };
    let mut taken: Vec<usize> = login.iter().map(|login| login.index).collect();
    let skill_rows = skills::rows(&table, &free(&taken));
    taken.extend(skill_rows.iter().flat_map(|rows| [Some(rows.skill), rows.level]).flatten());
    let told_times = times::find(&table, &free(&taken));
    taken.extend(told_times.iter().map(|time| time.column));
    let state = {
        let titled = titles.iter().find(|(_, column)| **column == Column::State).map(|(index, _)| *index);
        let known = state::Known {
            table: &table,
            profiles: &profiles,
            times: &told_times,
            seen: &seen,
            titled,
            decode: &decode,
        };
        login.as_ref().and_then(|_| state::find(&known, &free(&taken)))
    };
    taken.extend(state.iter().map(|state| state.column));
    let known = Known {
        table: &table,
        profiles: &profiles,
        state: state.as_ref(),
        groups: groups.as_ref(),
        skill_row: skill_rows.as_ref().map(|rows| rows.skill),
        style,
        seen: &seen,
        titles: &titles,
        decode: &decode,
    };
    let (mut guesses, own_words) = columns::find(&known, &free(&taken));
    let (of_times, zone) = time_guesses(&table, told_times);
    guesses.extend(of_times);
    guesses.extend(
        skill_rows
            .iter()
            .flat_map(|rows| {
                let skill = Guess::new(rows.skill, Column::Skill, 0.95, rows.evidence.clone());
                let level = rows
                    .level
                    .map(|level| Guess::new(level, Column::Level, 0.9, "1 to 99, one for each agent and skill"));
                [Some(skill), level]
            })
            .flatten(),
    );
    let has_reason = guesses.iter().any(|guess| guess.column == Column::AuxReason && guess.confidence >= SURE_ENOUGH);
    let state = state.map(|state| StateGuess { meaning: columns::without_columns(state.meaning, has_reason), ..state });
    let seen = seen.iter().map(|seen| {
        let cells = seen.cells.as_ref().map(|cells| cells.iter().map(|cell| decode(cell)).collect());
        (seen.action, seen.previous, cells)
    });
    let seen = seen.collect();
    let mut attempt = Attempt {
        style: Finding::sure(style.clone(), 0.0, ""),
        table,
        others,
        profiles,
        login,
        state,
        guesses,
        groups,
        words: own_words,
        zone,
        seen,
        width,
        spec: None,
        score: 0.0,
    };
    attempt.spec = attempt.layout(given, style);
    attempt.score = attempt.rate(given);
    attempt
}

/// Makes guesses of the columns that tell time: of each kind the best one.
fn time_guesses(table: &Table<'_>, told: Vec<TimeColumn>) -> (Vec<Guess>, Option<i64>) {
    let mut guesses: Vec<Guess> = Vec::new();
    let mut zone = None;
    for time in told {
        let (column, format, minutes) = match time.kind {
            TimeKind::Duration => (Column::Duration, None, None),
            // Nothing of ours: the time since the log-in.
            TimeKind::LongDuration => (Column::Ignored, None, None),
            TimeKind::Timestamp(format, minutes) => (Column::Timestamp, format, minutes),
            TimeKind::StateStart(format, minutes) => (Column::StateStart, format, minutes),
        };
        let rival = guesses.iter().position(|guess| guess.column == column && column != Column::Ignored);
        if let Some(rival) = rival {
            if guesses[rival].confidence >= time.confidence {
                continue;
            }
            guesses.remove(rival);
        }
        zone = zone.or(minutes);
        let mut guess = Guess::new(time.column, column, time.confidence, time.evidence);
        guess.format = format;
        let can_be_read = |value: &[u8]| match column {
            Column::Duration => times::seconds(value).is_some(),
            _ => value.len() >= 4,
        };
        let nulls = values(table, time.column).into_iter().map(|(value, _)| value);
        let nulls = nulls.filter(|value| (is_null(value) || *value == b"0") && !can_be_read(value));
        guess.null = nulls
            .filter(|value| !matches!(*value, b"" | b"N/A"))
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect();
        guesses.push(guess);
    }
    (guesses, zone)
}

impl Attempt<'_> {
    /// How much is understood: how many lines the layout reads, and how sure the columns are.
    fn rate(&self, given: &Given<'_>) -> f64 {
        let records = self.table.rows.len() as f64 / given.lines.len().clamp(1, table::SAMPLE) as f64;
        let login = self.login.as_ref().map_or(0.0, |login| login.confidence);
        let state = self.state.as_ref().map_or(0.0, |state| state.confidence);
        // Taken apart at the wrong places, few columns make sense.
        let named: Vec<f64> =
            self.guesses.iter().filter(|guess| guess.column != Column::Ignored).map(|guess| guess.confidence).collect();
        let understood = (named.iter().sum::<f64>() + login + state) / self.width.max(2) as f64;
        let columns =
            3.0 * understood + 0.2 * named.iter().filter(|confidence| **confidence >= SURE_ENOUGH).count() as f64;
        let groups = self.groups.as_ref().map_or(0.0, |groups| groups.confidence);
        let reads = self
            .spec
            .as_ref()
            .and_then(|spec| Plan::compile(spec, "UTC").ok())
            .map_or(0.0, |plan| share_read(given, &plan));
        let mixed = self.mixed_columns();
        records + 2.0 * login + 2.0 * state + columns + groups + 4.0 * reads - 2.0 * mixed
    }

    /// Share of the columns whose values are of different kinds, which happens where records are taken apart at the wrong places.
    fn mixed_columns(&self) -> f64 {
        let mut mixed = 0;
        for index in 0..self.width {
            let mut shapes: HashMap<Shape, usize> = HashMap::new();
            for (value, count) in values(&self.table, index) {
                let shape = match Shape::of(value) {
                    Shape::Time => Shape::Number,
                    shape => shape,
                };
                *shapes.entry(shape).or_default() += count;
            }
            shapes.remove(&Shape::Null);
            let all: usize = shapes.values().sum();
            let most = shapes.values().max().copied().unwrap_or(0);
            mixed += usize::from(most * 20 < all * 19);
        }
        mixed as f64 / self.width.max(1) as f64
    }
}

/// Share of the lines that the plan decodes or skips.
fn share_read(given: &Given<'_>, plan: &Arc<Plan>) -> f64 {
    let mut decoder = crate::wire::decode::Decoder::default();
    let step = (given.lines.len() / 3_000).max(1);
    let (mut read, mut all) = (0_u32, 0_u32);
    for line in given.lines.iter().step_by(step) {
        all += 1;
        let is_record = plan.lines().classify(line.bytes) == crate::wire::lines::LineKind::Record;
        let at = line.at.unwrap_or(crate::time::Timestamp::from_millis(0));
        read += u32::from(!is_record || decoder.decode(plan, line.bytes, at).is_ok());
    }
    f64::from(read) / f64::from(all.max(1))
}
