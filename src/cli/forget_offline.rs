//! `rtalink forget` where no service runs: the service itself, for as long as it takes, to nobody but this command.
//!
//! The same start, the same journal, the same producer: what waits for Kafka goes there first, and the tombstone behind it. CMS
//! cannot dial in, and HTTP is on a free port of this machine with a token that nobody else knows. What Kafka does not take
//! now is in the store for the next start. A process that has the store is not disturbed: then this is an error.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::config::model::{Config, LogFormat, Reading, Role, Token};
use crate::config::secret::SecretHash;
use crate::service::{Options, Service};
use crate::telemetry::logs;
use crate::telemetry::metrics::Metrics;

use super::configuration;
use super::output::{on_signal, runtime};
use super::remote::{self, Answer};

/// For the start: longer where the agents are read from Kafka, which may be away.
const PATIENCE_WITH_THE_START: Duration = Duration::from_mins(1);
/// For Kafka, behind the answer: it has had the most.
const GRACE: Duration = Duration::from_secs(2);

/// On this machine, whichever port is free.
const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Asks a service that exists for that alone.
pub(super) fn ask(file: &Path, request: &str, body: &str, patience: Duration) -> anyhow::Result<Answer> {
    let secret = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
    let config = alone(configuration::valid(file)?, &secret);
    logs::start("warn", LogFormat::Text)?;
    let runtime = runtime()?;
    let (stop, started) = {
        let _in_runtime = runtime.enter();
        (on_signal()?, CancellationToken::new())
    };
    let (gave_up, is_up) = (stop.clone(), started.clone());
    runtime.spawn(async move {
        if tokio::time::timeout(PATIENCE_WITH_THE_START, is_up.cancelled()).await.is_err() {
            gave_up.cancel();
        }
    });
    let options = Options { file: file.to_owned(), latencies: None, stop, reloads: None };
    let service = runtime.block_on(Service::start(config, options, Metrics::new()?))?;
    started.cancel();
    let address = service.http_address().to_string();
    let answer = remote::ask(&address, request, body, Some(&secret), patience);
    runtime.block_on(service.drain(GRACE));
    answer.context("the store was opened, but there was no answer")
}

/// Nobody else can reach it.
fn alone(mut config: Config, secret: &str) -> Config {
    config.http.listen = ANYWHERE.into();
    config.http.metrics = Reading::Token;
    config.http.loopback = Reading::Token;
    config.http.tokens =
        vec![Token { name: "offline".to_owned(), role: Role::Admin, hash: SecretHash::of(secret.as_bytes()) }];
    for realtime in config.integrations.iter_mut().filter_map(|integration| integration.realtime.as_mut()) {
        realtime.listen = ANYWHERE;
        realtime.tls = None;
        realtime.allow = vec![IpAddr::V4(Ipv4Addr::BROADCAST).into()];
    }
    config
}
