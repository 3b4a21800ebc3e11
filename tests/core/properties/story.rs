//! What happens in a call centre, and what its CMS tells of it: agents who come, work, change, re-enter and go, reports that
//! are late, torn, broken or empty, connections that break, twins.

use rtalink::time::Timestamp;
use rtalink::wire::layout::Column;

use super::capture::{Act, Capture, Cut, Flaw, Line, Part, Piece, Row, Step, Value};
use super::random::Random;
use super::shape::{Ending, Groups, Kind, Mode, Shape, Style};

const NAMES: [&str; 8] = ["Ada", "Bo", "Müller", "Zoë", "Jörg", "Åsa", "Eve", "René"];
/// They need quotes in some layouts.
const ODD_NAMES: [&str; 4] = ["Müller, Ö", "O\"Neil", "a;b|c", "Al B"];
/// Nights on which clocks change, and one on which they do not, in milliseconds.
const NIGHTS: [i64; 3] = [1_792_889_700_000, 1_774_745_700_000, 1_793_511_300_000];
const DAY: i64 = 1_767_600_000_000;

struct Agent {
    login: usize,
    acd: u32,
    name: String,
    extension: u64,
    split: u64,
    skills: Vec<(String, u16)>,
    is_on: bool,
    code: usize,
    reason: Option<u64>,
    holds: bool,
    since: i64,
    /// Refreshes that lack the agent, though they are there.
    missing: usize,
    /// Something was not told yet.
    is_news: bool,
    /// Refreshes in which only bad records tell of them.
    garbled: usize,
}

struct Story<'a> {
    random: &'a mut Random,
    shape: &'a Shape,
    agents: Vec<Agent>,
    steps: Vec<Step>,
    now: i64,
    connection: u64,
    opened: u64,
    /// How much later than measured a report comes.
    delay: i64,
    link_down: usize,
    unlisted: usize,
    all_away: usize,
    split_reports: bool,
    /// Markers never come, though they should.
    is_unmarked: bool,
    is_shuffled: bool,
}

/// A capture of a seed.
pub(crate) fn capture(seed: u64) -> Capture {
    let random = &mut Random::new(seed, 0);
    let shape = Shape::any(random);
    let now = if random.chance(15) { random.pick(&NIGHTS) } else { DAY + random.between(0, 40_000_000) };
    let (agents, logins, names) = agents(&shape, now, random);
    let split_reports = !shape.is_rows() && random.chance(12);
    let is_shuffled = random.chance(20);
    let is_unmarked = agents.len() < 5 && random.chance(8);
    let mut story = Story {
        random,
        shape: &shape,
        agents,
        steps: Vec::new(),
        now,
        connection: 0,
        opened: 0,
        delay: 0,
        link_down: 0,
        unlisted: 0,
        all_away: 0,
        split_reports,
        is_unmarked,
        is_shuffled,
    };
    story.tell();
    let steps = story.steps;
    Capture { shape, logins, names, steps }
}

fn agents(shape: &Shape, now: i64, random: &mut Random) -> (Vec<Agent>, Vec<String>, Vec<String>) {
    let count = if random.chance(75) { random.below(6) + 3 } else { random.below(3) + 13 };
    let mut logins: Vec<String> = Vec::new();
    let mut names = Vec::new();
    let mut agents = Vec::new();
    for number in 0..count {
        let is_shared = shape.has(Column::Acd) && number > 0 && random.chance(20);
        let login = if is_shared { random.below(logins.len()) } else { logins.len() };
        if !is_shared {
            // Of several lengths, and one the beginning of another.
            let length = random.pick(&[1, 2, 4, 6, 6, 6]);
            let mut id: String =
                (0..length).map(|_| char::from(b'1' + u8::try_from(random.below(9)).unwrap_or(0))).collect();
            while logins.contains(&id) {
                id = format!("{}", 100_000 + number);
            }
            logins.push(id);
        }
        let name = match random.below(20) {
            0 if number > 0 => String::clone(&names[random.below(number)]),
            1 | 2 if shape.quote.is_some() && shape.encoding != "ascii" => random.pick(&ODD_NAMES).to_owned(),
            _ if shape.encoding == "ascii" => format!("Ag{number}"),
            _ => format!("{}{number}", random.pick(&NAMES)),
        };
        names.push(name.clone());
        let is_on = random.chance(if count > 10 { 92 } else { 80 });
        let kind = if is_on { Kind::Work } else { Kind::Out };
        let skills = skills(shape, random);
        agents.push(Agent {
            login,
            acd: if is_shared { 2 } else { 1 },
            name,
            extension: 801_000 + number as u64,
            split: 200 + random.below(3) as u64,
            skills,
            is_on,
            code: code(shape, kind, random),
            reason: Some(3),
            holds: false,
            since: now - random.between(0, 4_000_000),
            missing: 0,
            is_news: true,
            garbled: 0,
        });
    }
    // No source key twice.
    let mut keys = Vec::new();
    agents.retain(|agent| {
        let key = (agent.login, agent.acd);
        let is_new = !keys.contains(&key);
        keys.push(key);
        is_new
    });
    (agents, logins, names)
}

