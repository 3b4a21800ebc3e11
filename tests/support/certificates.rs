//! Certificates of tests, made when they are needed: a CA, and what it signs, written as PEM files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, SigningKey,
};

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The name that certificates of the service are made out to.
pub(crate) const NAME: &str = "rtalink.test";

/// A key of certificates. rcgen brings none: its own would bring the C of a cryptographic library into the tests of the core.
struct Key {
    pair: EcdsaKeyPair,
}

impl Key {
    fn generate() -> Self {
        Self { pair: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap() }
    }

    fn pem(&self) -> String {
        let pkcs8 = self.pair.to_pkcs8v1().unwrap();
        let base64 = STANDARD.encode(pkcs8.as_ref());
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signed = self.pair.sign(&SystemRandom::new(), message);
        Ok(signed.map_err(|_| rcgen::Error::RemoteKeyError)?.as_ref().to_vec())
    }
}

/// What every certificate has: a number of its own, and a key identifier that is not made from the key.
fn params(names: Vec<String>) -> CertificateParams {
    let mut number = [0; 16];
    aws_lc_rs::rand::fill(&mut number).unwrap();
    number[0] &= 0x7f; // it is positive
    let mut params = CertificateParams::new(names).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(&number));
    params.key_identifier_method = KeyIdMethod::PreSpecified(number.to_vec());
    params
}

/// A CA with a folder for what it signs.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, Key>,
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
        let mut params = params(Vec::new());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, Key::generate()).unwrap();
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
        let mut params = params(vec![host.to_owned()]);
        params.distinguished_name.push(DnType::CommonName, host);
        let (not_before, not_after) = match valid {
            Valid::For(time) => (now - DAY, now + time),
            Valid::Until(ago) => (now - ago - DAY, now - ago),
        };
        (params.not_before, params.not_after) = (not_before.into(), not_after.into());
        let key = Key::generate();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let path = |end: &str| self.folder.join(format!("{file}.{end}"));
        let pair = Pair { certificate: path("crt"), key: path("key") };
        fs::write(&pair.certificate, certificate.pem()).unwrap();
        fs::write(&pair.key, key.pem()).unwrap();
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
