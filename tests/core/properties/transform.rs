//! What may be changed about a capture without a change of what is published, save what [`Normal`] says.

use std::collections::{BTreeMap, BTreeSet};

use rtalink::time::Timestamp;
use rtalink::wire::layout::Column;

use super::capture::{Act, Capture, Line, Part, Piece, Row, Step, Value};
use super::compare::Normal;
use super::play::How;
use super::random::Random;
use super::shape::{ENCODINGS, End, Mode, Style};

/// Two captures of which the same is published.
pub(crate) struct Pair {
    /// The one that was made; unless it had to be changed, too.
    pub(crate) left: Option<Capture>,
    pub(crate) right: Capture,
    pub(crate) how: How,
    pub(crate) normal: Normal,
    /// Both have the layout of the capture that was made.
    pub(crate) is_layout_kept: bool,
    /// Users are the same, too.
    pub(crate) are_users_kept: bool,
}

impl Pair {
    fn of(right: Capture) -> Self {
        Self {
            left: None,
            right,
            how: How::default(),
            normal: Normal::default(),
            is_layout_kept: true,
            are_users_kept: true,
        }
    }
}

/// A property: its name, and its change; `None` where the capture is of no use to it.
pub(crate) type Property = (&'static str, fn(&Capture, &mut Random) -> Option<Pair>);

pub(crate) const PROPERTIES: [Property; 13] = [
    ("other reads of the same moments", rechunked),
    ("all times shifted", shifted),
    ("login ids renamed, in their order", renamed_in_order),
    ("login ids renamed, in another order", renamed),
    ("rows in another order", permuted),
    ("blanks around fields", blanks),
    ("comment lines", comments),
    ("a silent twin", twin),
    ("another encoding", encoded),
    ("a useless marker", marker),
    ("a restart for a reconnect", restarted),
    ("everything decoded", decoded),
    ("found one by one", one_by_one),
];

fn one_by_one(capture: &Capture, _: &mut Random) -> Option<Pair> {
    let how = How { in_shares: true, ..How::default() };
    let normal = Normal {
        without_listening: true,
        with_memories: true,
        as_sets: true,
        in_order: true,
        without_figures: true,
        ..Normal::default()
    };
    Some(Pair { how, normal, ..Pair::of(capture.clone()) })
}

fn decoded(capture: &Capture, _: &mut Random) -> Option<Pair> {
    let how = How { decodes_everything: true, ..How::default() };
    let normal = Normal { with_memories: true, ..Normal::default() };
    (!capture.shape.is_rows()).then(|| Pair { how, normal, ..Pair::of(capture.clone()) })
}

/// The same bytes at the same moments, cut elsewhere.
fn rechunked(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let mut right = capture.clone();
    right.steps.clear();
    for step in &capture.steps {
        match (&step.act, capture.entry(step)) {
            (Act::Send(_), Some(entry)) => {
                let rtalink::capture::Happening::Data(bytes) = entry.happening else { continue };
                if bytes.is_empty() {
                    // No bytes at all are heard of, too.
                    right.steps.push(step.clone());
                }
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let most = if random.chance(60) { rest.len().min(16) } else { rest.len() };
                    let (chunk, after) = rest.split_at(random.below(most) + 1);
                    right.steps.push(Step { act: Act::Bytes(chunk.to_vec()), ..step.clone() });
                    rest = after;
                }
            }
            _ => right.steps.push(step.clone()),
        }
    }
    let normal = Normal { with_memories: true, ..Normal::default() };
    Some(Pair { normal, ..Pair::of(right) })
}

fn values(steps: &mut [Step]) -> impl Iterator<Item = &mut Value> {
    rows(steps).flat_map(|row| &mut row.values)
}

fn rows(steps: &mut [Step]) -> impl Iterator<Item = &mut Row> {
    pieces(steps).filter_map(|piece| match &mut piece.line {
        Line::Row(row) => Some(row),
        _ => None,
    })
}

fn pieces(steps: &mut [Step]) -> impl Iterator<Item = &mut Piece> {
    steps
        .iter_mut()
        .filter_map(|step| match &mut step.act {
            Act::Send(pieces) => Some(pieces),
            _ => None,
        })
        .flatten()
}

const DAY: i64 = 86_400_000;
/// Weeks from one night on which clocks change in Europe to the same of another year.
const YEARS_OF_NIGHTS: [i64; 3] = [-52, 105, 157];

