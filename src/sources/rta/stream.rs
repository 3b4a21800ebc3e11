//! The bytes of a connection, plain or from TLS: an enum, so that neither costs an allocation per read.

use std::io;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A connection that can be read.
#[derive(Debug)]
pub(super) enum FeedStream {
    /// As it came.
    Plain(TcpStream),
    /// After its handshake.
    Tls(Box<TlsStream<TcpStream>>),
}

impl FeedStream {
    /// Appends whatever has come to `buffer`; returns 0 at the end. Loses nothing when it is cancelled.
    pub(super) async fn read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read_buf(buffer).await,
            Self::Tls(stream) => stream.read_buf(buffer).await,
        }
    }
}
