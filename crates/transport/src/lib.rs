//! The TLS that client and server speak.
//!
//! # Concepts
//!
//! [`provider`] is rustls's provider of cryptography over ring, with one key exchange more, preferred where
//! the other side has it: X25519MLKEM768 (`draft-ietf-tls-ecdhe-mlkem`), which browsers use, too. Whoever
//! records a connection today and has a quantum computer later reads neither tokens nor sizes in it.
//!
//! # Contract
//!
//! - The secret of the exchange is that of ML-KEM-768 followed by that of X25519: it is as good as the better
//!   of both. A fault of the former's implementation, which is young, does no harm to the latter.
//! - Sides that do not know it agree on X25519, P-256 or P-384, as before.
//!
//! # Non-goals
//!
//! Certificates are signed as before: a forged signature needs a quantum computer at the time of the
//! connection. Images are safe on their own: they are encrypted under a lattice problem before TLS sees them.

mod hybrid;

use tokio_rustls::rustls::crypto::{CryptoProvider, ring};

/// What both sides compute TLS with.
///
/// ```
/// use tokio_rustls::rustls::NamedGroup;
///
/// let names: Vec<_> = blindsight_transport::provider().kx_groups.iter().map(|group| group.name()).collect();
/// assert_eq!(names[..2], [NamedGroup::X25519MLKEM768, NamedGroup::X25519]);
/// ```
pub fn provider() -> CryptoProvider {
    let classical = ring::default_provider();
    let kx_groups = [&[hybrid::X25519MLKEM768][..], &classical.kx_groups].concat();
    CryptoProvider { kx_groups, ..classical }
}