fn skills(shape: &Shape, random: &mut Random) -> Vec<(String, u16)> {
    let most = match shape.groups {
        Some(Groups { times: Some(times), .. }) => times.min(4),
        _ if shape.is_rows() => 3,
        _ => 3,
    };
    let count = random.below(most + 1).max(usize::from(shape.is_rows()));
    (0..count).map(|number| ((300 + number * 7 + random.below(6)).to_string(), 1 + random.below(16) as u16)).collect()
}

fn code(shape: &Shape, kind: Kind, random: &mut Random) -> usize {
    let of_kind: Vec<usize> = (0..shape.codes.len()).filter(|index| shape.codes[*index].1 == kind).collect();
    if of_kind.is_empty() { 0 } else { random.pick(&of_kind) }
}

impl Story<'_> {
    fn tell(&mut self) {
        self.open();
        let refreshes = if self.is_unmarked { 36 } else { self.random.below(12) + 5 };
        for _ in 0..refreshes {
            let before = self.now;
            self.pass_time();
            self.live(before);
            if self.random.chance(6) {
                self.trouble();
            }
            self.report();
        }
        if self.random.chance(20) {
            self.now += self.random.between(1, 60_000);
            self.push(self.connection, Act::Close);
        }
    }

    fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn push(&mut self, connection: u64, act: Act) {
        self.steps.push(Step { at: self.at(), connection, act });
    }

    fn open(&mut self) {
        let connection = self.opened;
        self.opened += 1;
        self.push(connection, Act::Open(format!("10.1.2.{connection}:40000")));
        self.connection = connection;
    }

    fn pass_time(&mut self) {
        let patience = i64::try_from(self.shape.stale_after).unwrap_or(30) * 1_000;
        self.now += match self.random.below(100) {
            0..=3 => self.random.between(4_000, 18_000),
            4 | 5 => patience + self.random.between(1, 20_000),
            6 | 7 => self.random.between(300, 1_500),
            8 => patience * 2 + self.random.between(0, 60_000),
            _ => 3_000 + self.random.between(-300, 400),
        };
        match self.random.below(100) {
            0..=2 => self.delay = self.random.between(500, 9_000),
            3..=12 => self.delay = 0,
            _ => {}
        }
        let down = |left: &mut usize| *left = left.saturating_sub(1);
        down(&mut self.link_down);
        down(&mut self.unlisted);
        down(&mut self.all_away);
        match self.random.below(100) {
            0 | 1 => self.link_down = self.random.below(3) + 1,
            2 => self.unlisted = self.random.below(2) + 1,
            3..=6 => self.all_away = self.random.below(4) + 1,
            _ => {}
        }
    }

    /// What agents did since `before`.
    fn live(&mut self, before: i64) {
        for number in 0..self.agents.len() {
            let when = self.random.between(before + 1, (self.now - self.delay).max(before + 1));
            let (shape, random) = (self.shape, &mut *self.random);
            let agent = &mut self.agents[number];
            agent.missing = agent.missing.saturating_sub(1);
            agent.garbled = agent.garbled.saturating_sub(1);
            let begins = |agent: &mut Agent, random: &mut Random, kind| {
                agent.code = code(shape, kind, random);
                agent.since = when;
                agent.reason = if random.chance(70) { Some(random.pick(&[0, 3, 3, 4])) } else { None };
                agent.holds = random.chance(10);
                agent.is_news = true;
            };
            if !agent.is_on {
                if random.chance(8) {
                    agent.is_on = true;
                    let kind = if random.chance(30) { Kind::Logon } else { Kind::Work };
                    begins(agent, random, kind);
                }
                continue;
            }
            match random.below(1_000) {
                0..=119 => {
                    let kind = random.pick(&[Kind::Work, Kind::Work, Kind::Work, Kind::Aux, Kind::Aux, Kind::Unknown]);
                    begins(agent, random, kind);
                }
                120..=129 => begins(agent, random, Kind::Unlisted),
                130..=189 => {
                    // Left and entered again.
                    agent.since = when;
                    agent.is_news = true;
                }
                190..=209 => {
                    agent.reason = Some(random.pick(&[3, 4, 5]));
                    agent.is_news = true;
                }
                210..=239 => agent.extension += 1,
                240..=254 => agent.skills = skills(shape, random),
                255..=264 => agent.split = 200 + random.below(3) as u64,
                265..=279 => {
                    begins(agent, random, Kind::Out);
                    agent.is_on = false;
                }
                280..=309 => agent.missing = random.below(5) + 1,
                310..=319 => {
                    agent.is_on = false;
                    agent.missing = 1_000;
                }
                320..=334 => agent.garbled = random.below(5) + 1,
                335..=344 => agent.name += "x",
                _ => {}
            }
            if agent.is_on && agent.missing > 900 {
                agent.missing = 0;
            }
            agent.name.truncate(agent.name.char_indices().nth(10).map_or(agent.name.len(), |(at, _)| at));
        }
    }

    fn trouble(&mut self) {
        match self.random.below(12) {
            // Nobody is there for a while.
            0..=3 => {
                self.push(self.connection, Act::Close);
                self.now += self.random.pick(&[0, 1, 700, 3_000, 3_000, 9_000, 40_000]);
                self.open();
            }
            // Broken in the middle of a record.
            4 | 5 => {
                let row = self.row(0);
                let cut = self.cut();
                let piece = Piece { line: Line::Row(row), part: Part::Head(cut), blanks: None };
                self.push(self.connection, Act::Send(vec![piece]));
                self.now += self.random.between(0, 2_000);
                self.push(self.connection, Act::Close);
                self.now += self.random.between(0, 5_000);
                self.open();
            }
            // The twin takes over, and may be taken over again.
            6 | 7 => {
                let times = if self.random.chance(30) { 3 } else { 1 };
                for _ in 0..times {
                    let old = self.connection;
                    self.open();
                    self.now += self.random.between(0, 900);
                    if times > 1 {
                        self.report();
                    }
                    if self.random.chance(50) {
                        self.steps.push(Step { at: self.at(), connection: old, act: Act::Close });
                    }
                }
            }
            // Somebody dials in and sends nothing that can be read, or nothing.
            8 | 9 => {
                let connection = self.opened;
                self.opened += 1;
                self.push(connection, Act::Open("10.9.9.9:1".to_owned()));
                self.now += self.random.between(0, 500);
                if self.random.chance(60) {
                    let mut row = self.row(0);
                    row.flaw = self.flaw(&row);
                    let line = if row.flaw.is_some() { Line::Row(row) } else { Line::Other("GET / HTTP/1.1") };
                    self.push(connection, Act::Send(vec![Piece { line, part: Part::Whole, blanks: None }]));
                }
                if self.random.chance(50) {
                    self.now += self.random.between(0, 500);
                    self.push(connection, Act::Close);
                }
            }
            10 => {
                for _ in 0..6 {
                    let connection = self.opened;
                    self.opened += 1;
                    self.push(connection, Act::Open(String::new()));
                }
            }
            // A probe while CMS is away.
            _ => {
                self.push(self.connection, Act::Close);
                for _ in 0..2 {
                    self.now += self.random.between(0, 1_000);
                    self.open();
                    self.now += 10;
                    self.push(self.connection, Act::Close);
                }
                self.open();
            }
        }
    }

    /// One refresh.
    fn report(&mut self) {
        let mut lines = Vec::new();
        if self.random.per_mille(15) {
            lines.push(Line::Other(self.random.pick(&["ERROR 17: report not available", "ERROR", "no rows"])));
        } else if self.all_away == 0 {
            self.rows(&mut lines);
            if self.split_reports {
                self.rows(&mut lines);
            }
        }
        if self.random.chance(3) {
            let at = self.random.below(lines.len() + 1);
            let line = if self.random.chance(50) { Line::Comment } else { Line::Empty };
            lines.insert(at, line);
        }
        if self.random.per_mille(8) {
            let at = self.random.below(lines.len() + 1);
            lines.insert(at, Line::Other("ERROR n"));
        }
        if self.shape.has_marker && !self.is_unmarked && self.random.chance(97) {
            lines.push(Line::Marker);
        }
        self.send(lines);
    }

    fn rows(&mut self, lines: &mut Vec<Line>) {
        let mut order: Vec<usize> = (0..self.agents.len()).collect();
        if self.is_shuffled {
            self.random.shuffle(&mut order);
        }
        for number in order {
            let is_told = match self.shape.mode {
                Mode::Snapshot => true,
                _ => self.agents[number].is_news || self.random.chance(10),
            };
            let agent = &mut self.agents[number];
            // Who has logged out is told once or for ever.
            let is_gone = !agent.is_on && !agent.is_news && number % 3 != 0;
            if !is_told || agent.missing > 0 || is_gone {
                continue;
            }
            agent.is_news = false;
            let garbled = agent.garbled > 0;
            let times = if self.shape.is_rows() { self.agents[number].skills.len() } else { 1 };
            for skill in 0..times {
                let mut row = self.row(number);
                self.set_skill(&mut row, number, skill);
                if garbled || self.random.per_mille(8) {
                    row.flaw = self.flaw(&row);
                }
                lines.push(Line::Row(row));
            }
            if self.random.per_mille(12) {
                // Once more at once, perhaps with something else.
                let mut row = self.row(number);
                self.set_skill(&mut row, number, 0);
                if self.random.chance(50) {
                    let code = code(self.shape, Kind::Work, self.random);
                    self.set(&mut row, Column::State, Value::Text(self.shape.codes[code].0.to_owned()));
                }
                lines.push(Line::Row(row));
            }
        }
    }

    fn set(&self, row: &mut Row, column: Column, value: Value) {
        for (at, (has, _)) in self.shape.columns.iter().enumerate() {
            if *has == column {
                row.values[at] = value.clone();
            }
        }
    }

    fn set_skill(&mut self, row: &mut Row, number: usize, skill: usize) {
        let Some((skill, level)) = self.agents[number].skills.get(skill).cloned() else { return };
        self.set(row, Column::Skill, Value::Text(skill));
        self.set(row, Column::Level, Value::Text(level.to_string()));
        if self.shape.is_rows() && self.random.chance(15) {
            // A call belongs to one split only.
            let code = code(self.shape, Kind::Work, self.random);
            self.set(row, Column::State, Value::Text(self.shape.codes[code].0.to_owned()));
        }
    }

    fn null(&mut self) -> Option<Value> {
        let needs_text = self.shape.style == Style::Whitespace;
        let spelled: Vec<&'static str> =
            self.shape.nulls.iter().copied().filter(|null| !null.is_empty() || !needs_text).collect();
        if spelled.is_empty() { None } else { Some(Value::Null(self.random.pick(&spelled))) }
    }

    fn row(&mut self, number: usize) -> Row {
        let columns: Vec<Column> = self.shape.columns.iter().map(|(column, _)| *column).collect();
        let values = columns.into_iter().map(|column| self.value(number, column)).collect();
        let quoted = if self.random.chance(10) { self.random.bits() & self.random.bits() } else { 0 };
        let agent = &self.agents[number];
        Row { agent: number, values, skills: agent.skills.clone(), flaw: None, quoted }
    }

    fn value(&mut self, number: usize, column: Column) -> Value {
        // Without its ACD an agent of another one would be somebody else.
        let is_needed =
            matches!(column, Column::LoginId | Column::State) || column == Column::Acd && self.agents[number].acd > 1;
        let is_null = self.random.per_mille(10) && !is_needed;
        if is_null && let Some(null) = self.null() {
            return null;
        }
        let measured = self.now - self.delay;
        let aux_reason = self.agents[number].reason;
        if column == Column::AuxReason && aux_reason.is_none() {
            return self.null().unwrap_or(Value::Text("0".to_owned()));
        }
        let down = if self.link_down > 0 && !self.random.chance(2) { Some(Kind::Unknown) } else { None };
        let unlisted = if self.unlisted > 0 && self.random.chance(80) { Some(Kind::Unlisted) } else { None };
        let agent = &self.agents[number];
        let text = |text: String| Value::Text(text);
        match column {
            Column::LoginId => Value::Login(agent.login),
            Column::State => {
                let other = down.or(unlisted).filter(|kind| self.shape.codes.iter().any(|(_, has, _)| has == kind));
                let code = match other {
                    Some(kind) => code(self.shape, kind, self.random),
                    None => agent.code,
                };
                text(self.shape.codes[code].0.to_owned())
            }
            Column::Name => text(agent.name.clone()),
            Column::AuxReason => text(match agent.reason {
                Some(3) if self.shape.own_words => "Lunch".to_owned(),
                Some(4) if self.shape.own_words => "Talk".to_owned(),
                reason => reason.unwrap_or(0).to_string(),
            }),
            Column::Direction if self.shape.own_words => text(["ein", "aus", "in"][agent.code % 3].to_owned()),
            Column::Direction => text(["in", "OUT", "none", "0", "1", "2"][agent.code % 6].to_owned()),
            Column::WorkSplit => text(agent.split.to_string()),
            Column::Extension => text(agent.extension.to_string()),
            Column::Duration => Value::Seconds(u64::try_from((measured - agent.since) / 1_000).unwrap_or(0)),
            Column::Timestamp => Value::Time(Timestamp::from_millis(measured)),
            Column::StateStart => Value::Time(Timestamp::from_millis(agent.since)),
            Column::Acd => text(agent.acd.to_string()),
            Column::Role => text("agent".to_owned()),
            Column::OnHold => text(if agent.holds { "Y" } else { "0" }.to_owned()),
            Column::Location => text("7".to_owned()),
            Column::LogoutReason => text((agent.extension % 4).to_string()),
            Column::Skill | Column::Level | Column::Ignored => text((self.now % 7 + 1).to_string()),
        }
    }

    fn flaw(&mut self, row: &Row) -> Option<Flaw> {
        let is_fixed = self.shape.style == Style::Fixed;
        let field = self.random.below(row.values.len());
        match self.random.below(5) {
            0 if !is_fixed => Some(Flaw::Short(self.random.below(row.values.len()).max(1))),
            1 if !self.shape.ignores_extra && !matches!(self.shape.ending, Ending::Length(_)) => Some(Flaw::Long),
            2 if matches!(self.shape.encoding, "ascii" | "utf-8") => Some(Flaw::Undecodable(field)),
            3 if !is_fixed => Some(Flaw::Nul(field)),
            _ => {
                let numbers = [Column::AuxReason, Column::Duration, Column::Timestamp, Column::Acd, Column::OnHold];
                let at = self.shape.columns.iter().position(|(column, _)| numbers.contains(column));
                at.map(Flaw::Bad)
            }
        }
    }

    fn cut(&mut self) -> Cut {
        let fields = self.shape.columns.len();
        Cut { field: self.random.below(fields + 1), characters: self.random.below(5) }
    }

    /// In one read or in some, which may end within a record.
    fn send(&mut self, lines: Vec<Line>) {
        let whole = |line| Piece { line, part: Part::Whole, blanks: None };
        let is_at_once = self.random.chance(65);
        let mut pieces = Vec::new();
        for line in lines {
            let is_piece = !is_at_once && self.random.chance(25);
            let is_event = self.shape.mode == Mode::Event && self.random.chance(50);
            if is_piece && matches!(line, Line::Row(_)) && self.random.chance(50) {
                let cut = self.cut();
                pieces.push(Piece { line: line.clone(), part: Part::Head(cut), blanks: None });
                self.push(self.connection, Act::Send(std::mem::take(&mut pieces)));
                self.pause();
                pieces.push(Piece { line, part: Part::Tail(cut), blanks: None });
            } else {
                pieces.push(whole(line));
                if is_piece || is_event {
                    self.push(self.connection, Act::Send(std::mem::take(&mut pieces)));
                    self.pause();
                }
            }
        }
        if !pieces.is_empty() {
            self.push(self.connection, Act::Send(pieces));
        }
    }

    fn pause(&mut self) {
        self.now += match self.random.below(20) {
            0 => self.random.between(400, 1_200),
            1 | 2 => 0,
            _ => self.random.between(1, 120),
        };
    }
}
