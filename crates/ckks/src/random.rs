//! Where randomness comes from.

use crate::Error;
use blindsight_ring::sampler::{Generator, Rng, Seed, SeedableRng};
use zeroize::ZeroizeOnDrop;

/// A ChaCha20 generator seeded by the system: the only source of secrets, errors and public seeds.
///
/// It neither prints nor copies itself; its state is wiped when it is dropped.
#[derive(ZeroizeOnDrop)]
pub struct Randomness(Generator);

impl Randomness {
    /// Seeds a generator with 32 bytes from the operating system.
    ///
    /// # Errors
    /// [`Error::Randomness`] where the system has none.
    #[cfg(feature = "system-randomness")]
    pub fn from_system() -> Result<Self, Error> {
        let mut seed = zeroize::Zeroizing::new(Seed::default());
        getrandom::fill(seed.as_mut()).map_err(|e| Error::Randomness(e.to_string()))?;
        Ok(Self(Generator::from_seed(*seed)))
    }

    /// Seeds a generator with 32 bytes that the host drew from its own secure source.
    ///
    /// # Errors
    /// [`Error::Randomness`] where all bytes are zero: a host that gave none.
    #[cfg(not(feature = "system-randomness"))]
    pub fn from_host(entropy: Seed) -> Result<Self, Error> {
        if entropy == Seed::default() {
            return Err(Error::Randomness("the host handed in 32 zero bytes".into()));
        }
        Ok(Self(Generator::from_seed(entropy)))
    }

    /// A generator that repeats itself: for tests.
    #[cfg(feature = "testing")]
    pub fn from_test_seed(seed: u64) -> Self {
        let mut bytes = Seed::default();
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(Generator::from_seed(bytes))
    }

    /// A fresh public seed.
    pub fn seed(&mut self) -> Seed {
        let mut seed = Seed::default();
        self.0.fill_bytes(&mut seed);
        seed
    }

    /// So many random bits, up to 63, as a number.
    pub(crate) fn bits(&mut self, count: u32) -> u64 {
        debug_assert!(count < u64::BITS);
        let mut bytes = [0; 8];
        self.0.fill_bytes(&mut bytes);
        u64::from_le_bytes(bytes) & ((1 << count) - 1)
    }

    /// Another generator, seeded by this one.
    pub(crate) fn fork(&mut self) -> Self {
        let mut seed = zeroize::Zeroizing::new(Seed::default());
        self.0.fill_bytes(seed.as_mut());
        Self(Generator::from_seed(*seed))
    }

    pub(crate) fn generator(&mut self) -> &mut Generator {
        &mut self.0
    }
}

impl std::fmt::Debug for Randomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Randomness(..)")
    }
}
