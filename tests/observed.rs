//! The dashboards, rules and alerts of `deploy/` in a real Prometheus that scrapes real services.
//!
//! Every expression is run; every alert is made to fire by the fault that it is for, and ends with it.
#![allow(clippy::expect_used, clippy::unwrap_used)] // a panic here is a failed test

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tempfile::TempDir;

mod support;

#[path = "observed/cms.rs"]
mod cms;
#[path = "observed/expressions.rs"]
mod expressions;
#[path = "observed/prometheus.rs"]
mod prometheus;
#[path = "observed/rules.rs"]
mod rules;

use cms::{Cms, Step, TEAM, snapshot, snapshot_of};
use expressions::Kind;
use prometheus::{Prometheus, Target};
use support::http;
use support::kafka::{Broker, InterruptedBroker, free_port, unique};
use support::process::Process;
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
}

impl Centre {
    fn start(instance: &'static str, kafka: &str, integrations: &[&str], extra: &str) -> Self {
        Self::start_in(folder(&[]), instance, kafka, integrations, extra)
    }

    fn start_in(folder: TempDir, instance: &'static str, kafka: &str, integrations: &[&str], extra: &str) -> Self {
        std::fs::write(folder.path().join("users.csv"), cms::users()).unwrap();
        std::fs::write(folder.path().join("activities.csv"), cms::ACTIVITIES).unwrap();
        let topics = unique("observed");
        let mut toml = format!(
            r#"
            [kafka]
            bootstrap_servers = "{kafka}"
            partitions = 1
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
                [integration.realtime]
                port = 0
                bind = "127.0.0.1"
                layout = "short"
                snapshot_end = "marker"
                stale_after = "1s"
                [integration.mapping]
                users = "users.csv"
                activities = "activities.csv"
                "#
            );
        }
        toml += cms::LAYOUT;
        Self { process: Process::run(&folder, &toml), instance, folder, toml }
    }

    fn target(&self) -> Target {
        Target { instance: self.instance, address: self.process.http() }
    }

    /// Where CMS dials in for an integration.
    fn feed(&self, integration: &str) -> SocketAddr {
        let of_integration = |line: &&String| {
            line.contains("listening for CMS") && line.contains(&format!("integration={integration} "))
        };
        let log = self.process.log();
        let line = log.iter().find(of_integration).unwrap_or_else(|| panic!("{integration} in {log:#?}"));
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address=")).expect("an address");
        address.parse().expect("an address")
    }

    fn cms(&self, integration: &str, fault: fn(u64) -> Step) -> Cms {
        Cms::start(self.feed(integration), fault)
    }

    /// Ends without a word, and starts again at the same address.
    fn crash(&mut self) {
        self.process.signal("KILL");
        self.process.wait();
        self.process = Process::run(&self.folder, &self.toml);
    }
}

/// A fault of a feed, the integration that has it, and the alerts that it has to cause.
struct Fault {
    integration: &'static str,
    alerts: &'static [&'static str],
    play: fn(u64) -> Step,
}

/// No alert may ever fire for it.
const HEALTHY: &str = "healthy";

const FAULTS: &[Fault] = &[
    Fault { integration: "down", alerts: &["FeedDown"], play: |_| Step::HangUp },
    Fault { integration: "silent", alerts: &["FeedStale"], play: |_| Step::Silence },
    Fault {
        integration: "cut",
        alerts: &["IncompleteSnapshots"],
        play: |step| {
            Step::Redial(snapshot_of(0..TEAM / 2, |_| "A").replace("END\n", if step % 2 == 0 { "" } else { "10" }))
        },
    },
    Fault {
        integration: "garbage",
        alerts: &["DeadLettersRising"],
        play: |step| Step::Send("no|such\n\u{0}\n".to_owned() + &snapshot(step, 0..TEAM)),
    },
    Fault {
        integration: "strangers",
        alerts: &["UnmappedUsers", "UnmappedActivities"],
        play: |step| {
            Step::Send(snapshot_of(0..TEAM + 5, |agent| match step % 2 {
                1 if agent >= TEAM => "W",
                _ => "A",
            }))
        },
    },
    Fault { integration: "link", alerts: &["LinkDown"], play: |_| Step::Send(snapshot_of(0..TEAM, |_| "U")) },
    Fault {
        integration: "halved",
        alerts: &["SnapshotSuspect"],
        play: |step| Step::Send(snapshot(step, 0..if step % 4 == 0 { TEAM / 4 } else { TEAM })),
    },
    Fault { integration: "twins", alerts: &["FeedFlapping"], play: |step| Step::Twin(snapshot(step, 0..TEAM)) },
    Fault {
        integration: "unreadable",
        alerts: &["FeedUnreadable"],
        play: |_| Step::Send(snapshot_of(0..TEAM, |_| "Z")),
    },
];

