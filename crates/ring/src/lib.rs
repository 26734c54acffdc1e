//! RNS polynomial arithmetic over 32-bit primes in the conjugate-invariant ring.
//!
//! # Concepts
//!
//! The ring is `Z[X + 1/X] / (X^2N + 1)` (Kim and Song, [ia.cr/2018/952], section 3): the polynomials of
//! degree below `2N` in `Z[X]/(X^2N + 1)` that `X -> 1/X` leaves alone. It has dimension `N`, and its
//! elements are written in the basis `{1, X^i + X^-i : 0 < i < N}`. At a primitive `4N`-th root of unity
//! `zeta` such a polynomial takes `N` values, one for each pair of conjugate roots; the exponents `1 mod 4`
//! represent the pairs.
//!
//! * [`Modulus`] is one prime `q = 1 mod 4N` below `2^30` with the constants of its reductions.
//! * [`NttTable`] maps coefficients modulo one prime to the `N` values and back.
//! * [`Basis`] is an ordered list of primes (residue number system), [`Poly`] a polynomial over one, in a
//!   form that its type tells: [`Coefficients`], [`Values`] (the transform) or [`Factor`] (the transform
//!   times `2^32`: the constant side of a product, so that one Montgomery reduction gives the plain product).
//! * [`Conversion`] lifts a centred residue polynomial from few primes to others exactly.
//! * [`Automorphism`] is `X -> X^g` on values: a permutation.
//! * [`IntegerRows`] are rows of a matrix of integers, for sums of integer multiples of many polynomials'
//!   words.
//! * [`sampler`] draws uniform, ternary and Gaussian polynomials from ChaCha20.
//!
//! # Example
//!
//! ```
//! use blindsight_ring::{Basis, Kernel};
//!
//! // Modulo two primes at once: `X + 1/X`, squared.
//! let basis = Basis::new(64, &[65_537, 998_244_353], Kernel::detect())?;
//! let mut coefficients = [0; 64];
//! coefficients[1] = 1;
//! let mut square = basis.forward(basis.from_signed(&coefficients));
//! let factor = basis.to_factor(square.clone());
//! basis.mul(&mut square, &factor);
//!
//! // It is `2 + (X^2 + 1/X^2)`.
//! let square = basis.inverse(square);
//! assert_eq!(square.limb(0)[..4], [2, 0, 1, 0]);
//! assert_eq!(square.limb(1)[..4], [2, 0, 1, 0]);
//! # Ok::<(), blindsight_ring::Error>(())
//! ```
//!
//! # Contract
//!
//! Every word that a function takes or returns is fully reduced, in `[0, q)`. Lazy bounds live inside kernels
//! only, so all kernel paths ([`Kernel`]) give the same bits.
//!
//! # Non-goals
//!
//! Nothing here knows of encryption, levels or scales.
//!
//! [ia.cr/2018/952]: https://ia.cr/2018/952

pub mod automorphism;
pub mod basis;
pub mod conversion;
pub mod kernels;
pub mod modulus;
pub mod ntt;
pub mod parallel;
pub mod poly;
pub mod primes;
pub mod rows;
pub mod sampler;
mod seed;

pub use automorphism::Automorphism;
pub use basis::Basis;
pub use conversion::Conversion;
pub use kernels::Kernel;
pub use modulus::{Modulus, Scalar};
pub use ntt::NttTable;
pub use poly::{Coefficients, Factor, Form, Poly, Values};
pub use rows::IntegerRows;

/// What can be wrong with a request for ring arithmetic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The degree is not a power of two in the supported range.
    #[error("ring degree {0}: expected a power of two from {min} to {max}", min = ntt::MIN_DEGREE, max = ntt::MAX_DEGREE)]
    Degree(usize),
    /// The modulus is not an odd prime in the supported range.
    #[error("modulus {0}: expected a prime from 2^16 to 2^30")]
    Modulus(u64),
    /// The modulus has no primitive root of the order that the transform needs.
    #[error("modulus {modulus} at degree {degree}: expected a prime equal to 1 modulo {}", 4 * degree)]
    NoRoot {
        /// The offending prime.
        modulus: u32,
        /// The ring degree asked for.
        degree: usize,
    },
    /// The kernel was asked for by name but this machine does not have it, or nobody has.
    #[error("kernel '{0}': expected scalar, avx2, avx512 or neon, and a processor that has it")]
    Kernel(String),
    /// The system gives no more threads.
    #[error("{count} threads: expected as many as the system gives: {reason}")]
    Threads {
        /// How many were asked for.
        count: usize,
        /// What the system said.
        reason: String,
    },
}
