//! A TLS client of a feed's port, in this process.

use std::fs;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{
    self, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};

use super::certificates::{Authority, Pair};

/// A connection after its handshake.
pub(crate) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// What the client trusts, shows and speaks.
pub(crate) struct Client<'a> {
    pub(crate) trusts: &'a Authority,
    pub(crate) shows: Option<&'a Pair>,
    pub(crate) speaks: &'static [&'static SupportedProtocolVersion],
}

impl<'a> Client<'a> {
    pub(crate) fn new(trusts: &'a Authority) -> Self {
        Self { trusts, shows: None, speaks: rustls::ALL_VERSIONS }
    }

    /// Shakes hands with whoever is there, as `name`.
    pub(crate) fn dial(&self, address: SocketAddr, name: &'static str) -> io::Result<TlsStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.trusts.file()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(self.speaks).unwrap().with_root_certificates(roots);
        let config = match self.shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::from_pem_slice(&fs::read(&pair.certificate).unwrap()).unwrap();
                builder.with_client_auth_cert(vec![chain], PrivateKeyDer::from_pem_file(&pair.key).unwrap()).unwrap()
            }
        };
        let connection = ClientConnection::new(Arc::new(config), name.try_into().unwrap()).unwrap();
        let socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        let mut stream = StreamOwned::new(connection, socket);
        stream.flush()?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }
}