/// What happens to a whole service, the alerts that it has to cause, and whether the end of the trouble ends them.
struct Trouble {
    instance: &'static str,
    alerts: &'static [&'static str],
}

const SLOW: Trouble = Trouble { instance: "cut-off", alerts: &["EventLatencyHigh"] };
const CUT_OFF: Trouble =
    Trouble { instance: "cut-off", alerts: &["KafkaErrors", "JournalOld", "JournalGrowing", "TransitionsLost"] };
const SMALL_DISK: Trouble = Trouble { instance: "small-disk", alerts: &["DiskRunningOut", "StoreTrouble"] };
const GONE: Trouble = Trouble { instance: "gone", alerts: &["RtalinkDown"] };
const CRASHING: Trouble = Trouble { instance: "crashing", alerts: &["RtalinkRestarting"] };
const PAUSED: Trouble = Trouble { instance: "paused", alerts: &["PausedForLong"] };

/// Whether these alerts of that instance fire; of all integrations, where `integration` is empty.
fn fires(prometheus: &Prometheus, instance: &str, integration: &str, alerts: &[&str]) -> bool {
    let firing = prometheus.firing();
    alerts.iter().all(|alert| {
        firing.iter().any(|sample| {
            sample.label("alertname") == *alert
                && sample.label("instance") == instance
                && (integration.is_empty() || sample.label("integration") == integration)
        })
    })
}

fn told(prometheus: &Prometheus) -> BTreeSet<String> {
    let tell = |sample: &prometheus::Sample| {
        format!("{} {} {}", sample.label("alertname"), sample.label("instance"), sample.label("integration"))
    };
    prometheus.firing().iter().map(tell).collect()
}

