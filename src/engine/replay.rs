//! A capture through the engine: the same code as `run`, with the capture's times for a clock.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::capture::{CaptureEntry, Happening};
use crate::time::Timestamp;
use crate::wire::framing::{Framer, Piece, Run};
use crate::wire::lines::LineKind;
use crate::wire::plan::Plan;

use super::session::ConnectionId;
use super::survey::Survey;
use super::{Engine, Finding};

/// One connection of the capture.
#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    framer: Framer,
    buffer: BytesMut,
    /// When it will have been silent for `snapshot_idle`.
    idle_at: Option<Timestamp>,
    /// The engine has closed it: what the capture has after that would not have been read.
    is_closed: bool,
    /// There was something after that.
    has_unread: bool,
}

/// What came on connections that the engine had closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// Bytes.
    pub bytes: u64,
    /// Connections that they came on.
    pub connections: u64,
}

/// What was given to the engine between two findings, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracePoint {
    /// How many findings of the same call came before.
    pub before: usize,
    /// The time of what follows.
    pub at: Timestamp,
    /// The line that the engine was given; `None`: time passed, or a connection came or went.
    pub line: Option<TracedLine>,
}

/// A line of a connection that is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedLine {
    /// The number of the connection in the capture.
    pub connection: u64,
    /// Distance from the beginning of the connection, in bytes.
    pub offset: u64,
    /// Without its end.
    pub bytes: Bytes,
    /// What the layout takes it for.
    pub kind: LineKind,
}

/// Plays entries into an engine, in the order of the file.
#[derive(Debug)]
pub struct Replay {
    engine: Engine,
    plan: Arc<Plan>,
    snapshot_idle: Duration,
    connections: HashMap<u64, Connection>,
    opened: ConnectionId,
    now: Option<Timestamp>,
    survey: Option<Survey>,
    trace: Option<Vec<TracePoint>>,
    unread: Unread,
}

impl Replay {
    /// Plays into an engine that has seen nothing yet.
    pub fn new(engine: Engine, plan: Arc<Plan>, snapshot_idle: Duration) -> Self {
        Self {
            engine,
            plan,
            snapshot_idle,
            connections: HashMap::new(),
            opened: 0,
            now: None,
            survey: None,
            trace: None,
            unread: Unread::default(),
        }
    }

    /// Also surveys what records say beyond their events.
    #[must_use]
    pub fn with_survey(self) -> Self {
        Self { survey: Some(Survey::default()), ..self }
    }

    /// Also notes every line, for [`Self::take_trace`]. The findings are the same.
    #[must_use]
    pub fn with_trace(self) -> Self {
        Self { trace: Some(Vec::new()), ..self }
    }

    /// Takes what was noted since the last time, in order. Points refer to the findings of one call, into an empty list: take
    /// them after each.
    pub fn take_trace(&mut self) -> Vec<TracePoint> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Returns what was not read because its connection was closed before.
    pub const fn unread(&self) -> Unread {
        self.unread
    }

    fn note(&mut self, at: Timestamp, out: &[Finding], line: Option<TracedLine>) {
        if let Some(trace) = &mut self.trace {
            trace.push(TracePoint { before: out.len(), at, line });
        }
    }

    /// Returns what the survey has found, where there is one.
    pub const fn survey(&self) -> Option<&Survey> {
        self.survey.as_ref()
    }

    /// The compiled layout.
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// The engine, for its figures.
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine, to take out what is to be remembered.
    pub const fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Plays one entry. A time before the last one counts as the last one: a capture does not go back.
    pub fn play(&mut self, entry: &CaptureEntry, out: &mut Vec<Finding>) {
        let at = self.now.map_or(entry.at, |now| now.max(entry.at));
        let before = out.len();
        self.pass_time(at, out);
        self.now = Some(at);
        self.note(at, out, None);
        match &entry.happening {
            Happening::Open { peer, .. } => {
                self.close(entry.connection, at, out);
                self.open(entry.connection, peer, at, out);
            }
            Happening::Data(bytes) => {
                if !self.connections.contains_key(&entry.connection) {
                    self.open(entry.connection, "", at, out);
                }
                self.receive(entry.connection, bytes, at, out);
            }
            Happening::Close => self.close(entry.connection, at, out),
        }
        self.carry_out_closes(before, at, out);
    }

    /// Closes what the engine wants closed, as `run` does.
    fn carry_out_closes(&mut self, before: usize, at: Timestamp, out: &mut Vec<Finding>) {
        let closed = |finding: &Finding| if let Finding::Close(id, _) = finding { Some(*id) } else { None };
        let closed: Vec<ConnectionId> = out.iter().skip(before).filter_map(closed).collect();
        for id in closed {
            let Some(connection) =
                self.connections.values_mut().find(|connection| connection.id == id && !connection.is_closed)
            else {
                continue;
            };
            connection.is_closed = true;
            connection.idle_at = None;
            if let Some(torn) = connection.framer.finish(&mut connection.buffer) {
                self.engine.torn(id, &torn, at, out);
            }
            self.engine.close(id, at, out);
        }
    }

