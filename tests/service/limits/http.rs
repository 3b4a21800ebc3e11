//! Limits of HTTP that take minutes, or several machines, in a service: here with limits that are short.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rtalink::config::model::{Format, Http, Reading, StoreConfig, Sync};
use rtalink::http::limits::{
    HttpLimits, MOST_CONNECTIONS, MOST_REQUESTS, MOST_REQUESTS_OF_ONE_ADDRESS, MOST_TABLES, MOST_WATCHING,
};
use rtalink::http::readiness::Readiness;
use rtalink::http::{self, State};
use rtalink::integration::command::Command;
use rtalink::integration::handles::Handles;
use rtalink::telemetry::feed_metrics::FeedMetrics;
use rtalink::telemetry::metrics::Metrics;
use rtalink::time::Timestamp;
use rtalink::views::model::{self, IntegrationModel};
use rtalink::views::service::ServiceView;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::http as client;
use crate::support::service::{Running, folder};
use crate::support::short;
use crate::support::wait::until_true;

/// Served with these limits. Who is asked to pause takes it and never answers.
struct Served {
    _runtime: Runtime,
    metrics: Metrics,
    address: SocketAddr,
    _commands: mpsc::Receiver<Command>,
    _stop: DropGuard,
}

fn serve(limits: HttpLimits) -> Served {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let metrics = Metrics::new().unwrap();
    let id: Arc<str> = "a".into();
    let feed = FeedMetrics::new(&metrics, &id);
    let (model, _, _) = model::start(vec![IntegrationModel::new(id, "A".to_owned(), feed)]).unwrap();
    let directory = std::env::temp_dir();
    let store = StoreConfig { directory, journal_max_size: 1 << 20, sync: Sync::Normal, in_memory: true };
    let readiness = Arc::new(Readiness::new(&store, &metrics, Handles::default()));
    readiness.all_is_there();
    let (commands, commanded) = mpsc::channel(COMMANDS);
    let listen = SocketAddr::from(([0, 0, 0, 0], 0));
    let access = Http { listen: listen.into(), metrics: Reading::Open, loopback: Reading::Open, tokens: Vec::new() };
    let state = State {
        service: ServiceView::new(Timestamp::now(), 0),
        model,
        metrics: metrics.clone(),
        readiness,
        reloads: None,
        commands,
        access: Arc::new(ArcSwap::from_pointee(access)),
        format: Format::Protobuf,
    };
    let listener = runtime.block_on(tokio::net::TcpListener::bind(listen)).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    let stop = CancellationToken::new();
    runtime.spawn(http::serve(vec![listener], state, limits, stop.clone()));
    Served { _runtime: runtime, metrics, address, _commands: commanded, _stop: stop.drop_guard() }
}

impl Served {
    fn refused(&self, reason: &str) -> f64 {
        client::series(&self.metrics.render())[&format!("rtalink_http_refused_total{{reason=\"{reason}\"}}")]
    }

    fn connect(&self, to: IpAddr) -> TcpStream {
        TcpStream::connect((to, self.address.port())).unwrap()
    }
}

/// Everything that comes, until the service closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // What it had not read yet makes the end of it a hard one.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

const PAUSE: &[u8] = b"POST /api/v1/integrations/a/pause HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n";

