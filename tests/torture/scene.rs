//! A scenario as it is played: the broker, the CMS, the lives of rtalink one after the other, and what they have read.
//!
//! What rtalink has read for sure is what its own metric says shortly before its end, less [`JUST_READ`]: it may lose
//! what it has just read, for nobody was told of it. Where a judgement fails, the folder with configuration, log and
//! store is kept.

use std::collections::HashSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::centre::{Centre, LAYOUT};
use super::child::{self, Rtalink};
use super::cms::Cms;
use super::judge::{Expected, Losses, Published, Verdict, judge};
use super::scenario::{Breaks, Delivery, Scenario, Size, is_full};
use crate::support::faulty_disk::FaultyDisk;
use crate::support::kafka::{Broker, InterruptedBroker, free_port, unique};
use crate::support::process::{program, rtalink};
use crate::support::sections;
use crate::support::topic::{self, Received};
use crate::support::wait::within;

/// Complete snapshots that may be lost with the process that has read them: half a second's, because what was read is on
/// disk one commit later at the earliest, and a disk that others use takes more than 100 ms for one now and then.
const JUST_READ: u64 = 10;
/// Snapshots without a change at the end: one shows absence, one confirms it, one more where that is suspect.
const STILL: u64 = 4;
/// Until everything that was read is acknowledged: a long outage leaves much.
const SETTLED: Duration = Duration::from_secs(180);
/// Until something shows on a page.
const SOON_TRUE: Duration = Duration::from_secs(60);
/// Until a process dies at its fail point.
const POINT_REACHED: Duration = Duration::from_secs(40);

/// A scenario under way.
pub(crate) struct Scene {
    scenario: Scenario,
    pub(crate) size: Size,
    rtalink: Option<Rtalink>,
    /// What is started instead of the program that is tested.
    pub(crate) program: Option<PathBuf>,
    /// Under its store, where the scenario needs one that hangs.
    disk: Option<FaultyDisk>,
    pub(crate) cms: Cms,
    kafka: Kafka,
    /// None once it is given away.
    folder: Option<TempDir>,
    topics: String,
    http: SocketAddr,
    rng: ChaCha8Rng,
    read: Vec<RangeInclusive<u64>>,
    /// So many of these are in Kafka for sure.
    published: usize,
    lives: usize,
    /// Restarted lives that have read long enough to say that there was a gap.
    announced: usize,
    /// Gaps besides: the journal had no room.
    pub(crate) overflows: usize,
    started: Instant,
    kills: u32,
    terminations: u32,
    broker_kills: u32,
    /// Released when everything else has ended.
    _alone: Option<MutexGuard<'static, ()>>,
}

/// Held by the scene that delivers exactly once to the shared broker: their integrations have one id, and with it their producers,
/// so that two of them would shut each other out.
static EXACTLY_ONCE: Mutex<()> = Mutex::new(());

enum Kafka {
    Shared(&'static Broker),
    Own(Broker),
    Interrupted(InterruptedBroker),
}

impl Scene {
    pub(crate) fn start(scenario: Scenario) -> Self {
        let (size, seed) = (scenario.size(), scenario.seed());
        let kafka = match scenario.breaks {
            Breaks::BrokerKills | Breaks::Outage | Breaks::DiskFull | Breaks::DiskFilled | Breaks::JournalFull => {
                Kafka::Interrupted(InterruptedBroker::start())
            }
            // One broker is halted, from the other one the service is kept away.
            Breaks::RestoredStore if scenario.delivery == Delivery::ExactlyOnce => {
                Kafka::Interrupted(InterruptedBroker::start())
            }
            // A broker ends after 25 minutes.
            _ if is_full() => Kafka::Own(Broker::start()),
            _ => Kafka::Shared(Broker::shared()),
        };
        let shares = matches!(kafka, Kafka::Shared(_)) && scenario.delivery == Delivery::ExactlyOnce;
        let alone = shares.then(|| EXACTLY_ONCE.lock());
        let folder = TempDir::new().expect("a temporary folder");
        let topics = unique("torture");
        let port = free_port();
        let [feed, http] = [port, port + 1].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        child::configure(folder.path(), &config(&kafka.bootstrap(), &scenario, &topics, feed, http));
        let cms = Cms::start(feed, Centre::new(size.agents, seed), size.refresh, size.pace);
        Self {
            scenario,
            size,
            rtalink: None,
            program: None,
            disk: (scenario.breaks == Breaks::HungDisk).then(FaultyDisk::new),
            cms,
            kafka,
            folder: Some(folder),
            topics,
            http,
            rng: ChaCha8Rng::seed_from_u64(!seed),
            read: Vec::new(),
            published: 0,
            lives: 0,
            announced: 0,
            overflows: 0,
            started: Instant::now(),
            kills: 0,
            terminations: 0,
            broker_kills: 0,
            _alone: alone,
        }
    }

