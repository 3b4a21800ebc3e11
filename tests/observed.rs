//! The dashboards, rules and alerts of `deploy/` in a real Prometheus that scrapes real services.
//!
//! Every expression is run; every alert is made to fire by the fault that it is for, and ends with it.
#![cfg(feature = "service")]
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic here is a failed test

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use tempfile::TempDir;

mod support;

#[path = "observed/cms.rs"]
mod cms;
#[path = "observed/expressions.rs"]
mod expressions;
#[path = "observed/kafka.rs"]
mod kafka;
#[path = "observed/rules.rs"]
mod rules;

use cms::{Cms, Step, TEAM, snapshot, snapshot_of};
use expressions::{Expression, Kind};
use kafka::Refused;
use support::certificates::{Authority, DAY, NAME, Valid};
use support::faulty_disk::FaultyDisk;
use support::http;
use support::kafka::{Broker, InterruptedBroker, free_port, unique};
use support::process::Process;
use support::prometheus::{Prometheus, Sample, Target};
use support::service::folder;
use support::small_disk::SmallDisk;
use support::wait::{until_true, within};

/// In fast motion: long enough for the longest `for` behind the longest range.
const PATIENCE: Duration = Duration::from_secs(180);

/// A service with these integrations, each with the layout of [`cms`], everybody mapped.
struct Centre {
    process: Process,
    instance: &'static str,
    folder: TempDir,
    toml: String,
    topics: String,
}

impl Centre {
    fn start(instance: &'static str, kafka: &str, integrations: &[&str], extra: &str) -> Self {
        Self::start_in(folder(&[]), instance, kafka, integrations, "", extra)
    }

    /// With these settings of Kafka, and further tables.
    fn start_in(
        folder: TempDir,
        instance: &'static str,
        kafka: &str,
        integrations: &[&str],
        settings: &str,
        extra: &str,
    ) -> Self {
        let (toml, topics) = Self::configure(&folder, kafka, integrations, settings, extra);
        Self { process: Process::run(&folder, &toml), instance, folder, toml, topics }
    }

    fn start_on(disk: &FaultyDisk, instance: &'static str, kafka: &str, integrations: &[&str]) -> Self {
        let folder = folder(&[]);
        let (toml, topics) = Self::configure(&folder, kafka, integrations, "", "");
        Self { process: Process::run_in(&folder, &toml, &disk.environment()), instance, folder, toml, topics }
    }

    /// The configuration, and what its topics begin with.
    fn configure(
        folder: &TempDir,
        kafka: &str,
        integrations: &[&str],
        settings: &str,
        extra: &str,
    ) -> (String, String) {
        Self::write_mapping(folder);
        let topics = unique("observed");
        let mut toml = format!(
            r#"
            [kafka]
            bootstrap_servers = "{kafka}"
            partitions = 1
            {settings}
            [kafka.topics]
            events = "{topics}.events"
            current = "{topics}.current"
            feed_status = "{topics}.feed-status"
            dead_letter = "{topics}.dead-letter"
            checkpoint = "{topics}.checkpoint"
            [http]
            listen = "127.0.0.1:{}"
            {extra}
            "#,
            free_port()
        );
        for id in integrations {
            toml += &format!(
                r#"
                [[integration]]
                id = "{id}"
                kind = "avaya-cms"
                acd = 1
                time_zone = "Europe/Berlin"
                [integration.realtime]
                port = {}
                bind = "127.0.0.1"
                {}
                stale_after = "1s"
                [integration.mapping]
                users = "users.csv"
                activities = "activities.csv"
                "#,
                free_port(),
                reading(id)
            );
        }
        toml += cms::LAYOUT;
        (toml, topics)
    }

    fn write_mapping(folder: &TempDir) {
        fs::write(folder.path().join("users.csv"), cms::users()).unwrap();
        fs::write(folder.path().join("activities.csv"), cms::ACTIVITIES).unwrap();
    }

