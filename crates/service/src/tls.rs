//! The server's certificate: one given, or one made at the first start and kept.

use blindsight_protocol::Address;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why there is no certificate to serve with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file that cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that holds no PEM of what it should.
    #[error("{}: {source}; expected PEM", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: pem::Error,
    },
    /// A certificate that cannot be made.
    #[error("cannot make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
    /// Certificate and key do not belong together, or are not usable.
    #[error("certificate and private key cannot be used: {0}")]
    Rustls(#[from] rustls::Error),
    /// A file without a certificate.
    #[error("{} holds no certificate", .0.display())]
    Empty(PathBuf),
}

/// A certificate chain and its private key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    acceptor: TlsAcceptor,
}

impl Identity {
    /// The certificate in `folder`, made for these names at the first call and kept: clients pin it.
    ///
    /// # Errors
    /// Where it cannot be made, read or stored.
    pub fn self_signed(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("private-key.pem"));
        if !certificate.exists() {
            let (certificate_pem, key_pem) = generate(names)?;
            // The certificate comes last: where it is, its key is.
            write(&key, key_pem.as_bytes())?;
            write(&certificate, certificate_pem.as_bytes())?;
        }
        Self::from_files(&certificate, &key)
    }

    /// A certificate chain and its key, in PEM.
    ///
    /// # Errors
    /// Where they cannot be read, or do not belong together.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&read(certificate)?).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|source| TlsError::Pem { path: certificate.into(), source })?;
        let private = PrivateKeyDer::from_pem_slice(&read(key)?);
        let private = private.map_err(|source| TlsError::Pem { path: key.into(), source })?;
        if chain.is_empty() {
            return Err(TlsError::Empty(certificate.into()));
        }
        let mut config = ServerConfig::builder_with_provider(Arc::new(blindsight_transport::provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain.clone(), private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { chain, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// SHA-256 of the certificate, in hexadecimal: what a client pins.
    pub fn fingerprint(&self) -> String {
        Address(Sha256::digest(&self.chain[0]).into()).to_string()
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.clone()
    }
}

fn generate(names: &[String]) -> Result<(String, String), TlsError> {
    let mut all = ["localhost", "127.0.0.1", "::1"].map(String::from).to_vec();
    let unspecified = |name: &String| name.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    all.extend(names.iter().filter(|name| !unspecified(name)).cloned());
    all.sort();
    all.dedup();
    let mut parameters = CertificateParams::new(all)?;
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, "Blindsight server");
    parameters.not_before = rcgen::date_time_ymd(2025, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2045, 1, 1);
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File { action: "read", path: path.into(), source })
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    let failed = |source| TlsError::File { action: "write", path: path.into(), source };
    crate::whole::write_whole(path, bytes).map_err(failed)
}
