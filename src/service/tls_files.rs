//! Reads the certificates and the key of a port.
//!
//! All errors in the files are reported at once, with what to do. An expired certificate does not keep the service from
//! starting: one integration's certificate must not take the others down with it. It is an error of `check`, and a warning of
//! `run`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::config::file;
use crate::config::model::{self, Integration};
use crate::config::problem::{Origin, Problem};
use crate::sources::rta::tls::{Tls, TlsError};
use crate::time::Timestamp;

/// A certificate that expires within this time is reported.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What a port needs for TLS.
#[derive(Debug)]
pub struct TlsFiles {
    /// For the handshakes.
    pub tls: Arc<Tls>,
    /// When the first of the port's certificates expires.
    pub expires: Timestamp,
}

/// Reads what an integration names; `None` where its port speaks plain text.
///
/// # Errors
/// Every reason why no handshake could succeed with these files.
pub fn read(integration: &Integration) -> Result<Option<TlsFiles>, Vec<Problem>> {
    let Some(wanted) = integration.realtime.as_ref().and_then(|realtime| realtime.tls.as_ref()) else {
        return Ok(None);
    };
    let mut problems = Vec::new();
    let certificates = certificates(&wanted.certificate, &mut problems);
    let key = key(&wanted.key, &mut problems);
    let client_cas = wanted.client_ca.as_ref().map(|file| self::certificates(file, &mut problems));
    let expires = certificates.iter().map(|certificate| certificate.not_after).min();
    let (Some(key), Some(expires), true) = (key, expires, problems.is_empty()) else { return Err(problems) };
    let of_peers = client_cas.map(|cas| cas.into_iter().map(|certificate| certificate.der).collect());
    let ours = certificates.into_iter().map(|certificate| certificate.der).collect();
    let tls = Tls::new(ours, key, of_peers, wanted.handshake_timeout);
    match tls {
        Ok(tls) => Ok(Some(TlsFiles { tls: Arc::new(tls), expires })),
        Err(error) => Err(vec![does_not_fit(wanted, &error)]),
    }
}

fn does_not_fit(wanted: &model::TlsConfig, error: &TlsError) -> Problem {
    use tokio_rustls::rustls::{Error, InconsistentKeys};
    let at = |file: &Path, message: String| Problem::error(Origin::File(file.into()), message);
    match error {
        TlsError::Rustls(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            let message = format!("is not the key of the certificate in {}", wanted.certificate.display());
            at(&wanted.key, message).hint("the certificate of the port comes first in its file, those of CAs after it")
        }
        TlsError::Rustls(error) => at(&wanted.certificate, format!("cannot be used with its key: {error}")),
        TlsError::ClientCa(_) => at(wanted.client_ca.as_deref().unwrap_or(&wanted.certificate), error.to_string()),
    }
}

/// Returns what does not keep a port from speaking TLS, but should be fixed: a key that others may read, a certificate that
/// expires soon.
pub fn warnings(integration: &Integration, now: Timestamp) -> Vec<Problem> {
    let Some(wanted) = integration.realtime.as_ref().and_then(|realtime| realtime.tls.as_ref()) else {
        return Vec::new();
    };
    let mut warnings = Vec::new();
    let mode = fs::metadata(&wanted.key).map(|metadata| metadata.mode()).unwrap_or_default();
    if mode & 0o007 != 0 {
        let message =
            format!("this key can be read or changed by every user of the machine (mode {:03o})", mode & 0o777);
        let problem = Problem::warning(Origin::File(wanted.key.as_path().into()), message);
        warnings.push(problem.hint("chmod 600, for the user that rtalink runs as"));
    }
    for (file, certificate) in validities(wanted) {
        if now < certificate.not_after && certificate.not_after <= now.plus(SOON) {
            let message = format!("a certificate runs out on {}", certificate.not_after);
            let problem = Problem::warning(Origin::File(file.into()), message);
            warnings.push(problem.hint("renew it and send SIGHUP: no socket is closed"));
        }
    }
    warnings
}

