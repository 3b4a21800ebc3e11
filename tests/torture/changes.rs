//! Integrations that come, change and go while others are under load, all of it by SIGHUP.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::centre::Centre;
use super::child::{self, Rtalink};
use super::cms::Cms;
use super::judge::{Expected, Losses, Published, judge};
use super::repeat;
use super::scenario::Delivery;
use super::scene::{Scene, integration, say};
use crate::support::kafka::free_port;
use crate::support::wait::within;

const LEFT: &str = "rtalink_removed_integration_agents";
/// Until what was asked for has happened.
const PATIENCE: Duration = Duration::from_secs(60);
/// Snapshots that a connection brings at least before the next change.
const ENOUGH: u64 = 5;
/// Snapshots without a change at the end.
const STILL: u64 = 4;

/// One more integration of the same process, with a CMS of its own.
struct Other {
    id: &'static str,
    feed: SocketAddr,
    cms: Cms,
    /// The connection of which the next two are: its number, the snapshot that was read for sure when it was found, and how
    /// many had been counted by then.
    connection: u32,
    first: u64,
    counted: u64,
    read: Vec<RangeInclusive<u64>>,
}

impl Other {
    fn start(id: &'static str, scene: &Scene, seed: u64) -> Self {
        let feed = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let centre = Centre::new(scene.size.agents / 3, seed);
        let cms = Cms::start(feed, centre, scene.size.refresh, scene.size.pace);
        Self { id, feed, cms, connection: 0, first: 0, counted: 0, read: Vec::new() }
    }

    /// Its sections of the configuration.
    fn sections(&self, more: &str) -> String {
        integration(self.id, self.feed, more)
    }

    /// Waits until a connection after the last one is read.
    fn is_read(&mut self, life: &Rtalink) {
        let before = life.snapshots_of(self.id);
        within(PATIENCE, &format!("{} is read", self.id), || {
            let progress = self.cms.progress();
            let is_read = progress.connections > self.connection && life.snapshots_of(self.id) >= before + 2;
            is_read.then_some(())
        });
        let progress = self.cms.progress();
        (self.connection, self.first, self.counted) =
            (progress.connections, progress.first, life.snapshots_of(self.id));
        within(PATIENCE, &format!("{} is read for longer", self.id), || {
            (life.snapshots_of(self.id) >= self.counted + ENOUGH).then_some(())
        });
    }

    /// What was read for sure on the connection that is there.
    fn remember(&mut self, life: &Rtalink) {
        let read = life.snapshots_of(self.id) - self.counted;
        if read > 0 && self.cms.progress().connections == self.connection {
            self.read.push(self.first..=self.first + read - 1);
        }
    }

    /// Waits until nothing changes any more and that is read.
    fn settle(&self, life: &Rtalink) {
        let still = self.cms.be_still() + STILL;
        within(PATIENCE, &format!("{} is still", self.id), || {
            (self.first + (life.snapshots_of(self.id) - self.counted) > still).then_some(())
        });
    }

    fn judge(&self, published: &Published, exactly_once: bool, restarts: usize) -> String {
        let centre = self.cms.centre();
        let gaps = 0..=restarts;
        let expected = Expected { centre: &centre, read: &self.read, exactly_once, gaps, losses: Losses::None };
        let verdict = judge(&published.of(self.id), &expected);
        assert!(verdict.faults.is_empty(), "{}:\n{}", self.id, verdict.faults);
        format!("{}: {} events, {} lost, {} unseen in gaps", self.id, verdict.events, verdict.lost, verdict.unseen)
    }
}

/// Two integrations lose neither a connection nor an event while a third one comes, changes and goes; and nor does that.
pub(crate) fn changes(mut scene: Scene) {
    let toml = child::configuration(scene.path());
    let mut beside = Other::start("beside", &scene, 101);
    let mut third = Other::start("third", &scene, 102);
    let two = format!("{toml}{}", beside.sections(""));
    child::configure(scene.path(), &two);
    scene.live();
    scene.reads(3);
    beside.is_read(scene.life());
    let (mut restarts, times) = (0, scene.size.times);
    repeat(times, || {
        child::configure(scene.path(), &format!("{two}{}", third.sections("")));
        scene.life().hang_up();
        third.is_read(scene.life());
        scene.moment(Duration::from_millis(300));
        third.remember(scene.life());
        child::configure(scene.path(), &format!("{two}{}", third.sections("refresh_after = \"10m\"")));
        scene.life().hang_up();
        third.is_read(scene.life());
        scene.moment(Duration::from_millis(300));
        third.remember(scene.life());
        child::configure(scene.path(), &two);
        scene.life().hang_up();
        scene.until("the third is out", |life| life.metric(LEFT, "integration=\"third\"") > 0);
        restarts += 2;
    });
    child::configure(scene.path(), &format!("{two}{}", third.sections("")));
    scene.life().hang_up();
    third.is_read(scene.life());
    for other in [&mut beside, &mut third] {
        other.settle(scene.life());
        other.remember(scene.life());
    }
    scene.settle();
    assert_eq!(scene.cms.progress().connections, 1, "{}: it has never lost its connection", scene.name());
    assert_eq!(beside.cms.progress().connections, 1, "{}: nor has the one beside it", scene.name());
    let published = scene.published_by_all();
    let exactly_once = scene.delivery() == Delivery::ExactlyOnce;
    let told = [beside.judge(&published, exactly_once, 0), third.judge(&published, exactly_once, restarts)];
    say(&format!("{}: {times} times added, changed and removed; {}", scene.name(), told.join("; ")));
    scene.judge();
}