/// By any time; by whole seconds where the feed tells times; from one night of the clocks to another where it tells local
/// ones.
fn shifted(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let first = capture.steps.first()?.at.as_millis();
    let is_night = |at: i64| {
        let day = at.div_euclid(DAY);
        // 25 October and 29 March 2026, and 1 November in America.
        [20_751, 20_541, 20_758].iter().any(|night: &i64| (day - night).abs() <= 2)
    };
    let by = if !capture.shape.has_times() {
        random.between(-20 * 365 * DAY, 60 * 365 * DAY)
    } else if !capture.shape.has_local_times() {
        random.between(-20 * 365 * DAY / 1_000, 60 * 365 * DAY / 1_000) * 1_000
    } else if is_night(first) {
        if capture.shape.zone != "Europe/Berlin" || (first - 20_751 * DAY).abs() > 2 * DAY {
            return None;
        }
        random.pick(&YEARS_OF_NIGHTS) * 7 * DAY
    } else {
        // Within January.
        random.between(1, 20) * DAY + random.between(0, DAY / 1_000) * 1_000
    };
    let by = by * 1_000;
    let moved = |at: Timestamp| Timestamp::from_micros(at.as_micros() + by);
    let mut right = capture.clone();
    for step in &mut right.steps {
        step.at = moved(step.at);
    }
    for value in values(&mut right.steps) {
        if let Value::Time(at) = value {
            *at = moved(*at);
        }
    }
    let normal = Normal { shifted_by: by, without_raw: capture.shape.has_times(), ..Normal::default() };
    Some(Pair { normal, ..Pair::of(right) })
}

fn renamed_in_order(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let mut order: Vec<&String> = capture.logins.iter().collect();
    order.sort_unstable();
    // Every id one digit on, from a digit on that leaves room: the order stays.
    let room = capture.logins.iter().flat_map(|id| id.bytes()).max()?;
    let by = if room < b'9' { b'9' - room } else { return renamed_by_letters(capture) };
    let by = 1 + u8::try_from(random.below(usize::from(by))).ok()?;
    let renamed: Vec<String> =
        capture.logins.iter().map(|id| id.bytes().map(|digit| char::from(digit + by)).collect()).collect();
    rename(capture, renamed)
}

/// Letters for digits.
fn renamed_by_letters(capture: &Capture) -> Option<Pair> {
    let letter = |digit: u8| char::from(digit - b'0' + b'a');
    let renamed = capture.logins.iter().map(|id| id.bytes().map(letter).collect()).collect();
    rename(capture, renamed)
}

/// Each digit another one, in each place.
fn renamed(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let mut digits: Vec<u8> = (b'1'..=b'9').collect();
    random.shuffle(&mut digits);
    let other = |digit: u8| char::from(digits.get(usize::from(digit.wrapping_sub(b'1'))).copied().unwrap_or(digit));
    let renamed = capture.logins.iter().map(|id| id.bytes().map(other).collect()).collect();
    rename(capture, renamed)
}

fn rename(capture: &Capture, renamed: Vec<String>) -> Option<Pair> {
    let renames: BTreeMap<String, String> = capture.logins.iter().cloned().zip(renamed.iter().cloned()).collect();
    let mut right = capture.clone();
    right.logins = renamed;
    let normal = Normal { renames, without_raw: true, ..Normal::default() };
    Some(Pair { normal, are_users_kept: false, ..Pair::of(right) })
}

/// Rows of one moment, between two ends of snapshots; those of one agent keep their order.
fn permuted(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let shape = &capture.shape;
    if shape.end == End::Repeat || shape.mode == Mode::Event {
        return None;
    }
    let mut right = capture.clone();
    let is_bad = rows(&mut right.steps).any(|row| row.flaw.is_some());
    let has_others = pieces(&mut right.steps).any(|piece| matches!(piece.line, Line::Other(_) | Line::Empty));
    // What was read last, a valid record or another, says whether the report ran empty.
    if shape.when_silent_empty && (is_bad || has_others) {
        return None;
    }
    // Names are taken record by record: who has one first is mapped until another has it, too.
    if shape.by_name && has_namesakes(capture) {
        return None;
    }
    let mut is_changed = false;
    for step in &mut right.steps {
        let Act::Send(pieces) = &mut step.act else { continue };
        for part in pieces.split_mut(|piece| matches!(piece.line, Line::Marker) || piece.part != Part::Whole) {
            is_changed |= permute(part, random);
        }
    }
    let normal = Normal {
        as_sets: true,
        without_offsets: true,
        without_totals: true,
        without_garbled: true,
        ..Normal::default()
    };
    is_changed.then(|| Pair { normal, ..Pair::of(right) })
}

fn has_namesakes(capture: &Capture) -> bool {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let at = capture.shape.columns.iter().position(|(column, _)| *column == Column::Name);
    let mut steps = capture.steps.clone();
    rows(&mut steps).any(|row| match at.map(|at| &row.values[at]) {
        Some(Value::Text(name)) => *names.entry(name.clone()).or_insert(row.agent) != row.agent,
        _ => false,
    })
}