/// Returns certificates that no peer accepts at this time: the file, and why.
pub fn out_of_date(integration: &Integration, now: Timestamp) -> Vec<(Origin, String)> {
    let Some(wanted) = integration.realtime.as_ref().and_then(|realtime| realtime.tls.as_ref()) else {
        return Vec::new();
    };
    let told = |(file, certificate): (&Path, Read)| {
        let origin = Origin::File(file.into());
        if certificate.not_after <= now {
            return Some((origin, format!("a certificate has run out on {}", certificate.not_after)));
        }
        let is_early = now < certificate.not_before;
        is_early.then(|| (origin, format!("a certificate is not valid before {}", certificate.not_before)))
    };
    validities(wanted).into_iter().filter_map(told).collect()
}

/// Returns all certificates that can be read, and their files.
fn validities(wanted: &model::TlsConfig) -> Vec<(&Path, Read)> {
    let files = [Some(&wanted.certificate), wanted.client_ca.as_ref()].into_iter().flatten();
    // A file that cannot be read is an error of `read`.
    let of_file = |file| certificates(file, &mut Vec::new()).into_iter().map(move |read| (file, read));
    files.map(std::path::PathBuf::as_path).flat_map(of_file).collect()
}

/// A certificate and when it is valid.
struct Read {
    der: CertificateDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

fn certificates(file: &Path, problems: &mut Vec<Problem>) -> Vec<Read> {
    let wrong = |message: String| Problem::error(Origin::File(file.into()), message);
    let Some(bytes) = bytes(file, problems) else { return Vec::new() };
    let mut read = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let number = read.len() + 1;
        let Ok(der) = certificate else {
            problems.push(wrong(format!("certificate {number} is not valid PEM")).hint(PEM));
            return Vec::new();
        };
        match Certificate::from_der(&der) {
            Ok(certificate) => {
                let validity = certificate.tbs_certificate().validity();
                let at = |time: &x509_cert::time::Time| {
                    let millis = i64::try_from(time.to_unix_duration().as_millis()).unwrap_or(i64::MAX);
                    Timestamp::from_millis(millis)
                };
                let (not_before, not_after) = (at(&validity.not_before), at(&validity.not_after));
                read.push(Read { der, not_before, not_after });
            }
            Err(error) => {
                problems.push(wrong(format!("certificate {number} cannot be read: {error}")));
                return Vec::new();
            }
        }
    }
    if read.is_empty() {
        problems.push(wrong("has no certificate".to_owned()).hint(PEM));
    }
    read
}

const PEM: &str = "expected are lines between -----BEGIN CERTIFICATE----- and -----END CERTIFICATE-----";

/// Reads the key; nothing of it goes into a message.
fn key(file: &Path, problems: &mut Vec<Problem>) -> Option<PrivateKeyDer<'static>> {
    let bytes = bytes(file, problems)?;
    let message = match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => return Some(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(&bytes) => "has a key that is encrypted with a password",
        Err(pem::Error::NoItemsFound) => "has no private key",
        Err(_) => "is not valid PEM",
    };
    let hint = "expected is -----BEGIN PRIVATE KEY-----, without a password: openssl pkey -in KEY -out NEW";
    problems.push(Problem::error(Origin::File(file.into()), message).hint(hint));
    None
}

fn is_encrypted(pem: &[u8]) -> bool {
    memchr::memmem::find(pem, b"BEGIN ENCRYPTED PRIVATE KEY").is_some()
}

fn bytes(path: &Path, problems: &mut Vec<Problem>) -> Option<Vec<u8>> {
    let unreadable = |error| {
        let problem = Problem::error(Origin::File(path.into()), format!("cannot be read: {error}"));
        problems.push(problem.hint("the user that rtalink runs as must be allowed to read it"));
    };
    file::read(path, file::LARGEST_PEM).map_err(unreadable).ok()
}