    /// A topic by the end of its name.
    fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.topics)
    }

    /// The same with another configuration.
    fn run_again(&mut self, toml: &str) {
        self.process.signal("TERM");
        self.process.wait();
        toml.clone_into(&mut self.toml);
        self.process = Process::run(&self.folder, &self.toml);
    }

    fn target(&self) -> Target {
        Target { instance: self.instance, address: self.process.http() }
    }

    fn cms(&self, integration: &str, fault: fn(u64) -> Step) -> Cms {
        Cms::start(self.process.feed_of(integration), fault)
    }

    /// Takes this configuration.
    fn reload(&self, toml: &str) {
        fs::write(self.folder.path().join("rtalink.toml"), toml).unwrap();
        self.process.signal("HUP");
    }

    /// From its next start on the last of its integrations is not in its configuration.
    fn take_out_the_last(&mut self) {
        let (before, rest) = self.toml.rsplit_once("[[integration]]").unwrap();
        let (_, layouts) = rest.split_once(cms::LAYOUT).unwrap();
        self.toml = format!("{before}{}{layouts}", cms::LAYOUT);
    }

    /// Ends without a word, and starts again at the same address.
    fn crash(&mut self) {
        self.process.signal("KILL");
        self.process.wait();
        self.process = Process::run(&self.folder, &self.toml);
    }
}

/// How an integration reads its feed. One has a report that may list somebody twice, one shows local times.
fn reading(integration: &str) -> String {
    let (layout, end, shortest_refresh) = match integration {
        "by-split" => ("short", "repeat", "40ms"),
        "spring" => ("local", "marker", "0s"),
        _ => ("short", "marker", "0s"),
    };
    // Nobody is there.
    let forward = if integration == "alone" { "forward = [\"127.0.0.1:1\"]" } else { "" };
    format!("layout = \"{layout}\"\n{forward}\nsnapshot_end = \"{end}\"\nshortest_refresh = \"{shortest_refresh}\"")
}

/// A fault of a feed, the integration that has it, and the alerts that it has to cause.
struct Fault {
    integration: &'static str,
    alerts: &'static [&'static str],
    play: fn(u64) -> Step,
}

/// A small journal, and a client that tries its broker often: the rules' durations pass faster here.
const CUT_OFF: &str =
    "[store]\njournal_max_size = \"2MiB\"\n[kafka.properties]\n\"reconnect.backoff.max.ms\" = \"100\"";

/// No alert may ever fire for it.
const HEALTHY: &str = "healthy";

const FAULTS: &[Fault] = &[
    Fault { integration: "down", alerts: &["RtalinkFeedDown"], play: |_| Step::HangUp },
    Fault {
        integration: "idle",
        alerts: &["RtalinkFeedDownIdle"],
        play: |step| if step < 10 { Step::Send(snapshot(step, 0..0)) } else { Step::HangUp },
    },
    Fault { integration: "silent", alerts: &["RtalinkFeedStale"], play: |_| Step::Silence },
    Fault {
        integration: "cut",
        alerts: &["RtalinkSnapshotsIncomplete"],
        play: |step| Step::Redial(snapshot(step, 0..TEAM / 2).replace("END\n", "")),
    },
    Fault {
        integration: "garbage",
        alerts: &["RtalinkDeadLettersRising"],
        play: |step| Step::Send("no|such|record|\n\u{0}\n".to_owned() + &snapshot(step, 0..TEAM)),
    },
    Fault {
        integration: "strangers",
        alerts: &["RtalinkUnmappedUsers", "RtalinkUnmappedActivities"],
        play: |_| Step::Send(snapshot_of(0..TEAM + 5, |agent| if agent < TEAM { "A" } else { "W" })),
    },
    Fault { integration: "link", alerts: &["RtalinkLinkDown"], play: |_| Step::Send(snapshot_of(0..TEAM, |_| "U")) },
    Fault {
        integration: "halved",
        alerts: &["RtalinkSnapshotSuspect"],
        play: |step| Step::Send(snapshot(step, 0..if step % 8 < 2 { TEAM / 4 } else { TEAM })),
    },
    Fault { integration: "twins", alerts: &["RtalinkFeedFlapping"], play: |step| Step::Twin(snapshot(step, 0..TEAM)) },
    Fault {
        integration: "unreadable",
        alerts: &["RtalinkFeedUnreadable"],
        play: |_| Step::Send(snapshot_of(0..TEAM, |_| "Z")),
    },
    Fault {
        integration: "illegible",
        alerts: &["RtalinkRecordsUnreadable"],
        play: |_| Step::Send("ERROR 17: report not available\n".to_owned()),
    },
    Fault {
        integration: "endless",
        alerts: &["RtalinkNoSnapshot"],
        play: |step| Step::Send(snapshot(step, 0..TEAM).replace("END\n", "")),
    },
    Fault {
        integration: "by-split",
        alerts: &["RtalinkRepeatedRows"],
        play: |step| Step::Send(snapshot(step, 0..TEAM) + &snapshot(step, 0..TEAM)),
    },
    Fault {
        integration: "spring",
        alerts: &["RtalinkImpossibleTimes"],
        play: |step| Step::Send(snapshot(step, 0..TEAM).replace("|\n", "|29.03.2026 02:30:00\n")),
    },
    Fault { integration: "alone", alerts: &["RtalinkNotForwarded"], play: |step| Step::Send(snapshot(step, 0..TEAM)) },
    Fault {
        integration: "scanned",
        alerts: &["RtalinkFeedProbed"],
        play: |step| Step::Probed(snapshot(step, 0..TEAM)),
    },
];

