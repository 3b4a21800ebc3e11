//! A real Prometheus, on a free port and with its data in a folder of its own, and the drawing of dashboards from it.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use super::http;
use super::process::Process;
use super::python::python;

/// Running until it is dropped.
pub(crate) struct Prometheus {
    _process: Process,
    address: SocketAddr,
    _folder: TempDir,
}

/// A service to be scraped: what its `instance` label says, and where it answers.
pub(crate) struct Target {
    pub(crate) instance: &'static str,
    pub(crate) address: SocketAddr,
}

/// A sample of an instant vector.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) labels: Value,
    pub(crate) value: f64,
}

impl Sample {
    pub(crate) fn label(&self, name: &str) -> &str {
        self.labels[name].as_str().unwrap_or_default()
    }
}

impl Prometheus {
    /// Scrapes the targets every `interval` and evaluates the rules as often; `rules` are texts of rule files.
    pub(crate) fn start(targets: &[Target], rules: &[String], interval: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let mut config = format!(
            "global: {{scrape_interval: {interval}, scrape_timeout: {interval}, evaluation_interval: {interval}}}\n\
             rule_files: ['{}/*.rules.yml']\nscrape_configs:\n- job_name: rtalink\n  static_configs:\n",
            folder.path().display()
        );
        for Target { instance, address } in targets {
            writeln!(config, "  - targets: ['{address}']\n    labels: {{instance: {instance}}}").expect("a string");
        }
        for (number, text) in rules.iter().enumerate() {
            fs::write(folder.path().join(format!("{number}.rules.yml")), text).expect("a file");
        }
        fs::write(folder.path().join("prometheus.yml"), config).expect("a file");
        let process = Process::spawn(command(folder.path()));
        let address = process.field("Listening on", "address").parse().expect("an address");
        process.line("Server is ready to receive web requests");
        Self { _process: process, address, _folder: folder }
    }

    /// The command that draws a dashboard from the figures of the last minute, into a PNG.
    pub(crate) fn draw(&self, dashboard: &Path, picture: &Path) -> Command {
        let mut draw = python("deploy");
        draw.args(["tests/grafana/draw.py", "--minutes", "1", "--scrape", "1", "--prometheus"]);
        draw.arg(format!("http://{}", self.address)).arg(dashboard).arg(picture);
        draw
    }

    /// What an expression gives now.
    ///
    /// # Errors
    /// What Prometheus says of an expression that it does not take.
    pub(crate) fn query(&self, expression: &str) -> Result<Vec<Sample>, String> {
        let answer = self.ask("query", &[("query", expression)]);
        if answer["status"] != "success" {
            return Err(answer["error"].as_str().unwrap_or("no reason given").to_owned());
        }
        let data = &answer["data"];
        let number = |value: &Value| value[1].as_str().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        Ok(match data["resultType"].as_str() {
            Some("vector") => {
                let samples = data["result"].as_array().into_iter().flatten();
                samples
                    .map(|sample| Sample { labels: sample["metric"].clone(), value: number(&sample["value"]) })
                    .collect()
            }
            Some("scalar") => vec![Sample { labels: Value::Null, value: number(&data["result"]) }],
            other => return Err(format!("a result of type {other:?}")),
        })
    }

    /// What an expression gives each second between two UNIX times: the values of each series.
    pub(crate) fn query_range(&self, expression: &str, begin: f64, end: f64) -> Vec<Vec<f64>> {
        let (begin, end) = (begin.to_string(), end.to_string());
        let parameters = [("query", expression), ("start", &begin), ("end", &end), ("step", "1")];
        let answer = self.ask("query_range", &parameters);
        assert_eq!(answer["status"], "success", "{answer}");
        let number = |point: &Value| point[1].as_str().and_then(|text| text.parse().ok());
        let values = |series: &Value| series["values"].as_array().into_iter().flatten().filter_map(number).collect();
        answer["data"]["result"].as_array().into_iter().flatten().map(values).collect()
    }

    /// Alerts that fire now, by their labels.
    pub(crate) fn firing(&self) -> Vec<Sample> {
        self.query("ALERTS{alertstate=\"firing\"}").expect("Prometheus knows its alerts")
    }

    /// Alerts that have fired since it was started.
    pub(crate) fn fired(&self) -> Vec<Sample> {
        self.query("max_over_time(ALERTS{alertstate=\"firing\"}[1h])").expect("Prometheus knows its alerts")
    }

    /// Names of the alerts that its rules define.
    pub(crate) fn alerts(&self) -> Vec<String> {
        let answer = self.ask("rules", &[("type", "alert")]);
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        rules.filter_map(|rule| Some(rule["name"].as_str()?.to_owned())).collect()
    }

    /// Rules whose last evaluation failed, and why.
    pub(crate) fn failed_rules(&self) -> Vec<String> {
        let answer = self.ask("rules", &[]);
        let groups = answer["data"]["groups"].as_array().into_iter().flatten();
        let rules = groups.flat_map(|group| group["rules"].as_array().into_iter().flatten());
        let failed = rules.filter(|rule| rule["health"] == "err");
        failed.map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect()
    }

    fn ask(&self, what: &str, parameters: &[(&str, &str)]) -> Value {
        let encoded = |value| utf8_percent_encode(value, NON_ALPHANUMERIC);
        let parameters: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        http::get(self.address, &format!("/api/v1/{what}?{}", parameters.join("&"))).json()
    }
}

fn command(folder: &Path) -> Command {
    // It ends with the tests, however they end.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "prometheus"]);
    command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
    command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
    command.args(["--web.listen-address=127.0.0.1:0", "--log.level=info"]);
    command
}
