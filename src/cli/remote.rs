//! One request to a running service, on a connection of its own.

use std::error::Error as _;
use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::config::{self, environment};

/// Most bytes of an answer.
const LARGEST_ANSWER: usize = 1024 * 1024;

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

    /// A request to the service, whose address comes with the answer.
    pub(super) fn ask(
        &self,
        request: Builder,
        body: String,
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
    request: Builder,
    body: String,
    secret: Option<&str>,
    patience: Duration,
) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = async { tokio::time::timeout(patience, exchange(address, request, body, secret)).await };
    runtime.block_on(answer).unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

async fn exchange(address: &str, mut request: Builder, body: String, secret: Option<&str>) -> Result<Answer> {
    let stream = TcpStream::connect(&*reachable(resolved(address)?)).await?;
    request = request.header(HOST, stream.peer_addr()?.to_string());
    if let Some(secret) = secret {
        request = request.header(AUTHORIZATION, format!("Bearer {secret}"));
    }
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(failure)?;
    tokio::spawn(connection);
    let answer = sender.send_request(request.body(body).map_err(Error::other)?).await.map_err(failure)?;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.map_err(|error| {
        let message = || format!("the answer has more than {} KiB: this is no rtalink", LARGEST_ANSWER / 1024);
        error.downcast().map_or_else(|_| Error::new(ErrorKind::InvalidData, message()), |error| failure(*error))
    })?;
    Ok(Answer { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
}

/// What the system says, if it is the connection that failed.
fn failure(error: hyper::Error) -> Error {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<Error>());
    cause.map_or_else(
        || Error::new(ErrorKind::InvalidData, "not an answer in HTTP"),
        |cause| not_our_pipe(Error::new(cause.kind(), cause.to_string())),
    )
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

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

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
    fn an_answer_without_end_is_given_up() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let endless = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // What comes before the request is no answer to it.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });
        let error = ask(&address, Builder::new(), String::new(), None, Duration::from_secs(30)).unwrap_err();
        println!("an answer without end, limit {LARGEST_ANSWER} bytes: {error}");
        assert_eq!(error.to_string(), "the answer has more than 1024 KiB: this is no rtalink");
        endless.join().unwrap();
    }
}
