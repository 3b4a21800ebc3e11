//! Which of several connections speaks (rule 11).
//!
//! A high-availability CMS has two machines; either may dial in, and so may a port scanner. The first connection speaks.
//! A second one waits until it has sent a valid record: then it takes over and the other one is closed. Pure: the
//! driver opens and closes sockets.
//!
//! A connection that never sends a valid record is a *probe*: a port scan, a health check. While CMS is away each of them
//! would be reported as a connection that comes and goes. So the first [`MOST_REPORTED_PROBES`] within a minute are, and after
//! them a connection is reported when its first valid record or marker comes, which for CMS is at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::decode::Identity;

/// Number of a connection; never used twice.
pub type ConnectionId = u64;

/// Most connections that wait besides the one that speaks.
pub const MAX_WAITING: usize = 4;

/// A waiting connection with so many invalid records and no valid one is given up. Until then the agents in them are
/// remembered.
pub const MAX_BAD_RECORDS: usize = 1_000;

/// So many takeovers within [`FLAPPING_WITHIN`] count as flapping.
const FLAPPING_TAKEOVERS: usize = 3;
const FLAPPING_WITHIN: Duration = Duration::from_secs(60);

/// Most probes that are reported within a minute.
pub const MOST_REPORTED_PROBES: usize = 3;
const REPORTED_WITHIN: Duration = Duration::from_secs(60);

/// What becomes of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It speaks.
    Speaks,
    /// Another one speaks.
    Waits,
    /// Too many wait already: close it.
    Refused,
}

/// An invalid record that a connection sent while it waited. It counts from the takeover on: when it came, the other
/// connection spoke, and may since have reported agents who are absent from this one's first snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// ACD and login id, where they can be read.
    pub agent: Option<(Option<u32>, Box<str>)>,
}

#[derive(Debug)]
struct Connection {
    id: ConnectionId,
    peer: Arc<str>,
    opened_at: Timestamp,
    bad_records: Vec<BadRecord>,
    /// When it was reported as the one that speaks.
    reported_at: Option<Timestamp>,
    /// It has sent a valid record.
    has_spoken: bool,
}

/// The connection that spoke does so no more.
#[derive(Debug, PartialEq, Eq)]
pub struct SpeakerEnded {
    /// Which.
    pub id: ConnectionId,
    /// Its address and port.
    pub peer: Arc<str>,
    /// It was reported as the one that speaks.
    pub is_reported: bool,
    /// It has sent a valid record: it was not a probe.
    pub has_spoken: bool,
}

/// The connection that spoke was closed.
#[derive(Debug, PartialEq, Eq)]
pub struct SpeakerClosed {
    /// The connection.
    pub ended: SpeakerEnded,
    /// The oldest waiting connection, which speaks now.
    pub successor: Option<Successor>,
}

/// A connection has begun to speak.
#[derive(Debug, PartialEq, Eq)]
pub struct Successor {
    /// Which.
    pub id: ConnectionId,
    /// Its address and port.
    pub peer: Arc<str>,
    /// The invalid records it sent before; they count in its first snapshot.
    pub bad_records: Vec<BadRecord>,
}

/// A waiting connection takes over.
#[derive(Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The connection that spoke: close it.
    pub replaced: Option<SpeakerEnded>,
    /// The one that speaks now.
    pub successor: Successor,
    /// The third takeover within a minute.
    pub is_flapping: bool,
}

/// The connections of one integration.
#[derive(Debug)]
pub struct Session {
    speaking: Option<Connection>,
    waiting: VecDeque<Connection>,
    takeovers: VecDeque<Timestamp>,
    /// Those that were replaced and whose end has not come yet.
    replaced: Vec<ConnectionId>,
    patience: Duration,
    /// When the last probes were reported.
    reported_probes: VecDeque<Timestamp>,
    probes: u64,
}