    /// The capture has ended: half a record is invalid, what waited is published.
    pub fn finish(&mut self, out: &mut Vec<Finding>) {
        let Some(at) = self.now else { return };
        self.note(at, out, None);
        let mut open: Vec<&mut Connection> = self.connections.values_mut().collect();
        open.sort_unstable_by_key(|connection| connection.id);
        for connection in open {
            if let Some(torn) = connection.framer.finish(&mut connection.buffer) {
                self.engine.torn(connection.id, &torn, at, out);
            }
        }
        self.engine.end_of_input(at, out);
    }

    /// Does everything that is due up to `until`, in the order of time.
    fn pass_time(&mut self, until: Timestamp, out: &mut Vec<Finding>) {
        loop {
            let idle = self.connections.values_mut().filter(|connection| connection.idle_at.is_some());
            let idle = idle.min_by_key(|connection| (connection.idle_at, connection.id));
            let idle_at = idle.as_ref().and_then(|connection| connection.idle_at);
            let tick_at = self.engine.next_deadline();
            let Some(due) = [idle_at, tick_at].into_iter().flatten().min().filter(|due| *due <= until) else { return };
            // A disconnect may make something due at an earlier time: it still does not come before the disconnect.
            let at = self.now.map_or(due, |now| now.max(due));
            let idle = idle.filter(|_| idle_at == Some(due)).map(|connection| {
                connection.idle_at = None;
                connection.id
            });
            self.note(at, out, None);
            match idle {
                Some(id) => self.engine.idle(id, at, out),
                _ => self.engine.tick(at, out),
            }
        }
    }

    fn open(&mut self, number: u64, peer: &str, at: Timestamp, out: &mut Vec<Finding>) {
        self.opened += 1;
        let id = self.opened;
        let connection = Connection {
            id,
            framer: Framer::default(),
            buffer: BytesMut::new(),
            idle_at: None,
            is_closed: false,
            has_unread: false,
        };
        self.connections.insert(number, connection);
        self.engine.open(id, &peer.into(), at, out);
    }

    fn receive(&mut self, number: u64, bytes: &[u8], at: Timestamp, out: &mut Vec<Finding>) {
        let Some(connection) = self.connections.get_mut(&number) else { return };
        if connection.is_closed {
            self.unread.bytes += bytes.len() as u64;
            self.unread.connections += u64::from(!connection.has_unread);
            connection.has_unread = true;
            return;
        }
        connection.buffer.extend_from_slice(bytes);
        let id = connection.id;
        let mut pieces = Vec::new();
        while let Some(piece) = connection.framer.next(self.plan.ends(), &mut connection.buffer) {
            pieces.push(piece);
        }
        let is_half_read = connection.framer.is_half_read(&connection.buffer);
        connection.idle_at = (!is_half_read).then(|| at.plus(self.snapshot_idle));
        let plan = Arc::clone(&self.plan);
        for piece in pieces {
            let session = self.engine.session();
            if let (Some(survey), Piece::Records(run)) = (&mut self.survey, &piece)
                && (session.speaks(id) || session.waits(id))
            {
                plan.ends().records(run).for_each(|frame| survey.count(&plan, frame.bytes, at));
            }
            if self.engine.session().waits(id) || self.trace.is_some() {
                self.receive_one_by_one((number, id), &plan, &piece, at, out);
            } else {
                self.engine.receive(id, &plan, &piece, at, out);
            }
        }
    }

    /// A waiting connection may take over with any of these records: what the other connection left comes right after that
    /// one, however the bytes were read.
    fn receive_one_by_one(
        &mut self,
        (number, id): (u64, ConnectionId),
        plan: &Arc<Plan>,
        piece: &Piece,
        at: Timestamp,
        out: &mut Vec<Finding>,
    ) {
        let before = out.len();
        let Piece::Records(run) = piece else {
            self.engine.receive(id, plan, piece, at, out);
            return self.carry_out_closes(before, at, out);
        };
        let mut records = plan.ends().records(run);
        let mut begin = run.offset;
        while let Some(frame) = records.next() {
            let session = self.engine.session();
            if self.trace.is_some() && (session.speaks(id) || session.waits(id)) && !frame.too_long {
                let kind = plan.lines().classify(frame.bytes);
                let bytes = run.bytes.slice_ref(frame.bytes);
                self.note(at, out, Some(TracedLine { connection: number, offset: frame.offset, bytes, kind }));
            }
            let end = records.offset();
            let place = |offset: u64| usize::try_from(offset - run.offset).unwrap_or(usize::MAX).min(run.bytes.len());
            let record = Run { bytes: run.bytes.slice(place(begin)..place(end)), offset: begin };
            let before = out.len();
            self.engine.receive(id, plan, &Piece::Records(record), at, out);
            self.carry_out_closes(before, at, out);
            begin = end;
        }
    }

    fn close(&mut self, number: u64, at: Timestamp, out: &mut Vec<Finding>) {
        let Some(mut connection) = self.connections.remove(&number).filter(|connection| !connection.is_closed) else {
            return;
        };
        if let Some(torn) = connection.framer.finish(&mut connection.buffer) {
            self.engine.torn(connection.id, &torn, at, out);
        }
        self.engine.close(connection.id, at, out);
    }
}
