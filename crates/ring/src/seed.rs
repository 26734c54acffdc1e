//! What random words are expanded from.

pub use chacha20::ChaCha20Rng as Generator;

/// The seed of a generator.
pub type Seed = [u8; 32];