impl Session {
    /// Creates a session that gives up a waiting connection without a valid record for `patience` (`stale_after`).
    pub const fn new(patience: Duration) -> Self {
        Self {
            speaking: None,
            waiting: VecDeque::new(),
            takeovers: VecDeque::new(),
            replaced: Vec::new(),
            patience,
            reported_probes: VecDeque::new(),
            probes: 0,
        }
    }

    /// Sets another patience from now on.
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// A connection has been accepted.
    pub fn open(&mut self, id: ConnectionId, peer: &Arc<str>, at: Timestamp) -> Admission {
        let connection = Connection {
            id,
            peer: peer.clone(),
            opened_at: at,
            bad_records: Vec::new(),
            reported_at: None,
            has_spoken: false,
        };
        if self.speaking.is_none() {
            self.let_speak(connection, at);
            return Admission::Speaks;
        }
        if self.waiting.len() >= MAX_WAITING {
            return Admission::Refused;
        }
        self.waiting.push_back(connection);
        Admission::Waits
    }

    /// Whether that connection is the one that speaks.
    #[inline]
    pub fn speaks(&self, id: ConnectionId) -> bool {
        self.speaking.as_ref().is_some_and(|connection| connection.id == id)
    }

    /// Whether that connection waits.
    pub fn waits(&self, id: ConnectionId) -> bool {
        self.waiting.iter().any(|connection| connection.id == id)
    }

    /// Whether that connection spoke until another took over. The rest of its last record is still to come.
    pub fn was_replaced(&self, id: ConnectionId) -> bool {
        self.replaced.contains(&id)
    }

    /// Whether a connection speaks and was reported.
    pub fn is_reported(&self) -> bool {
        self.speaking.as_ref().is_some_and(|connection| connection.reported_at.is_some())
    }

    /// Whether the one that speaks has sent a valid record.
    #[inline]
    pub fn has_spoken(&self) -> bool {
        self.speaking.as_ref().is_some_and(|connection| connection.has_spoken)
    }

    /// The one that speaks has sent a sign of a feed. True if only now it is to be reported that it speaks.
    pub fn take_report(&mut self, at: Timestamp) -> bool {
        let Some(connection) = &mut self.speaking else { return false };
        let is_news = connection.reported_at.is_none();
        connection.reported_at.get_or_insert(at);
        is_news
    }

    /// The one that speaks has sent its first valid record.
    pub const fn note_spoken(&mut self) {
        if let Some(connection) = &mut self.speaking {
            connection.has_spoken = true;
        }
    }

    /// How many probes there were, reported or not.
    pub const fn probes(&self) -> u64 {
        self.probes
    }

    /// Address and port of the one that speaks.
    pub fn peer(&self) -> Option<&Arc<str>> {
        self.speaking.as_ref().map(|connection| &connection.peer)
    }

    /// When the connection that speaks was opened.
    pub fn peer_since(&self) -> Option<Timestamp> {
        self.speaking.as_ref().map(|connection| connection.opened_at)
    }

    /// How many are open.
    pub fn connections(&self) -> usize {
        usize::from(self.speaking.is_some()) + self.waiting.len()
    }

    /// A waiting connection sent an invalid record. True if that was one too many: it is given up and has to be closed.
    pub fn bad_record(&mut self, id: ConnectionId, identity: Option<Identity<'_>>) -> bool {
        let Some(position) = self.waiting.iter().position(|connection| connection.id == id) else { return false };
        let connection = &mut self.waiting[position];
        let agent = identity.map(|identity| (identity.acd, identity.login_id.into()));
        connection.bad_records.push(BadRecord { agent });
        let is_enough = connection.bad_records.len() >= MAX_BAD_RECORDS;
        if is_enough {
            self.waiting.remove(position);
            self.probes += 1;
        }
        is_enough
    }

