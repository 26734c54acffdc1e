//! X25519MLKEM768: two key exchanges side by side.

use ml_kem::{DecapsulationKey, EncapsulationKey, KeyExport, MlKem768};
use tokio_rustls::rustls::crypto::ring::kx_group::X25519;
use tokio_rustls::rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, GetRandomFailed, SharedSecret, SupportedKxGroup,
};
use tokio_rustls::rustls::ffdhe_groups::FfdheGroup;
use tokio_rustls::rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};
use zeroize::Zeroizing;

/// The key exchange. Shares and secrets are those of ML-KEM-768 first, then those of X25519.
pub static X25519MLKEM768: &dyn SupportedKxGroup = &Hybrid;

/// Bytes of an encapsulation key, the client's share.
const KEY_BYTES: usize = 1184;
/// Bytes of a ciphertext, the server's share.
const CIPHERTEXT_BYTES: usize = 1088;

const WRONG_SHARE: Error = Error::PeerMisbehaved(PeerMisbehaved::InvalidKeyShare);

#[derive(Debug)]
struct Hybrid;

/// What a client remembers until the server answers.
struct Active {
    classical: Box<dyn ActiveKeyExchange>,
    lattice: DecapsulationKey<MlKem768>,
    share: Vec<u8>,
}

impl SupportedKxGroup for Hybrid {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let classical = X25519.start()?;
        let mut seed = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *seed).map_err(|_| GetRandomFailed)?;
        let lattice = DecapsulationKey::<MlKem768>::from_seed((*seed).into());
        let share = [lattice.encapsulation_key().to_bytes().as_slice(), classical.pub_key()].concat();
        Ok(Box::new(Active { classical, lattice, share }))
    }

    fn start_and_complete(&self, client: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (key, point) = client.split_at_checked(KEY_BYTES).ok_or(WRONG_SHARE)?;
        let key = key.try_into().map_err(|_| WRONG_SHARE)?;
        // Refuses keys whose coefficients are not reduced, as FIPS 203 asks.
        let key = EncapsulationKey::<MlKem768>::new(key).map_err(|_| WRONG_SHARE)?;
        let mut message = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *message).map_err(|_| GetRandomFailed)?;
        let classical = X25519.start_and_complete(point)?;
        let (ciphertext, secret) = key.encapsulate_deterministic(&(*message).into());
        let secret = Zeroizing::new(secret);
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [ciphertext.as_slice(), &classical.pub_key].concat(),
            secret: together(secret.as_slice(), &classical.secret),
        })
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        use ml_kem::Decapsulate;
        let (ciphertext, point) = server.split_at_checked(CIPHERTEXT_BYTES).ok_or(WRONG_SHARE)?;
        let secret = self.lattice.decapsulate_slice(ciphertext).map_err(|_| WRONG_SHARE)?;
        let secret = Zeroizing::new(secret);
        Ok(together(secret.as_slice(), &self.classical.complete(point)?))
    }

    /// Lets a server that knows no lattices go on at once.
    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((self.classical.group(), self.classical.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        self.classical.complete(server)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn ffdhe_group(&self) -> Option<FfdheGroup<'static>> {
        None
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

fn together(lattice: &[u8], classical: &SharedSecret) -> SharedSecret {
    SharedSecret::from([lattice, classical.secret_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A secret's bytes, or nothing where the share was refused.
    fn finish(client: Box<dyn ActiveKeyExchange>, share: &[u8]) -> Option<Vec<u8>> {
        client.complete(share).ok().map(|secret| secret.secret_bytes().to_vec())
    }

    #[test]
    fn both_sides_come_to_one_secret_each_time_another() {
        let exchange = || {
            let client = X25519MLKEM768.start().expect("randomness");
            let server = X25519MLKEM768.start_and_complete(client.pub_key()).expect("a sound share");
            assert_eq!((client.pub_key().len(), server.pub_key.len()), (1184 + 32, 1088 + 32));
            let own = server.secret.secret_bytes().to_vec();
            assert_eq!(finish(client, &server.pub_key), Some(own.clone()));
            assert_eq!(own.len(), 64);
            own
        };
        let (a, b) = (exchange(), exchange());
        assert!(a[..32] != b[..32] && a[32..] != b[32..]);
    }

    /// The secret depends on both halves: changing either share changes it, or is refused.
    #[test]
    fn each_half_counts() {
        for at in [0, 1087, 1088, 1119] {
            let client = X25519MLKEM768.start().expect("randomness");
            let server = X25519MLKEM768.start_and_complete(client.pub_key()).expect("a sound share");
            let mut share = server.pub_key.clone();
            // Not the top bit of the point, which X25519 ignores.
            share[at] ^= 1;
            assert_ne!(finish(client, &share), Some(server.secret.secret_bytes().to_vec()), "{at}");
        }
    }

    #[test]
    fn keys_that_are_not_reduced_are_refused() {
        let client = X25519MLKEM768.start().expect("randomness");
        let mut share = client.pub_key().to_vec();
        share[..3].fill(0xff);
        assert!(X25519MLKEM768.start_and_complete(&share).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..Default::default() })]

        #[test]
        fn shares_of_any_bytes_panic_nowhere(bytes in prop::collection::vec(any::<u8>(), 0..1300), cut in 0usize..1300) {
            let client = X25519MLKEM768.start().expect("randomness");
            let whole = client.pub_key().to_vec();
            let cut = &whole[..cut.min(whole.len())];
            prop_assert_eq!(X25519MLKEM768.start_and_complete(cut).is_ok(), cut.len() == whole.len());
            let _ = X25519MLKEM768.start_and_complete(&bytes);
            let _ = client.complete(&bytes);
        }
    }
}