/// One change with every snapshot.
fn normal(step: u64) -> Step {
    Step::Send(snapshot(step, 0..TEAM))
}

/// Everybody changes with every snapshot.
fn hectic(step: u64) -> Step {
    Step::Send(snapshot_of(0..TEAM, |agent| if u64::from(agent % 2) == step % 2 { "C" } else { "A" }))
}

/// What happens to a whole service, and the alerts that it has to cause.
struct Trouble {
    instance: &'static str,
    alerts: &'static [&'static str],
}

/// Its broker answers every second and a half.
const SLOW: &str = "RtalinkEventLatencyHigh";

const TROUBLES: &[Trouble] = &[
    // Its broker is away, for longer than its journal lasts, and somebody spoils its configuration.
    Trouble {
        instance: "cut-off",
        alerts: &[
            "RtalinkKafkaErrors",
            "RtalinkJournalGrowing",
            "RtalinkJournalFilling",
            "RtalinkTransitionsLost",
            "RtalinkJournalOld",
            "RtalinkReloadRefused",
        ],
    },
    // Something else takes all room on the disk of its store.
    Trouble {
        instance: "small-disk",
        alerts: &["RtalinkStoreTrouble", "RtalinkNotReady", "RtalinkDiskRunningOut", "RtalinkDiskFilling"],
    },
    // The disk of its store does not come back.
    Trouble { instance: "hung-disk", alerts: &["RtalinkStoreTrouble", "RtalinkNotReady", "RtalinkJournalOld"] },
    // It is killed again and again, and one of its integrations is taken out, but not out of its store.
    Trouble { instance: "crashing", alerts: &["RtalinkIntegrationRemoved"] },
    // Kafka does not take what they have.
    Trouble { instance: "no-topic", alerts: &["RtalinkTopicMissing"] },
    Trouble { instance: "other-clock", alerts: &["RtalinkTimestampRefused"] },
    Trouble { instance: "shut-out", alerts: &["RtalinkSuperseded"] },
    // It ends and does not come back.
    Trouble { instance: "gone", alerts: &["RtalinkDown"] },
    // Somebody has paused it and forgotten that; its port gets a certificate that runs out soon, its report is faster than
    // they think, and a shell is left open on its store.
    Trouble {
        instance: "paused",
        alerts: &[
            "RtalinkPausedForLong",
            "RtalinkCertificateRunsOut",
            "RtalinkShortestRefreshTooLong",
            "RtalinkStoreLogGrows",
        ],
    },
];

/// A service is killed, and started again, until that is told.
const CRASHING: &str = "RtalinkRestarting";

/// Prometheus has lost its targets.
const NO_TARGET: &str = "RtalinkAbsent";

/// Whether an alert outlasts its fault, for longer than the test: whoever has been seen stays unmapped until a mapping
/// comes, a start that found trouble is told for a quarter of an hour, what is gone stays away, people stay in a store, and
/// nobody starts the tool to which a feed is forwarded.
///
/// The disk of the machine is not ours: in fast motion a build beside the test fills it.
fn lasts(alert: &str) -> bool {
    let lasting = [
        "RtalinkUnmapped",
        "RtalinkStoreTrouble",
        "RtalinkStoreBehindKafka",
        "RtalinkDown ",
        "RtalinkIntegrationRemoved",
        "RtalinkNotForwarded",
    ];
    lasting.iter().any(|name| alert.starts_with(name))
        || alert.starts_with("RtalinkDiskFilling") && !alert.contains("small-disk")
}

/// Waits until these alerts of an instance have fired; of any of its integrations, where `integration` is empty.
fn wait_for(prometheus: &Prometheus, instance: &str, integration: &str, alerts: &[&str]) {
    for alert in alerts {
        within(PATIENCE, &format!("{alert} of {instance} {integration}"), || {
            prometheus.fired().iter().any(|sample| is(sample, instance, integration, alert)).then_some(())
        });
    }
}