    /// A waiting connection sent a valid record.
    pub fn take_over(&mut self, id: ConnectionId, at: Timestamp) -> Option<Takeover> {
        let position = self.waiting.iter().position(|connection| connection.id == id)?;
        let successor = self.waiting.remove(position)?;
        self.takeovers.push_back(at);
        self.takeovers.retain(|takeover| at.since(*takeover) < FLAPPING_WITHIN);
        let is_flapping = self.takeovers.len() >= FLAPPING_TAKEOVERS;
        if is_flapping {
            // Said once; three more make the next one.
            self.takeovers.clear();
        }
        let replaced = self.speaking.take().map(|connection| self.end(connection));
        self.replaced.extend(replaced.as_ref().map(|ended| ended.id));
        let successor = Connection { has_spoken: true, ..successor };
        Some(Takeover { replaced, successor: self.let_speak(successor, at), is_flapping })
    }

    /// A connection has ended. `Some` if it was the one that spoke.
    pub fn closed(&mut self, id: ConnectionId, at: Timestamp) -> Option<SpeakerClosed> {
        if !self.speaks(id) {
            self.replaced.retain(|replaced| *replaced != id);
            let waiting = self.waiting.len();
            self.waiting.retain(|connection| connection.id != id);
            self.probes += (waiting - self.waiting.len()) as u64;
            return None;
        }
        let ended = self.speaking.take()?;
        let ended = self.end(ended);
        let successor = self.waiting.pop_front();
        Some(SpeakerClosed { ended, successor: successor.map(|successor| self.let_speak(successor, at)) })
    }

    fn end(&mut self, connection: Connection) -> SpeakerEnded {
        let Connection { id, peer, reported_at, has_spoken, .. } = connection;
        if !has_spoken {
            self.probes += 1;
            self.reported_probes.extend(reported_at);
        }
        SpeakerEnded { id, peer, is_reported: reported_at.is_some(), has_spoken }
    }

    fn let_speak(&mut self, mut connection: Connection, at: Timestamp) -> Successor {
        self.reported_probes.retain(|reported_at| at.since(*reported_at) < REPORTED_WITHIN);
        if connection.has_spoken || self.reported_probes.len() < MOST_REPORTED_PROBES {
            connection.reported_at = Some(at);
        }
        let bad_records = std::mem::take(&mut connection.bad_records);
        let successor = Successor { id: connection.id, peer: connection.peer.clone(), bad_records };
        self.speaking = Some(connection);
        successor
    }