fn permute(part: &mut [Piece], random: &mut Random) -> bool {
    let agent = |piece: &Piece| match &piece.line {
        Line::Row(row) => Some(row.agent),
        _ => None,
    };
    let mut is_changed = false;
    for _ in 0..part.len() * part.len() {
        let at = random.below(part.len());
        if at > 0 && (agent(&part[at - 1]) != agent(&part[at]) || agent(&part[at]).is_none()) {
            part.swap(at - 1, at);
            is_changed |= part[at - 1] != part[at];
        }
    }
    is_changed
}

fn blanks(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let mut right = capture.clone();
    let share = random.pick(&[10, 50, 100]);
    let mut seeds = BTreeMap::new();
    for piece in pieces(&mut right.steps) {
        // Both parts of a line have the same.
        let seed = match piece.part {
            Part::Tail(_) => seeds.remove(&0),
            _ => random.chance(share).then(|| random.bits()),
        };
        if let (Part::Head(_), Some(seed)) = (piece.part, seed) {
            seeds.insert(0, seed);
        }
        // A blank behind the last field of a bad record says that it is whole.
        let is_whole = |row: &Row| row.flaw.is_none() || capture.shape.style != Style::Whitespace;
        if matches!(&piece.line, Line::Row(row) if is_whole(row)) {
            piece.blanks = seed;
        }
    }
    let normal = Normal { without_raw: true, without_offsets: true, ..Normal::default() };
    Some(Pair { normal, ..Pair::of(right) })
}

/// Where bytes came anyway.
fn comments(capture: &Capture, random: &mut Random) -> Option<Pair> {
    if !capture.shape.skips_comments {
        return None;
    }
    let mut right = capture.clone();
    let mut is_changed = false;
    for step in &mut right.steps {
        let Act::Send(pieces) = &mut step.act else { continue };
        while random.chance(40) {
            let begins_half = matches!(pieces.first(), Some(Piece { part: Part::Tail(_), .. }));
            // Silence before the record that ends a snapshot is told from the bytes before it.
            let begin = usize::from(begins_half || capture.shape.end == End::Repeat);
            let end = pieces.len() - usize::from(matches!(pieces.last(), Some(Piece { part: Part::Head(_), .. })));
            if begin > end {
                break;
            }
            let at = begin + random.below(end - begin + 1);
            pieces.insert(at, Piece { line: Line::Comment, part: Part::Whole, blanks: None });
            is_changed = true;
        }
    }
    let normal = Normal { without_offsets: true, without_lines: true, without_garbled: true, ..Normal::default() };
    is_changed.then(|| Pair { normal, ..Pair::of(right) })
}

/// Those that are open after `steps`.
fn open_connections(steps: &[Step]) -> Vec<u64> {
    let mut open = Vec::new();
    for step in steps {
        open.retain(|connection| *connection != step.connection);
        if step.act != Act::Close {
            // Bytes open a connection, too.
            open.push(step.connection);
        }
    }
    open
}

/// Beside the one that speaks, while nothing else happens to connections.
fn twin(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let steps = &capture.steps;
    let begin = random.below(steps.len());
    let open = open_connections(&steps[..=begin]);
    let after = steps[begin + 1..].iter().position(|step| matches!(step.act, Act::Open(_) | Act::Close));
    let end = after.map_or(steps.len(), |after| begin + 1 + after);
    if open.len() != 1 || end <= begin + 1 {
        return None;
    }
    let from = steps[begin].at;
    let until = steps[end - 1].at;
    let connection = 1_000;
    let mut right = capture.clone();
    right.steps.insert(end, Step { at: until, connection, act: Act::Close });
    right.steps.insert(begin + 1, Step { at: from, connection, act: Act::Open("10.9.9.8:2".to_owned()) });
    let normal = Normal { without_closes: true, ..Normal::default() };
    Some(Pair { normal, ..Pair::of(right) })
}

fn encoded(capture: &Capture, random: &mut Random) -> Option<Pair> {
    if capture.shape.is_builtin {
        return None;
    }
    let mut right = capture.clone();
    if rows(&mut right.steps).any(|row| matches!(row.flaw, Some(super::capture::Flaw::Undecodable(_)))) {
        return None;
    }
    let is_ascii = values(&mut right.steps).all(|value| match value {
        Value::Text(text) => text.is_ascii(),
        _ => true,
    });
    let others: Vec<&'static str> = ENCODINGS
        .into_iter()
        .filter(|encoding| *encoding != capture.shape.encoding && (is_ascii || *encoding != "ascii"))
        .collect();
    right.shape.encoding = random.pick(&others);
    let normal = Normal { without_raw: !is_ascii, without_offsets: !is_ascii, ..Normal::default() };
    Some(Pair { normal, is_layout_kept: false, ..Pair::of(right) })
}