fn is(sample: &Sample, instance: &str, integration: &str, alert: &str) -> bool {
    sample.label("alertname") == alert
        && sample.label("instance") == instance
        && (integration.is_empty() || sample.label("integration") == integration)
}

fn told(alerts: &[Sample]) -> BTreeSet<String> {
    let tell = |sample: &Sample| {
        format!("{} {} {}", sample.label("alertname"), sample.label("instance"), sample.label("integration"))
    };
    alerts.iter().map(tell).collect()
}

#[test]
fn every_alert_fires_on_its_fault_and_ends_with_it() {
    let mut kafka = InterruptedBroker::start();
    let shared = Broker::shared().bootstrap();
    let integrations: Vec<&str> = FAULTS.iter().map(|fault| fault.integration).chain([HEALTHY]).collect();
    let centre = Centre::start("centre", shared, &integrations, "");
    let cut_off = Centre::start("cut-off", &kafka.bootstrap(), &["a"], CUT_OFF);
    let disk = folder(&[]);
    let small = SmallDisk::mount(&disk.path().join("data"), "64m");
    let small_disk = Centre::start_in(disk, "small-disk", shared, &["a"], "", "[store]\ndirectory = \"data\"");
    let hanging = FaultyDisk::new();
    let hung_disk = Centre::start_on(&hanging, "hung-disk", shared, &["a"]);
    let mut gone = Some(Centre::start("gone", shared, &["a"], ""));
    let mut crashing = Centre::start("crashing", shared, &["a", "taken-out"], "");
    let paused = Centre::start("paused", shared, &["a"], "");
    let mut refused = Refused::start(Broker::shared());

    let players: Vec<Cms> = FAULTS.iter().map(|fault| centre.cms(fault.integration, fault.play)).collect();
    let taken_out = crashing.cms("taken-out", normal);
    let _healthy = centre.cms(HEALTHY, |_| Step::Silence);
    let others = [
        (&cut_off, hectic as fn(u64) -> Step),
        (&small_disk, normal),
        (&hung_disk, normal),
        (&crashing, normal),
        (&paused, normal),
    ];
    let others = others.map(|(centre, play)| centre.cms("a", play));
    let gone_target = gone.as_ref().map(Centre::target);
    let of_refused = [&refused.no_topic, &refused.other_clock, &refused.shut_out];
    let targets: Vec<Target> = [&centre, &cut_off, &small_disk, &hung_disk, &crashing, &paused]
        .into_iter()
        .chain(of_refused)
        .map(Centre::target)
        .chain(gone_target)
        .collect();
    let prometheus = Prometheus::start(&targets, &rules::in_fast_motion(), "250ms");
    let without_targets = Prometheus::start(&[], &rules::in_fast_motion(), "250ms");
    let count = targets.len();
    until_true("a while without a fault", || {
        let seen = prometheus.query("sum(count_over_time(up[6s]) >= bool 20)").unwrap();
        seen.first().is_some_and(|sample| sample.value as usize == count)
    });
    assert_eq!(told(&prometheus.firing()), BTreeSet::new(), "nothing is wrong yet");

    // Faults of feeds, and of services.
    others[0].fault(true);
    refused.begin();
    players.iter().for_each(|cms| cms.fault(true));
    drop(gone.take());
    drop(taken_out);
    crashing.take_out_the_last();
    cut_off.reload(&cut_off.toml.replace("acd = 1", "acd = one"));
    small.iter().for_each(|disk| _ = disk.fill());
    hanging.hangs();
    let post = |what: &str| http::post(paused.process.http(), &format!("/api/v1/integrations/a/{what}")).status;
    assert_eq!(post("pause"), 200);
    let ca = Authority::new(paused.folder.path(), "ours");
    let certificate = ca.sign("rtalink", NAME, Valid::For(10 * DAY)).section("");
    let too_long = paused.toml.replace("shortest_refresh = \"0s\"", "shortest_refresh = \"900ms\"");
    paused.reload(&format!("{too_long}\n{certificate}"));
    let shell = open_shell(&paused.folder.path().join("data"));
    within(PATIENCE, "a service that is killed again and again is told", || {
        crashing.crash();
        // Prometheus knows a process by the second of its start.
        std::thread::park_timeout(Duration::from_secs(1));
        prometheus.fired().iter().any(|sample| is(sample, "crashing", "", CRASHING)).then_some(())
    });
    within(PATIENCE, "a slow broker is told", || {
        kafka.halt();
        std::thread::park_timeout(Duration::from_millis(1_500));
        kafka.go_on();
        std::thread::park_timeout(Duration::from_millis(100));
        let firing = prometheus.firing();
        firing.iter().any(|sample| is(sample, "cut-off", "", SLOW)).then_some(())
    });
    kafka.kill();
    for Fault { integration, alerts, .. } in FAULTS {
        wait_for(&prometheus, "centre", integration, alerts);
    }
    // Who may not mount a small disk cannot fill it either.
    let (played, not_played): (Vec<_>, Vec<_>) =
        TROUBLES.iter().partition(|trouble| small.is_some() || trouble.instance != "small-disk");
    for Trouble { instance, alerts } in played {
        wait_for(&prometheus, instance, "", alerts);
    }
    refused.take_back();
    wait_for(&prometheus, "shut-out", "", &["RtalinkStoreBehindKafka"]);
    let not_played: Vec<&str> = not_played.iter().flat_map(|trouble| trouble.alerts).copied().collect();
    let fired = prometheus.fired();
    let unfounded = |sample: &&Sample| sample.label("integration") == HEALTHY;
    assert!(!fired.iter().any(|sample| unfounded(&sample)), "{:?}", told(&fired));
    let list: String = told(&fired).iter().map(|alert| format!("{alert}\n")).collect();
    fs::write(for_a_look().join("alerts.txt"), list).unwrap();
    let fired: BTreeSet<&str> = fired.iter().map(|sample| sample.label("alertname")).collect();
    let defined = prometheus.alerts();
    until_true("nothing to scrape", || {
        without_targets.firing().iter().any(|sample| sample.label("alertname") == NO_TARGET)
    });
    let seen_elsewhere = [SLOW, CRASHING, NO_TARGET];
    let known = |alert: &str| fired.contains(alert) || seen_elsewhere.contains(&alert) || not_played.contains(&alert);
    assert!(defined.iter().all(|alert| known(alert)), "no fault is known for one of {defined:?}");

    // And all of them end.
    players.iter().chain(&others).for_each(|cms| cms.fault(false));
    refused.end();
    small.iter().for_each(SmallDisk::free);
    hanging.is_sound();
    kafka.start_again();
    assert_eq!(post("resume"), 200);
    drop(shell);
    paused.reload(&paused.toml);
    cut_off.reload(&cut_off.toml);
    within(PATIENCE, "the faults are over, and so are their alerts", || {
        let left: Vec<String> = told(&prometheus.firing()).into_iter().filter(|alert| !lasts(alert)).collect();
        left.is_empty().then_some(())
    });
}

