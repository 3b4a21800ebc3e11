//! Which of several connections speaks (rule 11).
//!
//! A high-availability CMS has two machines; either may dial in, and so may a port scanner. The first connection speaks.
//! A second one waits until it has sent a valid record: then it takes over and the other one is closed. Pure: the
//! driver opens and closes sockets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::time::Timestamp;
use crate::wire::decode::Identity;

/// Number of a connection; never used twice.
pub type ConnectionId = u64;

/// Most connections that wait beside the one that speaks.
pub const MAX_WAITING: usize = 4;

/// A waiting connection with so many invalid records and no valid one is given up. Until then their agents are remembered.
pub const MAX_BAD_RECORDS: usize = 1_000;

/// So many takeovers within [`FLAPPING_WITHIN`] are a fight.
const FLAPPING_TAKEOVERS: usize = 3;
const FLAPPING_WITHIN: Duration = Duration::from_secs(60);

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
/// connection spoke, and may have told of agents since who are absent from this one's first snapshot.
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
}

/// A connection has begun to speak.
#[derive(Debug, PartialEq, Eq)]
pub struct Successor {
    /// Which.
    pub id: ConnectionId,
    /// Its address and port.
    pub peer: Arc<str>,
    /// What it sent before; counts in its first snapshot.
    pub bad_records: Vec<BadRecord>,
}

/// A waiting connection takes over.
#[derive(Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The connection that spoke: close it.
    pub replaced: Option<(ConnectionId, Arc<str>)>,
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
}

impl Session {
    /// A waiting connection without a valid record for `patience` (`stale_after`) is given up.
    pub const fn new(patience: Duration) -> Self {
        Self { speaking: None, waiting: VecDeque::new(), takeovers: VecDeque::new(), replaced: Vec::new(), patience }
    }

    /// Another patience from now on.
    pub const fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// A connection has been accepted.
    pub fn open(&mut self, id: ConnectionId, peer: &Arc<str>, at: Timestamp) -> Admission {
        let connection = Connection { id, peer: peer.clone(), opened_at: at, bad_records: Vec::new() };
        if self.speaking.is_none() {
            self.speaking = Some(connection);
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

    /// Whether that connection spoke until another took over. What it left of a record is still to come.
    pub fn was_replaced(&self, id: ConnectionId) -> bool {
        self.replaced.contains(&id)
    }

    /// Address and port of the one that speaks.
    pub fn peer(&self) -> Option<&Arc<str>> {
        self.speaking.as_ref().map(|connection| &connection.peer)
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
        let replaced = self.speaking.take().map(|connection| (connection.id, connection.peer));
        self.replaced.extend(replaced.as_ref().map(|(id, _)| *id));
        Some(Takeover { replaced, successor: self.let_speak(successor), is_flapping })
    }

    /// A connection has ended. `Some` if it was the one that spoke, with the oldest waiting one, which speaks now.
    pub fn closed(&mut self, id: ConnectionId) -> Option<Option<Successor>> {
        if !self.speaks(id) {
            self.replaced.retain(|replaced| *replaced != id);
            self.waiting.retain(|connection| connection.id != id);
            return None;
        }
        self.speaking = None;
        let successor = self.waiting.pop_front();
        Some(successor.map(|successor| self.let_speak(successor)))
    }

    fn let_speak(&mut self, mut connection: Connection) -> Successor {
        let bad_records = std::mem::take(&mut connection.bad_records);
        let successor = Successor { id: connection.id, peer: connection.peer.clone(), bad_records };
        self.speaking = Some(connection);
        successor
    }

    /// When [`Self::give_up`] has to be called if nothing happens before.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.waiting.front().map(|connection| connection.opened_at.plus(self.patience))
    }

    /// Connections that have waited too long: close them.
    pub fn give_up(&mut self, now: Timestamp) -> Vec<ConnectionId> {
        let mut given_up = Vec::new();
        while self.next_deadline().is_some_and(|deadline| deadline <= now) {
            given_up.extend(self.waiting.pop_front().map(|connection| connection.id));
        }
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
        assert_eq!(takeover.replaced, Some((1, "peer-1".into())));
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
        assert_eq!(session.closed(3), None);
        let successor = session.closed(1).unwrap().unwrap();
        assert_eq!(successor.id, 2);
        assert_eq!(session.closed(2), Some(None));
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
}