/// Behind a valid record, in the same moment: a sign of life as that is.
fn marker(capture: &Capture, random: &mut Random) -> Option<Pair> {
    if !capture.shape.has_marker || capture.shape.end == End::Marker {
        return None;
    }
    let mut right = capture.clone();
    let mut is_changed = false;
    for step in &mut right.steps {
        let Act::Send(pieces) = &mut step.act else { continue };
        let is_valid =
            |piece: &Piece| matches!(piece, Piece { line: Line::Row(Row { flaw: None, .. }), part: Part::Whole, .. });
        for at in (0..pieces.len()).rev() {
            if is_valid(&pieces[at]) && random.chance(20) {
                pieces.insert(at + 1, Piece { line: Line::Marker, part: Part::Whole, blanks: None });
                is_changed = true;
            }
        }
    }
    let normal = Normal { without_offsets: true, without_lines: true, ..Normal::default() };
    is_changed.then(|| Pair { normal, ..Pair::of(right) })
}

/// Whether somebody is in bad records before they are in a valid one.
fn has_strangers(capture: &Capture) -> bool {
    let mut known = BTreeSet::new();
    let mut steps = capture.steps.clone();
    rows(&mut steps).any(|row| match row.flaw {
        None => {
            known.insert(row.agent);
            false
        }
        Some(_) => !known.contains(&row.agent),
    })
}

fn drop_bad_records(capture: &mut Capture) {
    let is_bad = |piece: &Piece| matches!(&piece.line, Line::Row(row) if row.flaw.is_some());
    for step in &mut capture.steps {
        if let Act::Send(pieces) = &mut step.act {
            pieces.retain(|piece| !is_bad(piece));
        }
    }
    capture.steps.retain(|step| !matches!(&step.act, Act::Send(pieces) if pieces.is_empty()));
}

/// How often a place is looked for.
const TRIES: usize = 8;

/// Between two reads, while one connection is open and no record half read: all is broken off, by one side or the other.
fn restarted(capture: &Capture, random: &mut Random) -> Option<Pair> {
    let mut capture = capture.clone();
    let is_bad = rows(&mut capture.steps).any(|row| row.flaw.is_some());
    // How often somebody came in bad records only is counted anew; and who is present by one counts as seen in their state.
    let is_kept = !is_bad || !capture.shape.has(Column::Duration) && !has_strangers(&capture);
    if !is_kept {
        drop_bad_records(&mut capture);
    }
    let is_bad = is_bad && is_kept;
    let steps = &capture.steps;
    let mut is_alone = |cut: &usize| open_connections(&steps[..*cut]).len() == 1;
    let cut = std::iter::repeat_with(|| random.below(steps.len())).take(TRIES).find(&mut is_alone)?;
    let [connection] = open_connections(&steps[..cut])[..] else { return None };
    let before = &steps[cut - 1];
    let is_half_read =
        matches!(&before.act, Act::Send(pieces) if matches!(pieces.last(), Some(Piece { part: Part::Head(_), .. })));
    if is_half_read {
        return None;
    }
    let within = i64::try_from(steps[cut].at.since(before.at).as_millis()).ok()?;
    let at = Timestamp::from_millis(before.at.as_millis() + random.between(0, within));
    let again = Timestamp::from_millis(random.between(at.as_millis(), steps[cut].at.as_millis()));
    let broken = |act| {
        let mut capture = capture.clone();
        let peer = Act::Open("10.1.2.99:40000".to_owned());
        capture.steps.splice(cut..cut, [Step { at, connection, act }, Step { at: again, connection, act: peer }]);
        capture
    };
    // Starts told by durations are written down only when they have moved by more than the tolerance.
    let from_changes = random.chance(50) && !capture.shape.has(Column::Duration);
    let how = How { from_changes, ..How::default() };
    // Who is lost is UNKNOWN since they were last seen, and of signs of life only valid records are remembered.
    let is_seen_otherwise = from_changes || is_bad || capture.shape.mode != Mode::Snapshot;
    if capture.shape.unknown_after.is_some() && (is_seen_otherwise || capture.shape.has_marker) {
        return None;
    }
    let normal = Normal {
        is_restarted: true,
        // Agents may come back in another order.
        as_sets: true,
        without_totals: true,
        without_closes: true,
        without_last_seen: true,
        without_unreadable: capture.shape.mode == Mode::Delta,
        ..Normal::default()
    };
    let left = Some(broken(Act::Break));
    Some(Pair { left, how, normal, ..Pair::of(broken(Act::Restart)) })
}
