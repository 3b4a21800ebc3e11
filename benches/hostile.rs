//! What strangers on the ports do to the latency of an honest feed: with and without them, in one run.
//!
//! First a feed on the port that the strangers are on, then one on another port.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss, missing_docs)]

#[path = "../tests/support/certificates.rs"]
#[allow(dead_code)]
mod certificates;
#[path = "../tests/support/hostile.rs"]
mod hostile;
#[path = "../tests/support/open_loop.rs"]
mod open_loop;

use std::net::{SocketAddr, TcpStream};

use std::time::Duration;

use certificates::{Authority, DAY, NAME, Valid};
use hostile::Attack;
use open_loop::{EVERY, Loop, RECORDS};
use rtalink::config;
use rtalink::service::{Options, Service};
use rtalink::telemetry::metrics::Metrics;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn toml(tls: &str) -> String {
    let integrations = [("same", ""), ("tls", tls), ("other", "")].map(|(id, tls)| {
        format!(
            "[[integration]]\nid = \"{id}\"\nkind = \"avaya-cms\"\nacd = 1\n[integration.realtime]\nport = 0\nbind = \"127.0.0.1\"\nlayout = \"short\"\nmode = \"event\"\nstale_after = \"1s\"\n{tls}\n"
        )
    });
    format!(
        "[kafka]\nbootstrap_servers = \"embedded\"\npartitions = 1\nlinger = \"0ms\"\n[http]\nlisten = \"127.0.0.1:0\"\n{}\n[layout.short]\nseparator = \"|\"\ncolumns = [\"login_id\", \"state\"]\nstates = \"rta-codes\"\n",
        integrations.join("\n")
    )
}

fn main() {
    let folder = TempDir::new().unwrap();
    let ca = Authority::new(folder.path(), "ours");
    let section = ca.sign("rtalink", NAME, Valid::For(DAY)).section("");
    let file = folder.path().join("rtalink.toml");
    let config = config::parse(&toml(&section), &file, []).config.unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut honest = Loop::default();
    let latencies = honest.sink(|_| true);
    let options = Options { file, latencies: Some(latencies), stop: CancellationToken::new(), reloads: None };
    let service = runtime.block_on(Service::start(config, options, Metrics::new().unwrap())).unwrap();
    let address =
        |id: &str| -> SocketAddr { service.feed_addresses().iter().find(|(known, _)| **known == *id).unwrap().1 };
    println!("{RECORDS} records, one every {EVERY:?}; embedded Kafka, sync full");
    for place in ["same", "other"] {
        let mut feed = TcpStream::connect(address(place)).unwrap();
        feed.set_nodelay(true).unwrap();
        let mut p99 = Vec::new();
        // Before and after: what else the machine does is in both.
        for strangers in [false, true, false] {
            let attack = strangers.then(|| Attack::start(address("same"), address("tls")));
            let latencies = honest.round(&mut feed, "");
            println!("{place:<5} port, strangers {strangers:<5}: {latencies}");
            if let Some(attack) = &attack {
                println!("  {:?}", attack.done());
            }
            p99.push(latencies.at(0.99).as_secs_f64());
        }
        println!("{place:<5} port: p99 {:.1} times that without strangers", p99[1] / p99[0].max(p99[2]));
    }
    runtime.block_on(service.drain(Duration::from_secs(10)));
}
