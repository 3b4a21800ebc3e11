//! One integration from bytes to annotated events: wire, session, state and mapping, wired together.
//!
//! No I/O and no waiting: a worker drives it from sockets, `replay` from a capture, and both get the same findings for the
//! same input. The engine belongs to one thread.

//!
//! ```
//! use std::sync::Arc;
//!
//! use rtalink::config;
//! use rtalink::engine::{Engine, Finding};
//! use rtalink::mapping::tables::{Activity, IdentifyBy, MappingTables};
//! use rtalink::time::Timestamp;
//! use rtalink::wire::framing::{Piece, Run};
//! use rtalink::wire::plan::Plan;
//!
//! let file = r#"
//!     [kafka]
//!     bootstrap_servers = "localhost:9092"
//!     [[integration]]
//!     id = "berlin"
//!     kind = "avaya-cms"
//!     acd = 1
//!     realtime = { port = 7001, bind = "127.0.0.1", layout = "short", mode = "event" }
//!     [layout.short]
//!     separator = " "
//!     columns = ["login_id", "state"]
//!     states = "cms-names"
//! "#;
//! let config = config::parse(file, "rtalink.toml".as_ref(), []).config.expect("a valid file");
//! let integration = &config.integrations[0];
//! let layout = &integration.realtime.as_ref().expect("a feed").layout;
//!
//! let plan = Plan::compile(layout, "UTC")?;
//! let present = Activity { activity_id: "1".to_owned(), activity_name: "Present".to_owned() };
//! let mapping = MappingTables {
//!     version: 1,
//!     identify_by: IdentifyBy::LoginId,
//!     users: Default::default(),
//!     scoped: Default::default(),
//!     names: Default::default(),
//!     activities: Default::default(),
//!     default_activity: Arc::new(present),
//! };
//! let mut engine = Engine::new(integration.settings.clone(), Arc::clone(&plan), Arc::new(mapping));
//!
//! let (at, mut found) = (Timestamp::from_millis(1_000), Vec::new());
//! engine.open(1, &"10.1.2.3:40000".into(), at, &mut found);
//! let run = Run { bytes: "4711 AVAIL\n4711 AVAIL\n4711 AUX\n".into(), offset: 0 };
//! engine.receive(1, &plan, &Piece::Records(run), at, &mut found);
//! let events = found.iter().filter_map(|finding| match finding {
//!     Finding::Event(event, mapped) => Some((event.cause.name(), &*mapped.external_activity)),
//!     _ => None,
//! });
//! assert!(events.eq([("OBSERVED", "AVAIL"), ("CHANGED", "AUX")]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
pub mod behind;
#[cfg(test)]
mod clock_tests;
mod connections;
mod finding;
mod receive;
mod remapping;
pub mod replay;
mod saved;
mod seam;
pub mod session;
mod share;
pub mod survey;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::mapping::annotate::{Annotator, Published};
use crate::mapping::tables::MappingTables;
use crate::time::Timestamp;
use crate::tracker::Tracker;
use crate::tracker::event::Output;
use crate::tracker::settings::{Thresholds, TrackerSettings};
use crate::tracker::status::{FeedFigures, Totals};
use crate::tracker::table::AgentIndex;
use crate::wire::decode::Decoder;
use crate::wire::plan::Plan;

pub use self::finding::{CloseReason, DeadLetter, Finding};
pub use self::seam::Begun;
pub use self::share::Share;

use self::seam::Seam;
use self::session::{ConnectionId, Session};

/// Time spent in a batch, by stage. The rest is decoding.
#[derive(Clone, Copy, Debug, Default)]
pub struct StageTimes {
    /// In the tracker, for records that had to be decoded.
    pub track: Duration,
    /// In the mapping.
    pub map: Duration,
}

/// Turns the bytes of one integration into annotated events.
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    decoder: Decoder,
    session: Session,
    seam: Seam,
    tracker: Tracker,
    annotator: Annotator,
    totals: Totals,
    outputs: Vec<Output>,
    /// What the tracker has reported and nobody has taken yet, and since when.
    waiting: VecDeque<Output>,
    waiting_since: Timestamp,
    /// Agents for whom the mapping may have changed, and since when.
    affected: VecDeque<AgentIndex>,
    /// About how much is found in one call.
    most_findings: usize,
    /// When rows of the mapping begin to count or cease to; known once it has been judged at any moment.
    mapping_changes_at: Option<Timestamp>,
    /// When it was judged last.
    mapping_judged_at: Option<Timestamp>,
    /// Agents who are published anew with the mapping, whatever it says about them.
    owed: Vec<AgentIndex>,
    clock: quanta::Clock,
    stages: StageTimes,
    decodes_everything: bool,
}

