use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::simulate::scenario::Scenario;
use crate::simulate::shift::Drive;
use crate::simulate::stream;
use crate::wire::layout::builtin;

use super::*;

fn settings(target: String, scenario: Scenario, snapshots: u32) -> SimulateSettings {
    let refresh = Duration::from_millis(10);
    let feed = SimulatedFeedSettings {
        agents: 20,
        refresh,
        scenario,
        drive: Drive::Pace(500.0),
        ..SimulatedFeedSettings::new(Arc::new(builtin::get("cisco-icm-20").unwrap()))
    };
    let duration = Some(refresh * snapshots);
    SimulateSettings { target, feed, duration, give_up_after: None, truth: TruthSink::Nowhere }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    (listener, target)
}

/// Reads a connection to its end.
async fn read_all(listener: TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test]
async fn snapshots_arrive_as_the_stream_has_them() {
    let (listener, target) = listen().await;
    let (truth, mut found) = mpsc::unbounded_channel();
    let mut settings = settings(target, Scenario::Shift, 3);
    settings.truth = TruthSink::Channel(truth);
    let feed = settings.feed.clone();
    let (summary, read) = tokio::join!(run(settings, CancellationToken::new()), read_all(listener));
    let summary = summary.unwrap();
    let mut stream = stream::stream(&feed, Timestamp::from_millis(0), 3).unwrap();
    let expected: Vec<u8> = stream.by_ref().flat_map(|(_, chunk)| chunk).collect();
    assert_eq!(read, expected);
    assert_eq!(summary.snapshots, 3);
    assert_eq!(summary.bytes, expected.len() as u64);
    assert_eq!(summary.records, expected.iter().filter(|byte| **byte == b'\n').count() as u64);
    assert_eq!(&summary.transitions, stream.transitions());
    let mut count = 0;
    while found.try_recv().is_ok() {
        count += 1;
    }
    assert_eq!(count, stream.truth().len());
}

/// Runs until there is a second connection; returns the bytes of both, and the summary.
async fn until_dialled_again(
    scenario: Scenario,
    first: impl AsyncFnOnce(TcpStream) -> Vec<u8>,
) -> (Vec<u8>, Vec<u8>, DialSummary) {
    let (listener, target) = listen().await;
    let cancel = CancellationToken::new();
    let settings = SimulateSettings { duration: None, ..settings(target, scenario, 0) };
    let running = tokio::spawn(run(settings, cancel.clone()));
    let first = first(listener.accept().await.unwrap().0).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut second = vec![stream.read_u8().await.unwrap()];
    cancel.cancel();
    stream.read_to_end(&mut second).await.unwrap();
    drop(stream);
    (first, second, running.await.unwrap().unwrap())
}

#[tokio::test]
async fn a_dropped_connection_is_dialled_again() {
    let read = async |mut stream: TcpStream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    };
    let (first, second, summary) = until_dialled_again(Scenario::LinkOutage, read).await;
    assert!(first.ends_with(b"\n") && second.ends_with(b"\n"));
    assert_eq!(summary.reconnects, 1);
}

#[tokio::test]
async fn a_replaced_twin_does_not_dial_again() {
    let (listener, target) = listen().await;
    let mut settings = settings(target, Scenario::TwinTakeover, 0);
    settings.feed.refresh = Duration::from_millis(50);
    // Both send in the sixth and in the seventh.
    settings.duration = Some(settings.feed.refresh * 8);
    let running = tokio::spawn(run(settings, CancellationToken::new()));
    let (old, _) = listener.accept().await.unwrap();
    let (mut new, _) = listener.accept().await.unwrap();
    // More than the garbage before the takeover.
    new.read_exact(&mut [0; 1_000]).await.unwrap();
    drop(old);
    let mut rest = Vec::new();
    new.read_to_end(&mut rest).await.unwrap();
    drop(new);
    running.await.unwrap().unwrap();
    let third = timeout(Duration::ZERO, listener.accept()).await;
    assert!(third.is_err());
}

#[tokio::test]
async fn a_connection_that_is_closed_is_read_before_the_next_is_dialled() {
    let (listener, target) = listen().await;
    let cancel = CancellationToken::new();
    let settings = SimulateSettings { duration: None, ..settings(target, Scenario::LinkOutage, 0) };
    let running = tokio::spawn(run(settings, cancel.clone()));
    let (mut first, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    first.read_to_end(&mut bytes).await.unwrap();
    // Several refreshes: it would have been dialled again.
    let next = timeout(Duration::from_millis(100), listener.accept()).await;
    assert!(next.is_err());
    drop(first);
    listener.accept().await.unwrap();
    cancel.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_listener_that_closes_is_dialled_again() {
    let (_, second, summary) = until_dialled_again(Scenario::Shift, async |_| Vec::new()).await;
    assert!(second.ends_with(b"\n"));
    assert_eq!(summary.reconnects, 1);
}

#[tokio::test]
async fn the_truth_is_written_as_lines() {
    let (listener, target) = listen().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    let mut settings = settings(target, Scenario::Shift, 3);
    settings.truth = TruthSink::File(path.clone());
    let (summary, _) = tokio::join!(run(settings, CancellationToken::new()), read_all(listener));
    let lines = std::fs::read_to_string(path).unwrap().lines().count() as u64;
    assert_eq!(lines, summary.unwrap().transitions.values().sum::<u64>());
}

#[tokio::test]
async fn nobody_there_is_told_after_the_patience() {
    let (listener, target) = listen().await;
    drop(listener);
    let mut settings = settings(target, Scenario::Shift, 3);
    settings.give_up_after = Some(Duration::ZERO);
    let outcome = run(settings, CancellationToken::new()).await;
    assert!(matches!(outcome, Err(SimulateError::Unreachable { .. })));
}
