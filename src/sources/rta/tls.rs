//! TLS on the port: what is needed for it, and the handshake.
//!
//! TLS 1.2 and 1.3, rustls with aws-lc. A handshake ends within a time limit, and before a byte goes to the worker. Plain
//! text is distinguished from TLS by the first byte, before rustls sees it. Each way in which a handshake fails has a reason;
//! the error says whose certificate is wrong, and what is wrong with it. With a CA for the peers' certificates, a peer
//! without one that it signed does not get in.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Content type of a handshake record: the first byte of every TLS connection, but of no text.
pub(super) const HANDSHAKE_RECORD: u8 = 0x16;
/// What follows it: the major version of every TLS there is.
pub(super) const MAJOR_VERSION: u8 = 0x03;

/// Why a handshake ended a connection.
pub(super) const EXPECTED: &str = "tls_expected";
pub(super) const UNEXPECTED: &str = "tls_unexpected";
pub(super) const TIMEOUT: &str = "tls_timeout";
pub(super) const DISPLACED: &str = "tls_displaced";
pub(super) const PEER_CERTIFICATE: &str = "tls_peer_certificate";
pub(super) const REFUSED_BY_PEER: &str = "tls_refused_by_peer";
pub(super) const HANDSHAKE: &str = "tls_handshake";

/// What handshakes with new connections need.
pub struct Tls {
    acceptor: TlsAcceptor,
    timeout: Duration,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Why certificates, a key and CAs do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate or the key.
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
    /// The CAs.
    #[error("the CA cannot be used: {0}")]
    ClientCa(#[from] VerifierBuilderError),
}

impl Tls {
    /// Creates it from a certificate with those between it and its CA, its key, and the CAs of peers (none: peers need no
    /// certificate).
    ///
    /// # Errors
    /// When the key is not the certificate's, or one of them is of an unknown kind.
    pub fn new(
        certificates: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        client_cas: Option<Vec<CertificateDer<'static>>>,
        timeout: Duration,
    ) -> Result<Self, TlsError> {
        let provider = Arc::new(default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[&TLS13, &TLS12])?;
        let builder = match client_cas {
            None => builder.with_no_client_auth(),
            Some(cas) => {
                let mut roots = RootCertStore::empty();
                for ca in cas {
                    roots.add(ca)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
        };
        let config = builder.with_single_cert(certificates, key)?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), timeout })
    }

    /// Performs the handshake, within the time limit.
    ///
    /// # Errors
    /// Why it failed; with [`Failure::reason`].
    pub(super) async fn accept(&self, stream: TcpStream) -> Result<Box<TlsStream<TcpStream>>, Failure> {
        let shaken = tokio::time::timeout(self.timeout, async {
            let mut first = [0];
            match stream.peek(&mut first).await {
                Ok(0) => return Err(Failure::NothingSaid),
                Ok(_) if first[0] != HANDSHAKE_RECORD => return Err(Failure::PlainText),
                Ok(_) => {}
                Err(error) => return Err(Failure::Broken(error)),
            }
            self.acceptor.accept(stream).await.map(Box::new).map_err(Failure::of)
        });
        shaken.await.unwrap_or(Err(Failure::TooSlow(self.timeout)))
    }
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the peer ended before it had said anything")]
    NothingSaid,
    #[error("the peer sent plain text, and this port speaks TLS: let CMS dial through stunnel")]
    PlainText,
    #[error("not done within {0:?}")]
    TooSlow(Duration),
    #[error("another newcomer took its place")]
    Displaced,
    #[error("the peer has no certificate: give its stunnel `cert` and `key`")]
    NoPeerCertificate,
    #[error("the peer's certificate is not accepted: {0}")]
    PeerCertificate(CertificateError),
    #[error("the peer does not accept our certificate or what we speak: it answered {0}")]
    Refused(Alert),
    #[error("{0}")]
    Protocol(rustls::Error),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
}

/// What a peer said, with what it usually means.
#[derive(Debug)]
pub(super) struct Alert(AlertDescription);

impl std::fmt::Display for Alert {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)?;
        f.write_str(match self.0 {
            AlertDescription::UnknownCA => ", it does not know the CA that signed ours",
            AlertDescription::CertificateExpired => ", ours has run out, or its clock is wrong",
            AlertDescription::BadCertificate
            | AlertDescription::CertificateUnknown
            // What stunnel says when checkHost or checkIP fails.
            | AlertDescription::InternalError => {
                ", ours is not for the name that it dialled, or fails another check of the peer: its log says which"
            }
            AlertDescription::ProtocolVersion => ", it speaks no TLS version that we speak",
            _ => "",
        })
    }
}

impl Failure {
    fn of(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            Some(rustls::Error::NoCertificatesPresented) => Self::NoPeerCertificate,
            Some(rustls::Error::InvalidCertificate(wrong)) => Self::PeerCertificate(wrong.clone()),
            Some(rustls::Error::AlertReceived(alert)) => Self::Refused(Alert(*alert)),
            Some(other) => Self::Protocol(other.clone()),
            None => Self::Broken(error),
        }
    }

    /// Returns the label that it is counted under; `None` where nobody was refused.
    pub(super) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::NothingSaid => None,
            Self::PlainText => Some(EXPECTED),
            Self::TooSlow(_) => Some(TIMEOUT),
            Self::Displaced => Some(DISPLACED),
            Self::NoPeerCertificate | Self::PeerCertificate(_) => Some(PEER_CERTIFICATE),
            Self::Refused(_) => Some(REFUSED_BY_PEER),
            Self::Protocol(_) | Self::Broken(_) => Some(HANDSHAKE),
        }
    }
}