/// Another program with an open transaction on a store, into whose log much is written since.
fn open_shell(store: &Path) -> Connection {
    const MUCH: i64 = 140 << 20;
    let open = || {
        let connection = Connection::open(store.join("journal.db")).unwrap();
        connection.busy_timeout(PATIENCE).unwrap();
        connection
    };
    let shell = open();
    shell.execute_batch("BEGIN").unwrap();
    shell.query_row("SELECT count(*) FROM journal", [], |row| row.get::<_, i64>(0)).unwrap();
    let guest = open();
    guest.execute_batch("CREATE TABLE guest (bytes BLOB)").unwrap();
    guest.execute("INSERT INTO guest VALUES (zeroblob(?1))", [MUCH]).unwrap();
    guest.execute_batch("DROP TABLE guest").unwrap();
    shell
}

/// Scraping as the dashboards expect it; `$__rate_interval` is four scrapes.
const SCRAPE: &str = "1s";
const RATE_INTERVAL: &str = "4s";

/// What says since when there is no data; empty while there is.
const PICTURE_COMPLETE: &str = "Is the picture complete? / A";

/// What fails: an error of Prometheus, or nothing where there must be something.
fn failures(prometheus: &Prometheus, may_be_empty: impl Fn(&Expression) -> bool) -> Vec<String> {
    let failure = |expression: &Expression| match prometheus.query(&expression.text) {
        Err(error) => Some(format!("{}: {error}: {}", expression.place, expression.text)),
        Ok(samples) if samples.is_empty() && !may_be_empty(expression) => {
            Some(format!("{}: no data: {}", expression.place, expression.text))
        }
        Ok(_) => None,
    };
    expressions::of_dashboards(RATE_INTERVAL).iter().filter_map(failure).collect()
}