    /// Returns when [`Self::give_up`] has to be called if nothing happens first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.front().map(|connection| connection.opened_at.plus(self.patience))
    }

    /// Returns connections that have waited too long and must be closed.
    pub fn give_up(&mut self, now: Timestamp) -> Vec<ConnectionId> {
        let mut given_up = Vec::new();
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            given_up.extend(self.waiting.pop_front().map(|connection| connection.id));
        }
        self.probes += given_up.len() as u64;
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn session(connections: &[ConnectionId]) -> Session {
        let mut session = Session::new(Duration::from_secs(30));
        for id in connections {
            session.open(*id, &format!("peer-{id}").into(), at(0));
        }
        session
    }

    #[test]
    fn the_fifth_waiting_connection_is_refused() {
        let mut session = session(&[1, 2, 3, 4, 5]);
        assert_eq!(session.open(6, &"peer-6".into(), at(1)), Admission::Refused);
        assert_eq!(session.connections(), 5);
    }

    #[test]
    fn a_valid_record_takes_over_and_brings_the_bad_ones() {
        let mut session = session(&[1, 2]);
        session.bad_record(2, Some(Identity { login_id: "0471", acd: None }));
        let takeover = session.take_over(2, at(2)).unwrap();
        let replaced = SpeakerEnded { id: 1, peer: "peer-1".into(), is_reported: true, has_spoken: false };
        assert_eq!((takeover.replaced, session.probes()), (Some(replaced), 1));
        assert_eq!(takeover.successor.bad_records.len(), 1);
        assert!(session.speaks(2) && !takeover.is_flapping);
    }

    #[test]
    fn who_waits_and_sends_only_garbage_is_given_up() {
        let mut session = session(&[1, 2]);
        let given_up = (0..MAX_BAD_RECORDS).position(|_| session.bad_record(2, None));
        assert_eq!(given_up, Some(MAX_BAD_RECORDS - 1));
        assert!(!session.waits(2) && !session.bad_record(2, None));
        assert!(!session.bad_record(1, None), "who speaks stays");
        assert_eq!(session.connections(), 1);
    }

    #[test]
    fn the_oldest_waiting_one_follows_when_the_speaker_closes() {
        let mut session = session(&[1, 2, 3]);
        assert_eq!(session.closed(3, at(1)), None);
        session.note_spoken();
        assert!(!session.take_report(at(1)) && session.has_spoken());
        let SpeakerClosed { ended, successor } = session.closed(1, at(1)).unwrap();
        assert_eq!((ended.id, ended.has_spoken, successor.unwrap().id), (1, true, 2));
        assert!(!session.has_spoken() && session.is_reported());
        assert_eq!(session.closed(2, at(1)).unwrap().successor, None);
        assert_eq!(session.probes(), 2, "2 and 3 have sent nothing");
    }

    #[test]
    fn who_waits_too_long_is_given_up() {
        let mut session = session(&[1, 2, 3]);
        assert_eq!(session.give_up(at(29)), Vec::<ConnectionId>::new());
        assert_eq!(session.give_up(at(30)), vec![2, 3]);
    }

    #[test]
    fn three_takeovers_in_a_minute_are_a_fight() {
        let mut session = session(&[1]);
        let mut flapping = Vec::new();
        for (id, seconds) in [(2, 10), (3, 40), (4, 75), (5, 90), (6, 99)] {
            session.open(id, &"twin".into(), at(seconds));
            flapping.push(session.take_over(id, at(seconds)).unwrap().is_flapping);
        }
        assert_eq!(flapping, [false, false, false, true, false]);
    }

    #[test]
    fn of_the_probes_of_a_minute_three_are_told() {
        let mut session = session(&[]);
        let mut probe = |id, opens, closes| {
            session.open(id, &"scanner".into(), at(opens));
            let is_reported = session.is_reported();
            let ended = session.closed(id, at(closes)).unwrap().ended;
            assert_eq!((ended.is_reported, ended.has_spoken), (is_reported, false));
            is_reported
        };
        let told: Vec<bool> = (1..).zip([0, 10, 20, 30, 59]).map(|(id, opens)| probe(id, opens, opens + 1)).collect();
        assert_eq!(told, [true, true, true, false, false]);
        // The first was a minute ago, then the second: each makes room for one.
        assert_eq!([probe(6, 60, 61), probe(7, 62, 63), probe(8, 70, 71)], [true, false, true]);
        assert_eq!(session.probes(), 8);
    }

    #[test]
    fn who_comes_after_many_probes_is_told_with_the_first_valid_record() {
        let mut session = session(&[]);
        for id in 1..=4 {
            session.open(id, &"scanner".into(), at(0));
            session.closed(id, at(0));
        }
        session.open(5, &"cms".into(), at(1));
        assert!(!session.is_reported());
        assert!(session.take_report(at(2)) && session.is_reported() && !session.take_report(at(2)));
        session.note_spoken();
        let ended = session.closed(5, at(3)).unwrap().ended;
        assert!(ended.is_reported && ended.has_spoken);
        // A connection that has spoken is not a probe: the three from before are all there are.
        session.open(6, &"scanner".into(), at(59));
        assert!(!session.is_reported());
        session.open(7, &"cms".into(), at(59));
        session.take_over(7, at(59)).unwrap();
        assert!(session.is_reported() && session.has_spoken());
        assert_eq!(session.probes(), 5);
    }
}