#[test]
fn every_alert_fires_on_its_fault_and_ends_with_it() {
    let mut kafka = InterruptedBroker::start();
    let shared = Broker::shared().bootstrap();
    let integrations: Vec<&str> = FAULTS.iter().map(|fault| fault.integration).chain([HEALTHY]).collect();
    let centre = Centre::start("centre", shared, &integrations, "");
    let cut_off = Centre::start("cut-off", &kafka.bootstrap(), &["a"], "[store]\njournal_max_size = \"1MiB\"");
    let disk = folder(&[]);
    let small = SmallDisk::mount(&disk.path().join("data"), "64m");
    let small_disk = Centre::start_in(disk, "small-disk", shared, &["a"], "[store]\ndirectory = \"data\"");
    let mut gone = Some(Centre::start("gone", shared, &["a"], ""));
    let mut crashing = Centre::start("crashing", shared, &["a"], "");
    let paused = Centre::start("paused", shared, &["a"], "");

    let players: Vec<Cms> = FAULTS.iter().map(|fault| centre.cms(fault.integration, fault.play)).collect();
    let _healthy = centre.cms(HEALTHY, |_| Step::Silence);
    let busy = |step| Step::Send(snapshot(step, 0..TEAM));
    let others: Vec<Cms> = [&cut_off, &small_disk, &crashing, &paused].map(|centre| centre.cms("a", busy)).into();
    let gone_target = gone.as_ref().map(Centre::target);
    let targets: Vec<Target> = [&centre, &cut_off, &small_disk, &crashing, &paused]
        .map(Centre::target)
        .into_iter()
        .chain(gone_target)
        .collect();
    let prometheus = Prometheus::start(&targets, &rules::in_fast_motion(), "250ms");
    let count = targets.len();
    until_true("a while without a fault", || {
        let seen = prometheus.query("sum(count_over_time(up[6s]) >= bool 20)").unwrap();
        seen.first().is_some_and(|sample| sample.value as usize == count)
    });
    assert_eq!(told(&prometheus), BTreeSet::new(), "nothing is wrong yet");

    // Faults of feeds, and of services.
    players.iter().for_each(|cms| cms.fault(true));
    drop(gone.take());
    small.iter().for_each(|disk| drop(disk.fill()));
    let post = |what: &str| http::post(paused.process.http(), &format!("/api/v1/integrations/a/{what}")).status;
    assert_eq!(post("pause"), 200);
    for _ in 0..4 {
        crashing.crash();
    }
    within(PATIENCE, "a slow broker is told", || {
        kafka.halt();
        std::thread::park_timeout(Duration::from_millis(1_500));
        kafka.go_on();
        std::thread::park_timeout(Duration::from_millis(100));
        fires(&prometheus, SLOW.instance, "", SLOW.alerts).then_some(())
    });
    kafka.kill();
    for Fault { integration, alerts, .. } in FAULTS {
        within(PATIENCE, &format!("{alerts:?} of {integration}; firing: {:?}", told(&prometheus)), || {
            fires(&prometheus, "centre", integration, alerts).then_some(())
        });
    }
    for Trouble { instance, alerts } in [CUT_OFF, SMALL_DISK, GONE, CRASHING, PAUSED] {
        within(PATIENCE, &format!("{alerts:?} of {instance}; firing: {:?}", told(&prometheus)), || {
            fires(&prometheus, instance, "", alerts).then_some(())
        });
    }
    let firing = prometheus.firing();
    let unfounded = |sample: &&prometheus::Sample| sample.label("integration") == HEALTHY;
    assert!(!firing.iter().any(|sample| unfounded(&sample)), "{:?}", told(&prometheus));
    let fired: BTreeSet<&str> = firing.iter().map(|sample| sample.label("alertname")).collect();
    let defined = prometheus.alerts();
    let known = |alert: &str| fired.contains(alert) || SLOW.alerts.contains(&alert);
    assert!(defined.iter().all(|alert| known(alert)), "no fault is known for one of {defined:?}");

    // And all of them end.
    players.iter().for_each(|cms| cms.fault(false));
    small.iter().for_each(SmallDisk::free);
    kafka.start_again();
    assert_eq!(post("resume"), 200);
    within(PATIENCE, "the faults are over, and so are their alerts", || {
        let left: Vec<String> = told(&prometheus).into_iter().filter(|alert| !lasts(alert)).collect();
        left.is_empty().then_some(())
    });
    drop(others);
}

/// Whoever has been seen stays unmapped until a mapping comes; what is gone stays away.
fn lasts(alert: &str) -> bool {
    alert.starts_with("Unmapped") || alert.contains(GONE.instance)
}

/// Scraping as the dashboards expect it; `$__rate_interval` is four scrapes.
const SCRAPE: &str = "1s";
const RATE_INTERVAL: &str = "4s";

/// What fails: an error of Prometheus, or nothing where there must be something.
fn failures(prometheus: &Prometheus, may_be_empty: impl Fn(&expressions::Expression) -> bool) -> Vec<String> {
    let failure = |expression: &expressions::Expression| match prometheus.query(&expression.text) {
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

    let cms = fresh.cms("a", |step| Step::Send("no|such|record|\n".to_owned() + &snapshot(step, 0..TEAM)));
    cms.fault(true);
    scraped(20);
    // Annotations mark what has gone wrong.
    let failed = failures(&prometheus, |expression| expression.kind == Kind::Annotation);
    assert_eq!(failed, Vec::<String>::new(), "while CMS speaks");
    assert_eq!(prometheus.failed_rules(), Vec::<String>::new());
    say_what_was_run();
}

/// The list of what was run, for whoever wants to see it: `cargo test --test observed -- --nocapture`.
fn say_what_was_run() {
    for expression in expressions::of_dashboards(RATE_INTERVAL) {
        println!("{}: {}", expression.place, expression.text);
    }
}
