//! What one peer may take of the service over HTTP: each limit driven over, counted, and nobody else harmed.
#![allow(clippy::unwrap_used)]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use rtalink::http::limits;

use crate::support;

use support::service::{Running, folder};
use support::short;
use support::wait::until_true;

fn start() -> Running {
    Running::start_in(folder(&[]), &short::config(short::EMBEDDED, "", ""))
}

fn connect(service: &Running) -> TcpStream {
    TcpStream::connect(service.http_address()).unwrap()
}

/// Everything that comes, until the service closes.
fn rest(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // What it had not read yet makes the end of it a hard one.
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no answer: {answer:?}")).parse().unwrap()
}

fn refused(service: &Running, reason: &str) -> f64 {
    service.metric("rtalink_http_refused_total", &format!("\"{reason}\""))
}

fn assert_refused(service: &Running, reason: &str, count: u32) {
    until_true(&format!("{count} refused: {reason}"), || refused(service, reason) >= f64::from(count));
    assert_eq!(refused(service, reason), f64::from(count), "{reason}");
    assert_eq!(service.get("/health/live").status, 200, "after {reason}");
}

#[test]
fn what_is_too_large_or_no_http_is_answered_and_counted() {
    let put = "PUT /api/v1/log-level HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let get = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 4096, "x".repeat(4096));
    let headers = |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    let cases: [(&str, String, u16, &str); 9] = [
        ("a long line", format!("{get}X-Long: {}\r\n\r\n", "x".repeat(limits::LARGEST_HEAD)), 431, "head_too_large"),
        ("a long path", format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(limits::LARGEST_HEAD)), 431, "head_too_large"),
        ("many lines", format!("{get}{}\r\n", headers(limits::MOST_HEADERS)), 431, "head_too_large"),
        ("as many as may be", format!("{get}{}\r\n", headers(limits::MOST_HEADERS - 2)), 200, ""),
        ("a large body", format!("{put}Content-Length: {}\r\n\r\n", limits::LARGEST_BODY + 1), 413, "body_too_large"),
        ("one that says it is huge", format!("{put}Content-Length: {}\r\n\r\n", u64::MAX - 2), 413, "body_too_large"),
        ("chunks", format!("{put}Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(3)), 413, "body_too_large"),
        ("another protocol", "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(), 400, "malformed"),
        ("TLS", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\u{0}\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(), 400, "malformed"),
    ];
    let service = start();
    let mut expected = std::collections::BTreeMap::new();
    for (what, request, answered, reason) in cases {
        let mut stream = connect(&service);
        stream.write_all(request.as_bytes()).unwrap();
        let answer = rest(&mut stream);
        assert_eq!(status(&answer), answered, "{what}: {answer}");
        if !reason.is_empty() {
            let count = expected.entry(reason).or_insert(0);
            *count += 1;
            assert_refused(&service, reason, *count);
        }
    }
}

#[test]
fn who_sends_byte_by_byte_or_nothing_is_closed() {
    let service = start();
    let mut silent = connect(&service);
    let mut half = connect(&service);
    half.write_all(b"GET /health/live HTTP/1.1\r\nHost: loc").unwrap();
    let mut slow_body = connect(&service);
    slow_body.write_all(b"PUT /api/v1/log-level HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nin").unwrap();
    // One byte after the other keeps nothing open: it is the time of the whole head that counts.
    let dripping = connect(&service);
    let dripper = {
        let mut stream = dripping.try_clone().unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        std::thread::spawn(move || {
            let head = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nX: ".iter().chain(std::iter::repeat(&b'x'));
            for byte in head {
                // Until the next byte is due there is nothing to read but the end.
                let is_open = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
                if stream.write_all(&[*byte]).is_err() || !stream.read(&mut [0]).is_err_and(is_open) {
                    return;
                }
            }
        })
    };
    let mut answered = connect(&service);
    answered.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();

    assert_eq!(status(&rest(&mut slow_body)), 408);
    assert_eq!((rest(&mut silent), rest(&mut half)), (String::new(), String::new()));
    dripper.join().unwrap();
    assert_eq!(status(&rest(&mut answered)), 200);
    // The last one had its answer and asked for nothing more: no refusal.
    assert_refused(&service, "slow_request", 4);
}

#[test]
fn one_address_has_so_many_connections_at_a_time() {
    let service = start();
    let mut open: Vec<TcpStream> = (0..limits::MOST_OF_ONE_ADDRESS).map(|_| connect(&service)).collect();
    let mut beyond = connect(&service);
    beyond.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!(status(&rest(&mut beyond)), 200);
    assert_eq!(rest(&mut open[0]), "", "it has waited longest");
    until_true("it is counted", || refused(&service, "displaced") >= 1.0);
}

#[test]
fn who_takes_nothing_of_the_answers_is_closed() {
    let service = start();
    let mut stream = connect(&service);
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Far more than what the system keeps for both ends.
    stream.write_all(request.repeat(2_000).as_bytes()).unwrap();
    assert_refused(&service, "slow_reader", 1);
    let _ = stream.shutdown(Shutdown::Both);
}

#[test]
fn the_end_of_the_service_does_not_wait_for_slow_peers() {
    let service = start();
    let mut half = connect(&service);
    half.write_all(b"GET /health/live HTTP/1.1\r\n").unwrap();
    let address: SocketAddr = service.http_address();
    assert_eq!(service.drain().0, 0);
    assert_eq!(rest(&mut half), "");
    assert!(TcpStream::connect(address).is_err());
}