    fn started_with(&self, environment: &[(&str, &str)]) -> Rtalink {
        let command = self.program.as_ref().map_or_else(rtalink, program);
        Rtalink::start_with(command, self.path(), self.http, environment)
    }

    /// Starts rtalink and waits until it is ready.
    pub(crate) fn live(&mut self) {
        let environment = self.disk.as_ref().map(FaultyDisk::environment);
        let rtalink = self.started_with(environment.as_ref().map_or(&[], |two| &two[..]));
        self.rtalink = Some(rtalink.ready(self.path()));
        self.lives += 1;
    }

    /// The same with these variables.
    pub(crate) fn live_with(&mut self, environment: &[(&str, &str)]) {
        let rtalink = self.started_with(environment);
        self.rtalink = Some(rtalink.ready(self.path()));
        self.lives += 1;
    }

    /// Starts it while Kafka is away, and waits until it is ready.
    pub(crate) fn live_without_kafka(&mut self) {
        let elsewhere = [("RTALINK__KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")];
        let environment = match &self.kafka {
            Kafka::Interrupted(broker) => {
                broker.halt();
                &[][..]
            }
            Kafka::Shared(_) | Kafka::Own(_) => &elsewhere[..],
        };
        self.live_with(environment);
    }

    /// Kafka comes back; another life, if this one cannot see it.
    pub(crate) fn find_kafka(&mut self) {
        if let Kafka::Interrupted(broker) = &self.kafka {
            broker.go_on();
        } else {
            self.kill();
            self.live();
        }
    }

    /// Waits until this life has read so many complete snapshots.
    pub(crate) fn reads(&self, snapshots: u64) {
        within(SETTLED, &format!("{snapshots} snapshots read"), || {
            (self.life().snapshots() >= snapshots).then_some(())
        });
    }

    /// Waits until Kafka has nearly all of what was read.
    pub(crate) fn catches_up(&self) {
        let nearly = self.size.agents as u64 / 2;
        within(SETTLED, "nearly everything acknowledged", || (self.life().pending() < nearly).then_some(()));
    }

    /// Waits until the CMS has written so many snapshots.
    pub(crate) fn sends(&self, snapshots: u64) {
        within(SETTLED, &format!("{snapshots} snapshots sent"), || {
            (self.cms.progress().last >= snapshots).then_some(())
        });
    }

    /// Starts rtalink and waits until CMS can dial in, where the store keeps it from being ready.
    pub(crate) fn live_unready(&mut self) {
        let rtalink = self.started_with(&[]);
        self.rtalink = Some(rtalink.listening(self.path()));
        self.lives += 1;
    }

    /// A life that ends by itself when it reaches a fail point for the `count`-th time.
    pub(crate) fn die_at(&mut self, point: &str, count: u32) {
        let at = format!("{point}:{count}");
        let connections = self.cms.progress().connections;
        let rtalink = self.started_with(&[("RTALINK_FAIL_POINT", &at)]);
        let died = rtalink.dies(POINT_REACHED);
        let snapshots = died.unwrap_or_else(|| panic!("{}: {at} was not reached in {POINT_REACHED:?}", self.name()));
        self.lives += 1;
        self.kills += 1;
        let progress = self.cms.progress();
        if snapshots > JUST_READ && progress.connections == connections + 1 {
            self.read.push(progress.first..=progress.first + snapshots - 1 - JUST_READ);
            self.announced += 1;
        }
    }

    /// Waits until this holds of the life.
    pub(crate) fn until(&self, what: &str, holds: impl Fn(&Rtalink) -> bool) {
        within(SOON_TRUE, &format!("{}: {what}", self.name()), || holds(self.life()).then_some(()));
    }

    /// Whatever was read so far is in Kafka.
    pub(crate) const fn mark_published(&mut self) {
        self.published = self.read.len();
    }

    /// What was read since then may be lost with the store.
    pub(crate) fn forget_unpublished(&mut self) {
        self.read.truncate(self.published);
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.rng.random_range(0..end.max(1))
    }

    /// A moment of at most that length.
    pub(crate) fn moment(&mut self, most: Duration) {
        let moment = most.mul_f64(self.rng.random_range(0.0..1.0));
        pass(moment);
    }

    /// True in so many of 100 cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_ratio(percent, 100)
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.remember(JUST_READ);
        self.ended().kill();
        self.kills += 1;
    }

