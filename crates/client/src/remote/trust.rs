//! Which server is the right one.

use super::Error;
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
};

/// SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// Whose certificate is accepted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The one with this fingerprint, whatever its names and dates: for a server that signs its own.
    Pinned(Fingerprint),
    /// One that these authorities (PEM) signed for the server's name.
    Authorities(Vec<u8>),
    /// One that an authority which this system trusts signed for the server's name.
    System,
}

impl FromStr for Fingerprint {
    type Err = Error;

    /// 64 hexadecimal digits; colons between them are ignored.
    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.replace(':', "").to_lowercase();
        let address: Result<blindsight_protocol::Address, _> = digits.parse();
        let wrong = "a fingerprint is the SHA-256 of a certificate, 64 hexadecimal digits";
        address.map(|address| Self(address.0)).map_err(|_| Error::Trust(wrong.into()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        blindsight_protocol::Address(self.0).fmt(f)
    }
}

impl Trust {
    pub(super) fn configuration(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(blindsight_transport::provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Trust(error.to_string()))?;
        Ok(match self {
            Self::Pinned(fingerprint) => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Pin { fingerprint: *fingerprint, provider }))
                .with_no_client_auth(),
            Self::Authorities(pem) => builder.with_root_certificates(roots(pem)?).with_no_client_auth(),
            Self::System => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        })
    }
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| Error::Trust(format!("{error}; expected PEM")))?;
        store.add(certificate).map_err(|error| Error::Trust(error.to_string()))?;
    }
    if store.is_empty() { Err(Error::Trust("the file holds none in PEM".into())) } else { Ok(store) }
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let none = "this system has no list of authorities; give the server's fingerprint, or --ca";
    if store.is_empty() { Err(Error::Trust(none.into())) } else { Ok(store) }
}

/// Accepts one certificate. The handshake's signature proves that the server holds its key.
#[derive(Debug)]
struct Pin {
    fingerprint: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        let actual = Fingerprint(Sha256::digest(end_entity).into());
        if actual == self.fingerprint {
            return Ok(ServerCertVerified::assertion());
        }
        Err(TlsError::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
