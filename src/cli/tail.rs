//! `rtalink tail`: a topic as JSON lines.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::config::model::Bootstrap;
use crate::config::topics::{Topic, Topics};
use crate::kafka::tail::{Start, Tail, Tailed};

use super::configuration;
use super::output::stdout;

/// Reads a topic and prints JSON lines, whether its values are protobuf or JSON.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  rtalink tail --bootstrap localhost:9092 --topic current --from-beginning")]
#[command(group(clap::ArgGroup::new("where").required(true).args(["config", "bootstrap"])))]
pub(super) struct Args {
    /// Configuration file: cluster, topics and properties are taken from it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the cluster, with the default topics.
    #[arg(long, value_name = "ADDR")]
    bootstrap: Option<String>,
    /// Which topic.
    #[arg(long, value_parser = topic(), default_value = "events")]
    topic: Topic,
    /// Begin with the oldest message instead of the next one.
    #[arg(long)]
    from_beginning: bool,
    /// Begin with the oldest message and end when the last one has been read.
    #[arg(long)]
    until_end: bool,
    /// End after so many messages.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

/// Takes a topic that is for consumers.
fn topic() -> impl TypedValueParser<Value = Topic> {
    let names = Topic::ALL.into_iter().filter_map(|topic| topic.spec().argument);
    let named = |name: String| Topic::ALL.into_iter().find(|topic| topic.spec().argument == Some(&name));
    PossibleValuesParser::new(names).try_map(move |name| named(name).ok_or("no such topic"))
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let (servers, topics, properties) = cluster(args)?;
    let start = if args.from_beginning || args.until_end { Start::Beginning } else { Start::End };
    let mut tail = Tail::open(&servers, &properties, &topics[args.topic], start)?;
    let mut out = stdout();
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match tail.next(Duration::from_millis(200)) {
            Tailed::Line(line) => {
                writeln!(out, "{}", line.json)?;
                left -= 1;
            }
            Tailed::End if args.until_end => break,
            Tailed::End | Tailed::Nothing => out.flush()?,
            Tailed::Trouble(trouble) => eprintln!("{trouble}"),
            Tailed::Refused(right) => bail!("{right}"),
        }
    }
    out.flush()?;
    Ok(())
}

fn cluster(args: &Args) -> anyhow::Result<(String, Topics, BTreeMap<String, String>)> {
    let Some(path) = &args.config else {
        return Ok((args.bootstrap.clone().unwrap_or_default(), Topics::default(), BTreeMap::new()));
    };
    let kafka = configuration::valid(path)?.kafka;
    match kafka.bootstrap {
        Bootstrap::Servers(servers) => Ok((servers, kafka.topics, kafka.properties)),
        Bootstrap::Embedded => {
            bail!("the embedded cluster lives in the running service: use --bootstrap ADDR, which it logs")
        }
    }
}