    /// A life that ends before it is ready, or soon after.
    pub(crate) fn die_young(&mut self, most: Duration) {
        let rtalink = self.started_with(&[]);
        self.lives += 1;
        self.moment(most);
        rtalink.kill();
        self.kills += 1;
    }

    /// SIGTERM, after which it has to end well and soon.
    pub(crate) fn terminate(&mut self, soon: Duration) {
        self.remember(JUST_READ);
        let (code, took) = self.ended().terminate();
        assert_eq!(code, Some(0), "{}: after SIGTERM", self.name());
        assert!(took <= soon, "{}: {took:?} after SIGTERM", self.name());
        self.terminations += 1;
    }

    /// SIGTERM, after which it has to end soon, with the exit code that says that something is lost: of what this life has read
    /// only so many snapshots are safe. Returns how long it took.
    pub(crate) fn terminate_losing(&mut self, safe: u64, soon: Duration) -> Duration {
        self.remember_first(safe);
        let (code, took) = self.ended().terminate();
        assert_eq!(code, Some(1), "{}: after SIGTERM, with losses", self.name());
        assert!(took <= soon, "{}: {took:?} after SIGTERM", self.name());
        self.terminations += 1;
        took
    }

    /// SIGTERM, after which it has to end soon; what it has just read may be lost, and then it says so.
    pub(crate) fn terminate_at_once(&mut self, soon: Duration) {
        self.remember(JUST_READ);
        let (code, took) = self.ended().terminate();
        assert!(matches!(code, Some(0 | 1)), "{}: {code:?} after SIGTERM", self.name());
        assert!(took <= soon, "{}: {took:?} after SIGTERM", self.name());
        self.terminations += 1;
    }

    pub(crate) fn take_broker_away(&mut self) {
        self.interrupted().kill();
        self.broker_kills += 1;
    }

    pub(crate) fn bring_broker_back(&mut self) {
        self.interrupted().start_again();
    }

    /// Waits until nothing changes any more, and all that is known is acknowledged.
    pub(crate) fn settle(&mut self) {
        self.be_still();
        within(SETTLED, "everything acknowledged", || (self.life().pending() == 0).then_some(()));
    }

    /// Waits until nothing changes any more, and what did is read.
    pub(crate) fn be_still(&self) {
        let still = self.cms.be_still() + STILL;
        within(SETTLED, "the last snapshots read", || {
            (self.cms.progress().first + self.life().snapshots() > still).then_some(())
        });
    }

    /// Changes go on after [`Scene::settle`].
    pub(crate) fn go_on(&self) {
        self.cms.go_on();
    }

    pub(crate) const fn http(&self) -> SocketAddr {
        self.http
    }