#[test]
fn an_answer_takes_so_long() {
    let limit = Duration::from_millis(100);
    let served = serve(HttpLimits { answer_time: limit, ..HttpLimits::default() });
    let mut stream = served.connect(served.address.ip());
    stream
        .write_all(&[PAUSE, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"].concat())
        .unwrap();
    let answers = rest(&mut stream);
    assert!(answers.starts_with("HTTP/1.1 503 ") && answers.contains("the answer takes too long"), "{answers}");
    assert!(answers.contains("HTTP/1.1 200 "), "the connection goes on: {answers}");
    assert_eq!(served.refused("slow_answer"), 1.0);
    println!("an answer that never comes, limit {limit:?} here: 503, slow_answer 1");
}

#[test]
fn a_login_id_has_so_many_characters() {
    let served = serve(HttpLimits::default());
    for length in [0, 257] {
        let body = format!(r#"{{"loginId": "{}"}}"#, "ü".repeat(length));
        let answer = client::try_post(served.address, "/api/v1/forget", &body).unwrap();
        assert_eq!(answer.status, 400, "{length}: {}", answer.body);
        assert!(answer.body.contains("a login id has 1 to 256 characters"), "{}", answer.body);
        println!("a login id of {length} characters, limit 1 to 256: {}", answer.status);
    }
}

#[test]
fn a_connection_gets_so_old() {
    let limits = HttpLimits {
        longest_connection: Duration::from_millis(100),
        last_answer: Duration::from_millis(100),
        ..HttpLimits::default()
    };
    let served = serve(limits);
    // One that is answered ends in peace, one that waits for an answer is ended.
    let mut answered = served.connect(served.address.ip());
    answered.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(rest(&mut answered).starts_with("HTTP/1.1 200 "));
    assert_eq!(served.refused("too_old"), 0.0);
    let mut stream = served.connect(served.address.ip());
    stream.write_all(PAUSE).unwrap();
    assert_eq!(rest(&mut stream), "");
    until_true("it is counted", || served.refused("too_old") > 0.5);
    assert_eq!(served.refused("too_old"), 1.0);
    println!("a connection whose answer never comes, limits 100 ms and 100 ms here: closed, too_old 1");
}

/// As in `src/service/mod.rs`.
const COMMANDS: usize = 16;

#[test]
fn so_many_requests_to_pause_wait() {
    // Nobody carries anything out.
    let served = serve(HttpLimits {
        most_requests: 2 * COMMANDS,
        most_requests_of_one_address: 2 * COMMANDS,
        ..HttpLimits::default()
    });
    let mut asked: Vec<TcpStream> = (0..=COMMANDS).map(|_| served.connect(served.address.ip())).collect();
    let request = String::from_utf8_lossy(PAUSE).replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n");
    asked.iter_mut().for_each(|stream| stream.write_all(request.as_bytes()).unwrap());
    let mut statuses: Vec<String> = asked.iter_mut().map(|stream| rest(stream)[9..12].to_owned()).collect();
    statuses.sort_unstable();
    let expected = [vec!["202"; COMMANDS], vec!["503"]].concat();
    assert_eq!(statuses, expected);
    println!("{} requests to pause that nobody carries out, limits {COMMANDS} and 5 s: {statuses:?}", COMMANDS + 1);
}

/// An address of this machine that others can reach it by; `None` where it has loopback only.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the system only chooses a way.
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn other_machines_have_so_many_connections_and_this_one_has_its_own() {
    let Some(own) = own_address() else {
        println!("skipped: this machine has no address but loopback");
        return;
    };
    let limits = HttpLimits {
        most_of_one_address: MOST_CONNECTIONS + 10,
        head_time: Duration::from_secs(600),
        ..HttpLimits::default()
    };
    let served = serve(limits);
    let mut open: Vec<TcpStream> = (0..MOST_CONNECTIONS).map(|_| served.connect(own)).collect();
    // This machine takes none of theirs, and one more of theirs takes that of the one that has waited longest.
    assert_eq!(client::get(served.address, "/health/live").status, 200);
    assert_eq!(served.refused("displaced"), 0.0);
    let mut beyond = served.connect(own);
    beyond.write_all(b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(rest(&mut beyond).starts_with("HTTP/1.0 200 "));
    assert_eq!(rest(&mut open[0]), "");
    until_true("it is counted", || served.refused("displaced") > 0.5);
    println!(
        "{} connections from another address, limit {MOST_CONNECTIONS}: the first is closed, displaced 1",
        MOST_CONNECTIONS + 1
    );
}

/// Nobody carries them out, and nobody is told in less than this.
fn asks_and_waits(served: &Served) -> TcpStream {
    let mut stream = served.connect(served.address.ip());
    stream.write_all(PAUSE).unwrap();
    stream
}

#[test]
fn so_many_requests_are_answered_at_a_time() {
    let beside = |limits: HttpLimits, most: usize| {
        let served = serve(limits);
        let waiting: Vec<TcpStream> = (0..most).map(|_| asks_and_waits(&served)).collect();
        until_true("all places are taken", || client::get(served.address, "/api/v1/integrations").status == 503);
        assert!(served.refused("too_many_requests") >= 1.0);
        // Who watches has places of their own.
        for page in ["/metrics", "/health/live", "/health/ready"] {
            assert_ne!(client::get(served.address, page).body, "", "{page}");
        }
        drop(waiting);
    };
    beside(HttpLimits { most_requests_of_one_address: MOST_REQUESTS, ..HttpLimits::default() }, MOST_REQUESTS);
    println!("{} requests, limit {MOST_REQUESTS}: 503, too_many_requests", MOST_REQUESTS + 1);
    let of_one = MOST_REQUESTS_OF_ONE_ADDRESS;
    beside(HttpLimits::default(), of_one);
    println!("{} requests of one address, limit {of_one}: 503, too_many_requests", of_one + 1);
}

#[test]
fn so_many_watch_at_a_time() {
    let served = serve(HttpLimits { most_watching: 0, ..HttpLimits::default() });
    assert_eq!(client::get(served.address, "/metrics").status, 503);
    assert_eq!(served.refused("too_many_requests"), 1.0);
    assert_eq!(client::get(served.address, "/api/v1/integrations").status, 200);
    println!("requests for metrics and health, limit {MOST_WATCHING}, 0 here: 503, too_many_requests 1");
}

#[test]
fn who_says_half_of_something_keeps_nobody_out() {
    let served = serve(HttpLimits {
        body_time: Duration::from_secs(600),
        head_time: Duration::from_secs(600),
        ..HttpLimits::default()
    });
    let halves: [&[u8]; 3] = [
        b"",
        b"GET /metrics HTTP/1.1\r\nHost: local",
        b"PUT /api/v1/log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nin",
    ];
    let half = |number: usize| {
        let mut stream = served.connect(served.address.ip());
        // One that is closed meanwhile cannot be written to.
        let _ = stream.write_all(halves[number % halves.len()]);
        stream
    };
    let mut open: Vec<TcpStream> = (0..60).map(half).collect();
    for page in ["/metrics", "/health/live", "/api/v1/integrations"] {
        assert_eq!(client::get(served.address, page).status, 200, "{page} beside 60 halves");
    }
    assert_eq!(rest(&mut open[0]), "", "the first has made room");
    assert!(served.refused("displaced") >= 28.0);
    println!(
        "60 connections with half a request, limit 32: the oldest are closed, displaced {}",
        served.refused("displaced")
    );
}

#[test]
fn so_many_ask_for_all_agents_at_a_time() {
    let service = Running::start_in(folder(&[]), &short::config(short::EMBEDDED, "mode = \"event\"", ""));
    let mut feed = service.dial();
    // More than what the system keeps for both ends of a connection.
    let agents = 20_000;
    for thousand in 0..agents / 1_000 {
        let lines: Vec<String> = (0..1_000).map(|agent| format!("{}|AVAIL|", thousand * 1_000 + agent)).collect();
        short::send(&mut feed, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    }
    service.settle(agents);
    let request = "GET /api/v1/agents HTTP/1.0\r\nHost: localhost\r\n\r\n";
    let ask = || {
        let mut stream = TcpStream::connect(service.http_address()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 13];
        stream.read_exact(&mut first).unwrap();
        (String::from_utf8_lossy(&first).into_owned(), stream)
    };
    // They take nothing but the first bytes.
    let open: Vec<TcpStream> = (0..MOST_TABLES)
        .map(|_| {
            let (status, stream) = ask();
            assert_eq!(status, "HTTP/1.0 200 ");
            stream
        })
        .collect();
    let (status, _) = ask();
    assert_eq!(status, "HTTP/1.0 503 ");
    assert_eq!(service.get("/api/v1/agents?login_id=4711").status, 200, "one of them is not many");
    assert_eq!(service.get("/api/v1/integrations").status, 200);
    assert_eq!(service.metric("rtalink_http_refused_total", "too_many_requests"), 1.0);
    println!("{} who ask for all agents, limit {MOST_TABLES}: 503, too_many_requests 1", MOST_TABLES + 1);
    drop(open);
    until_true("the places are free again", || service.get("/api/v1/agents").status == 200);
}
