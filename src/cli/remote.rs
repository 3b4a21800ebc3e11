//! One request to a running service: HTTP/1.1, the connection closed behind it.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a connection and each read may take; a request waits five seconds for the store.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const LARGEST: u64 = 1024 * 1024;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// A POST without a body.
pub(super) fn post(address: &str, path: &str) -> Result<Answer> {
    let no_address = || Error::new(ErrorKind::InvalidInput, "expected an address and a port, such as 127.0.0.1:9464");
    let socket = address.to_socket_addrs().map_err(|_| no_address())?.next().ok_or_else(no_address)?;
    let mut stream = TcpStream::connect_timeout(&socket, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    stream.take(LARGEST).read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| Error::new(ErrorKind::InvalidData, "not an answer in HTTP"))
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
    fn an_answer_has_a_status_and_a_body() {
        let answer = parse("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, &*answer.body), (404, "{}"));
        assert!(parse("SSH-2.0-OpenSSH\r\n\r\n").is_none());
        assert!(parse("HTTP/1.1 200 OK\r\n").is_none());
    }
}