    /// A topic of ours by the end of its name.
    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.topics)
    }

    /// What is on it.
    pub(crate) fn on(&self, name: &str) -> Vec<Received> {
        topic::read(&self.kafka.bootstrap(), &self.topic(name))
    }

    /// The broker, where nobody takes it away.
    pub(crate) fn broker(&self) -> &Broker {
        match &self.kafka {
            Kafka::Shared(broker) => broker,
            Kafka::Own(broker) => broker,
            Kafka::Interrupted(_) => panic!("{}: this broker goes", self.scenario.name),
        }
    }

    /// What all integrations have published.
    pub(crate) fn published_by_all(&self) -> Published {
        Published::read(&self.kafka.bootstrap(), &self.topics)
    }

    /// The topic of events.
    pub(crate) fn published(&self) -> Vec<Received> {
        Published::read(&self.kafka.bootstrap(), &self.topics).events
    }

    pub(crate) const fn delivery(&self) -> Delivery {
        self.scenario.delivery
    }

    /// What has been published by now, copies left out.
    pub(crate) fn events(&self) -> usize {
        let published = Published::read(&self.kafka.bootstrap(), &self.topics);
        let ids: HashSet<&String> = published.events.iter().map(|event| &event.headers["event_id"]).collect();
        ids.len()
    }

    /// Ends it, says in one line how it was, and panics if that was not as promised.
    pub(crate) fn judge(self) -> Verdict {
        self.judge_with(Losses::None, "")
    }

    /// The same where losses were announced; `more` goes into the line.
    pub(crate) fn judge_with(mut self, losses: Losses, more: &str) -> Verdict {
        self.settle();
        self.remember(0);
        let (code, _) = self.ended().terminate();
        let restarts = self.lives - 1;
        let centre = self.cms.centre();
        let expected = Expected {
            centre: &centre,
            read: &self.read,
            exactly_once: self.scenario.delivery == Delivery::ExactlyOnce,
            // A damaged store may have had the statuses.
            gaps: if losses == Losses::OfTheStore { 0 } else { self.announced + self.overflows }
                ..=restarts + self.overflows,
            losses,
        };
        let mut verdict = judge(&self.published_by_all().of("torture"), &expected);
        // Who has no time to end may not even get rid of the end of the feed.
        let may_lose = self.scenario.breaks == Breaks::NoGrace;
        if code != Some(0) && !(may_lose && code == Some(1)) {
            verdict.faults.add("not 0 after SIGTERM", format!("{code:?}"));
        }
        let panics = child::panics(self.path());
        if panics > 0 {
            verdict.faults.add("panics in the log", panics.to_string());
        }
        self.tell(&verdict, more);
        assert!(verdict.faults.is_empty(), "{}:\n{}", self.name(), verdict.faults);
        verdict
    }

    /// The line of counts.
    fn tell(&self, verdict: &Verdict, more: &str) {
        say(&format!(
            "{} (seed {}): {} kills, {} ends, {} broker kills, {} records sent, {} events published, {} duplicates, \
             {} lost, {} unseen in gaps, {} gaps announced, {more}{:.1} s: {}",
            self.name(),
            self.scenario.seed(),
            self.kills,
            self.terminations,
            self.broker_kills,
            self.cms.progress().records,
            verdict.events,
            verdict.duplicates,
            verdict.lost,
            verdict.unseen,
            verdict.gaps,
            self.started.elapsed().as_secs_f64(),
            if verdict.faults.is_empty() { "as promised" } else { "NOT as promised" },
        ));
    }

    /// Under the store of a scenario that has one that hangs.
    pub(crate) fn disk(&self) -> &FaultyDisk {
        self.disk.as_ref().expect("a scenario with one")
    }

    /// Snapshots that are on disk for sure, of those that this life has read.
    pub(crate) fn safe(&self) -> u64 {
        self.life().snapshots().saturating_sub(JUST_READ)
    }

    pub(crate) fn name(&self) -> String {
        format!("{} {}", self.scenario.name, self.scenario.delivery.name())
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.as_ref().expect("until the end").path()
    }

    pub(crate) fn life(&self) -> &Rtalink {
        self.rtalink.as_ref().expect("it lives")
    }

    fn ended(&mut self) -> Rtalink {
        self.rtalink.take().expect("it lives")
    }

    /// What this life has read, less so many of the last snapshots.
    fn remember(&mut self, just_read: u64) {
        self.remember_first(self.life().snapshots().saturating_sub(just_read));
    }

    /// So many of the snapshots that this life has read.
    fn remember_first(&mut self, snapshots: u64) {
        // The connection is this life's own if anything was read on it.
        if snapshots > 0 {
            let first = self.cms.progress().first;
            self.read.push(first..=first + snapshots - 1);
            self.announced += usize::from(self.lives > 1);
        }
    }

    fn interrupted(&mut self) -> &mut InterruptedBroker {
        match &mut self.kafka {
            Kafka::Interrupted(broker) => broker,
            Kafka::Shared(_) | Kafka::Own(_) => panic!("{}: this broker stays", self.scenario.name),
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(folder) = self.folder.take()
        {
            say(&format!("{}: see {}", self.name(), folder.keep().display()));
        }
    }
}

impl Kafka {
    fn bootstrap(&self) -> String {
        match self {
            Self::Shared(broker) => broker.bootstrap().to_owned(),
            Self::Own(broker) => broker.bootstrap().to_owned(),
            Self::Interrupted(broker) => broker.bootstrap(),
        }
    }
}

/// Lets load go on for so long. Nothing is waited for: when something breaks is meant to be at random.
#[allow(clippy::disallowed_methods)]
pub(crate) fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// A line that cargo does not hold back.
pub(crate) fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "torture {line}"); // a closed stderr is no failure
}

fn config(bootstrap: &str, scenario: &Scenario, topics: &str, feed: SocketAddr, http: SocketAddr) -> String {
    let topics = sections::topics(topics);
    format!(
        r#"
shutdown_grace = "{}"
[kafka]
bootstrap_servers = "{bootstrap}"
delivery = "{}"
partitions = 3
{topics}
[store]
{}
[http]
listen = "{http}"
{}{LAYOUT}"#,
        scenario.grace,
        scenario.delivery.name(),
        scenario.store,
        integration("torture", feed, ""),
    )
}

/// Returns the sections of one integration.
pub(crate) fn integration(id: &str, feed: SocketAddr, realtime: &str) -> String {
    format!(
        r#"
[[integration]]
id = "{id}"
kind = "avaya-cms"
acd = 1
details = true
[integration.realtime]
port = {}
bind = "127.0.0.1"
layout = "torture"
snapshot_end = "marker"
{realtime}
"#,
        feed.port(),
    )
}