impl Engine {
    /// Creates an engine for one integration.
    pub fn new(settings: TrackerSettings, plan: Arc<Plan>, mapping: Arc<MappingTables>) -> Self {
        Self {
            decoder: Decoder::default(),
            session: Session::new(settings.thresholds.stale_after),
            seam: Seam::default(),
            tracker: Tracker::new(settings, &plan),
            annotator: Annotator::new(mapping),
            totals: Totals::default(),
            outputs: Vec::new(),
            waiting: VecDeque::new(),
            waiting_since: Timestamp::default(),
            affected: VecDeque::new(),
            most_findings: usize::MAX,
            mapping_changes_at: None,
            mapping_judged_at: None,
            owed: Vec::new(),
            clock: quanta::Clock::new(),
            stages: StageTimes::default(),
            decodes_everything: false,
            plan,
        }
    }

    /// Decodes every record from now on, even those that say nothing new. For tests: nothing else may change.
    pub const fn decode_everything(&mut self) {
        self.decodes_everything = true;
    }

    /// The sequence of an agent's last event.
    fn sequence(&self, index: AgentIndex) -> u64 {
        self.tracker.table().get(index).sequence
    }

    const fn tracker_mut(&mut self) -> &mut Tracker {
        &mut self.tracker
    }

    /// The last event of an agent is another instance's.
    fn published_elsewhere(&mut self, index: AgentIndex, published: Option<Published>) {
        debug_assert!(!self.has_more());
        self.annotator.restore(index, published);
    }

    /// The tracker, for figures about agents.
    pub const fn tracker(&self) -> &Tracker {
        &self.tracker
    }

    /// Returns agents who were not seen for so long while the feed was listened to, and are not in it; at most so many.
    pub fn not_seen_for(&mut self, age: Duration, now: Timestamp, most: usize) -> Vec<AgentIndex> {
        self.tracker.not_seen_for(age, now, most)
    }

    /// The connections.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// Returns where in the bytes of the speaking connection its last snapshot began.
    pub fn begun(&self) -> Option<Begun> {
        self.seam.begun()
    }

    /// Figures since the start.
    pub fn totals(&self) -> Totals {
        let impossible_times = self.tracker.impossible_times();
        let (records, absorbed) = (self.tracker.counts(), self.tracker.absorbed());
        Totals { records, absorbed, impossible_times, probes: self.session.probes(), ..self.totals }
    }

    /// Time spent since the last call, by stage.
    pub fn take_stage_times(&mut self) -> StageTimes {
        std::mem::take(&mut self.stages)
    }

    /// Reports that no byte came on a connection for `snapshot_idle` while it was read, and no record is half read.
    pub fn idle(&mut self, id: ConnectionId, at: Timestamp, out: &mut Vec<Finding>) {
        if self.session.speaks(id) {
            self.settle(out);
            self.seam.silence();
            self.tracker.idle(at, &mut self.outputs);
            self.drain_share(at, out);
        }
    }

    /// Returns when [`Self::tick`] has to be called if nothing happens first.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        // What is not carried out yet may make more due.
        let rest = self.has_more().then_some(self.waiting_since);
        let deadlines = [rest, self.tracker.next_deadline(), self.session.next_deadline(), self.mapping_changes_at];
        deadlines.into_iter().flatten().min()
    }

    /// Time has passed. Rows of the mapping that have begun to count or ceased to by then are told for those whom they change.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        for id in self.session.give_up(now) {
            out.push(Finding::Close(id, CloseReason::NoValidRecord));
        }
        self.tracker.tick(now, &mut self.outputs);
        while self.tracker.has_crowd() {
            self.drain_share(now, out);
            if self.has_more() {
                return;
            }
            // Everything else that was due comes after the crowd.
            self.tracker.do_what_is_due(now, &mut self.outputs);
        }
        self.drain_share(now, out);
        self.judge_from(now);
        if self.mapping_changes_at.is_some_and(|at| at <= now) && !self.has_more() {
            self.judge_all(now);
            self.go_on(out);
        }
    }

    /// The input has ended for good.
    pub fn end_of_input(&mut self, at: Timestamp, out: &mut Vec<Finding>) {
        self.settle(out);
        self.tracker.end_of_input(at, &mut self.outputs);
        self.drain(at, out);
    }

    /// Takes new thresholds.
    pub fn set_thresholds(&mut self, thresholds: Thresholds) {
        debug_assert!(!self.has_more());
        self.tracker.set_thresholds(thresholds);
        self.session.set_patience(thresholds.stale_after);
    }

    /// A batch carries the plan it was framed with: a different one begins another snapshot.
    fn set_plan(&mut self, plan: &Arc<Plan>, at: Timestamp, out: &mut Vec<Finding>) {
        if Arc::ptr_eq(&self.plan, plan) {
            return;
        }
        self.plan = Arc::clone(plan);
        self.tracker.set_layout(plan, at, &mut self.outputs);
        self.drain(at, out);
    }

    /// Returns the state of the feed.
    pub fn figures(&self) -> FeedFigures {
        FeedFigures {
            peer: self.session.peer().cloned(),
            last_record_at: self.tracker.last_valid(),
            totals: self.totals(),
            logged_in: u32::try_from(self.tracker.table().logged_in()).unwrap_or(u32::MAX),
        }
    }
}
