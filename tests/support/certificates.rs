//! Certificates of tests, made when they are needed: a CA, and what it signs, written as PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The name that certificates of the service are made out to.
pub(crate) const NAME: &str = "rtalink.test";

/// A CA with a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
    name: String,
}

/// From when to when, as seen from now.
#[derive(Clone, Copy)]
pub(crate) enum Valid {
    /// Since yesterday, and for so long.
    For(Duration),
    /// Until so long ago.
    Until(Duration),
}

/// A certificate and its key, as files.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    /// Writes its certificate to `NAME.ca.crt`.
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: folder.to_owned(), name: name.to_owned() };
        fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its certificate.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.join(format!("{}.ca.crt", self.name))
    }

    /// Signs a certificate for `host`; its files are `FILE.crt` and `FILE.key`, which only the owner can read.
    pub(crate) fn sign(&self, file: &str, host: &str, valid: Valid) -> Pair {
        let now = SystemTime::now();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let (not_before, not_after) = match valid {
            Valid::For(time) => (now - DAY, now + time),
            Valid::Until(ago) => (now - ago - DAY, now - ago),
        };
        (params.not_before, params.not_after) = (not_before.into(), not_after.into());
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.join(format!("{file}.{end}"));
        let pair = Pair { certificate: path("crt"), key: path("key") };
        fs::write(&pair.certificate, certificate.pem()).unwrap();
        fs::write(&pair.key, key.serialize_pem()).unwrap();
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).unwrap();
        pair
    }
}

impl Pair {
    /// The section of the configuration; `more` are further lines.
    pub(crate) fn section(&self, more: &str) -> String {
        let [certificate, key] = [&self.certificate, &self.key].map(|file| file.display().to_string());
        format!("[integration.realtime.tls]\ncertificate = {certificate:?}\nkey = {key:?}\n{more}\n")
    }
}