#[test]
fn every_expression_of_the_dashboards_gives_data() {
    let fresh = Centre::start("fresh", "embedded", &["a"], "");
    let prometheus = Prometheus::start(&[fresh.target()], &rules::as_they_are(), SCRAPE);
    let scraped = |times: u32| {
        until_true("some scrapes", || {
            let count = prometheus.query("count_over_time(up[1h])").unwrap();
            count.first().is_some_and(|sample| sample.value >= f64::from(times))
        });
    };
    scraped(5);
    // A panel without data has to say in words why.
    let failed =
        failures(&prometheus, |expression| expression.no_value.is_some() || expression.kind == Kind::Annotation);
    assert_eq!(failed, Vec::<String>::new(), "on a fresh install");

    let cms = fresh.cms("a", |step| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let team = snapshot(step, 0..TEAM).replace("1019|A", "1019|P").replace("|\n", &format!("|{now}\n"));
        Step::Send("no|such|record\n".to_owned() + &team)
    });
    cms.fault(true);
    scraped(20);
    // What marks or tells only what is wrong has nothing to show.
    let is_for_trouble =
        |expression: &Expression| expression.kind == Kind::Annotation || expression.place.contains(PICTURE_COMPLETE);
    assert_eq!(failures(&prometheus, is_for_trouble), Vec::<String>::new(), "while CMS speaks");
    assert_eq!(prometheus.failed_rules(), Vec::<String>::new());
    leave_for_a_look(&prometheus);

    let is_lost = |expression: &Expression| {
        expression.place.contains(PICTURE_COMPLETE) || expression.place.ends_with("annotation \"Feed lost\"")
    };
    let before = unix_millis();
    drop(cms);
    until_true("what is for a loss shows it", || failures(&prometheus, |expression| !is_lost(expression)).is_empty());
    let after = unix_millis();
    // All others are absent.
    let again = fresh.cms("a", |step| Step::Send(snapshot(step, 0..2)));
    until_true("CMS is back", || marks(&prometheus, "Feed back").len() == 1);
    again.fault(true);
    for what in ["pause", "resume"] {
        let path = format!("/api/v1/integrations/a/{what}");
        assert_eq!(http::post(fresh.process.http(), &path).status, 200, "{what}");
    }
    until_true("each kind of mark is there", || {
        failures(&prometheus, |expression| expression.kind != Kind::Annotation).is_empty()
    });
    // A mark for each change, and at its time, however often it was asked for meanwhile.
    let lost = marks(&prometheus, "Feed lost");
    assert_eq!(lost.len(), 1, "{lost:?}");
    assert!(lost[0] >= before && lost[0] <= after, "{before} {lost:?} {after}");
    let both = marks(&prometheus, "Publishing paused, resumed");
    assert!(both.len() == 2 && both.iter().all(|at| *at >= after), "{both:?}");
}

fn unix_millis() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1e3
}

/// The times of the marks of that name that Grafana would show, in milliseconds: the values of all steps, each once per series.
fn marks(prometheus: &Prometheus, name: &str) -> Vec<f64> {
    let all = expressions::of_dashboards(RATE_INTERVAL);
    let place = format!("annotation {name:?}");
    let mark = all.iter().find(|expression| expression.place.ends_with(&place)).unwrap();
    let now = unix_millis() / 1e3;
    let mut times: Vec<f64> = Vec::new();
    for mut values in prometheus.query_range(&mark.text, now - 60.0, now) {
        values.dedup();
        times.extend(values);
    }
    times.sort_by(f64::total_cmp);
    times
}

/// `target/tmp/observed`, for whoever wants to look: which alerts fired where, every expression with how much it gave, a
/// picture of each dashboard.
fn for_a_look() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("observed");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn leave_for_a_look(prometheus: &Prometheus) {
    let folder = for_a_look();
    let asked = |Expression { place, text, .. }: &Expression| {
        let samples = prometheus.query(text).unwrap().len();
        format!("{place} ({samples}): {text}\n")
    };
    let list: String = expressions::of_dashboards(RATE_INTERVAL).iter().map(asked).collect();
    fs::write(folder.join("expressions.txt"), list).unwrap();
    for dashboard in expressions::dashboards() {
        let picture = folder.join(dashboard.file_name().unwrap()).with_extension("png");
        let drawn = prometheus.draw(&dashboard, &picture).output().unwrap();
        assert!(drawn.status.success(), "{}", String::from_utf8_lossy(&drawn.stderr));
    }
}
