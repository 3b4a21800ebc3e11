//! One request to a running service: HTTP/1.1, the connection closed behind it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::config::{self, environment};

/// Most bytes of an answer: that of a service that lists as many unmapped users and activities as it can.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// Which service is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Where the service serves HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9464", conflicts_with = "config")]
    http: String,
    /// Its configuration file, which says where it serves HTTP.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File with the secret of a token; without it RTALINK_TOKEN, or the file that RTALINK_TOKEN_FILE names.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl Target {
    /// Address and port, as far as they are known; only `[http]` of a configuration counts, whatever else is wrong in it.
    pub(super) fn address(&self) -> anyhow::Result<String> {
        let Some(file) = &self.config else { return Ok(self.http.clone()) };
        let loaded = config::load(file, environment::of_process());
        let address = loaded.http().map(|address| address.to_string());
        address.with_context(|| format!("{} does not say where HTTP is served: give --http ADDR", file.display()))
    }
}

impl Target {
    /// The configuration file, if the service is named by it.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The secret to send, if there is one.
    fn secret(&self) -> anyhow::Result<Option<String>> {
        // No variables of clap's: its help shows their values.
        let from_variable = || std::env::var_os("RTALINK_TOKEN_FILE").map(PathBuf::from);
        let file = match (&self.token_file, std::env::var("RTALINK_TOKEN")) {
            (Some(file), _) => file.clone(),
            (None, Ok(secret)) => return checked(&secret, "RTALINK_TOKEN").map(Some),
            (None, Err(_)) => match from_variable() {
                Some(file) => file,
                None => return Ok(None),
            },
        };
        let bytes = config::file::read(&file, config::file::LARGEST_SECRET);
        let bytes = bytes.with_context(|| format!("cannot read {}", file.display()))?;
        checked(&String::from_utf8_lossy(&bytes), &file.display().to_string()).map(Some)
    }

    /// A request without a body, such as `GET /metrics`, to the service, whose address comes with the answer.
    pub(super) fn ask(&self, request: &str, patience: Duration) -> anyhow::Result<(String, Result<Answer>)> {
        self.ask_with(request, "", patience)
    }

    /// The same with a body.
    pub(super) fn ask_with(
        &self,
        request: &str,
        body: &str,
        patience: Duration,
    ) -> anyhow::Result<(String, Result<Answer>)> {
        let (address, secret) = (self.address()?, self.secret()?);
        let answer = ask(&address, request, body, secret.as_deref(), patience);
        Ok((address, answer))
    }
}

/// A secret that can stand in a header; nothing else would reach the service as it is.
fn checked(text: &str, place: &str) -> anyhow::Result<String> {
    let secret = text.trim_end_matches(['\n', '\r']);
    if secret.is_empty() || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("{place} holds no secret of a token: expected letters, digits and - . _ ~ + / = in one line");
    }
    Ok(secret.to_owned())
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// All of it within `patience`.
pub(super) fn ask(
    address: &str,
    request: &str,
    body: &str,
    secret: Option<&str>,
    patience: Duration,
) -> Result<Answer> {
    let deadline = Instant::now() + patience;
    let left = || match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(Error::from(ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = None;
    for address in reachable(resolved(address)?) {
        stream = Some(TcpStream::connect_timeout(&address, left()?));
        if matches!(stream, Some(Ok(_))) {
            break;
        }
    }
    let mut stream = stream.unwrap_or_else(|| Err(ErrorKind::AddrNotAvailable.into()))?;
    stream.set_write_timeout(Some(left()?))?;
    let token = secret.map(|secret| format!("Authorization: Bearer {secret}\r\n")).unwrap_or_default();
    let host = stream.peer_addr()?;
    let length = body.len();
    let head =
        format!("{request} HTTP/1.1\r\nHost: {host}\r\n{token}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all((head + body).as_bytes()).map_err(not_our_pipe)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 8 * 1024];
    while bytes.len() < LARGEST_ANSWER {
        stream.set_read_timeout(Some(left()?))?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // What a read says when its time is over depends on the system.
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
    if bytes.len() >= LARGEST_ANSWER {
        let message = format!("the answer has more than {} KiB: this is no rtalink", LARGEST_ANSWER / 1024);
        return Err(Error::new(ErrorKind::InvalidData, message));
    }
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| Error::new(ErrorKind::InvalidData, "not an answer in HTTP"))
}

/// A broken pipe of standard output is no failure of a command; one to the service is.
fn not_our_pipe(error: Error) -> Error {
    if error.kind() == ErrorKind::BrokenPipe { ErrorKind::ConnectionReset.into() } else { error }
}

fn resolved(address: &str) -> Result<SocketAddr> {
    let no_address = || Error::new(ErrorKind::InvalidInput, "expected an address and a port, such as 127.0.0.1:9464");
    address.to_socket_addrs().map_err(|_| no_address())?.next().ok_or_else(no_address)
}

/// Who listens everywhere is asked on loopback: on that of IPv6 last, which a machine may have switched off.
fn reachable(address: SocketAddr) -> Vec<SocketAddr> {
    let ips: Vec<IpAddr> = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        other => vec![other],
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect()
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everywhere_is_loopback() {
        let cases = [
            ("0.0.0.0:9464", "127.0.0.1:9464"),
            ("[::]:9464", "127.0.0.1:9464 [::1]:9464"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("10.1.2.3:80", "10.1.2.3:80"),
        ];
        for (address, expected) in cases {
            let asked: Vec<String> = reachable(resolved(address).unwrap()).iter().map(ToString::to_string).collect();
            assert_eq!(asked.join(" "), expected);
        }
        assert!(resolved("nowhere").is_err() && resolved("127.0.0.1").is_err());
    }

    #[test]
    fn a_service_that_goes_away_is_no_reader_who_has_had_enough() {
        let broken = not_our_pipe(ErrorKind::BrokenPipe.into());
        assert!(!super::super::output::is_broken_pipe(&broken.into()));
    }

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, &*answer.body), (404, "{}"));
        assert!(parse("SSH-2.0-OpenSSH\r\n\r\n").is_none());
        assert!(parse("HTTP/1.1 200 OK\r\n").is_none());
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let endless = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let error = ask(&address, "GET /", "", None, Duration::from_secs(30)).unwrap_err();
        println!("an answer without end, limit {LARGEST_ANSWER} bytes: {error}");
        assert_eq!(error.to_string(), "the answer has more than 32768 KiB: this is no rtalink");
        endless.join().unwrap();
    }
}
