//! One prime modulus and the constants of its reductions.

use crate::Error;

/// A prime `q` with `2^16 < q < 2^30`.
///
/// The upper bound leaves room for lazy butterflies in `[0, 4q)` within 32 bits (Harvey, "Faster arithmetic
/// for number-theoretic transforms", 2014, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Modulus {
    q: u32,
    /// `q^-1 mod 2^32`, for Montgomery reduction in subtractive form.
    q_inverse: u32,
    /// `floor(2^32 / q)`: the Shoup quotient of one, which reduces any 32-bit word.
    one_quotient: u32,
}

/// A residue `w` with its Shoup quotient `floor(w 2^32 / q)`: a constant that many words are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scalar {
    /// The residue, below `q`.
    pub value: u32,
    /// `floor(value * 2^32 / q)`.
    pub quotient: u32,
}

impl Modulus {
    /// Checks that `q` is a prime in range.
    pub fn new(q: u64) -> Result<Self, Error> {
        if !(1 << 16..1 << 30).contains(&q) || !crate::primes::is_prime(q) {
            return Err(Error::Modulus(q));
        }
        let q = q as u32;
        Ok(Self { q, q_inverse: inverse_mod_2_32(q), one_quotient: ((1u64 << 32) / u64::from(q)) as u32 })
    }

    /// The prime itself.
    pub const fn value(self) -> u32 {
        self.q
    }

    /// `q^-1 mod 2^32`.
    pub const fn q_inverse(self) -> u32 {
        self.q_inverse
    }

    /// `floor(2^32 / q)`.
    pub const fn one_quotient(self) -> u32 {
        self.one_quotient
    }

    /// How many products of two residues a 64-bit sum holds without overflow.
    pub const fn max_unreduced_products(self) -> usize {
        let largest = (self.q - 1) as u64 * (self.q - 1) as u64;
        (u64::MAX / largest) as usize
    }

    /// Any 64-bit integer modulo `q`.
    pub const fn reduce(self, x: u64) -> u32 {
        (x % self.q as u64) as u32
    }

    /// A signed integer modulo `q`.
    pub const fn reduce_signed(self, x: i64) -> u32 {
        x.rem_euclid(self.q as i64) as u32
    }

    /// A residue as the integer of least magnitude, in `(-q/2, q/2)`.
    pub const fn centre(self, x: u32) -> i64 {
        if x > self.q / 2 { x as i64 - self.q as i64 } else { x as i64 }
    }

    /// `a + b`.
    pub const fn add(self, a: u32, b: u32) -> u32 {
        let sum = a + b;
        if sum >= self.q { sum - self.q } else { sum }
    }

    /// `a - b`.
    pub const fn sub(self, a: u32, b: u32) -> u32 {
        if a >= b { a - b } else { a + self.q - b }
    }

    /// `-a`.
    pub const fn neg(self, a: u32) -> u32 {
        if a == 0 { 0 } else { self.q - a }
    }

    /// `a * b`.
    pub const fn mul(self, a: u32, b: u32) -> u32 {
        self.reduce(a as u64 * b as u64)
    }

    /// `a^exponent`.
    pub fn pow(self, a: u32, mut exponent: u64) -> u32 {
        let (mut base, mut result) = (a, 1);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = self.mul(result, base);
            }
            base = self.mul(base, base);
            exponent >>= 1;
        }
        result
    }

    /// `1 / a` for `a` not zero modulo `q` (Fermat).
    pub fn inverse(self, a: u32) -> u32 {
        debug_assert!(a != 0, "zero has no inverse");
        self.pow(a, u64::from(self.q) - 2)
    }

    /// `a * 2^32`: the Montgomery form that factors are kept in.
    pub const fn to_montgomery(self, a: u32) -> u32 {
        self.reduce((a as u64) << 32)
    }

    /// Makes a constant ready for repeated multiplication.
    pub const fn scalar(self, value: u32) -> Scalar {
        debug_assert!(value < self.q);
        Scalar { value, quotient: (((value as u64) << 32) / self.q as u64) as u32 }
    }

    /// The residue of a constant as a signed word in `(-q/2, q/2)`. Its quotient, read as a signed word,
    /// belongs to it: the constant `w - q` has the quotient `floor((w - q) 2^32 / q) = quotient - 2^32`.
    pub(crate) const fn signed_value(self, w: Scalar) -> u32 {
        if w.quotient >> 31 == 0 { w.value } else { w.value.wrapping_sub(self.q) }
    }

    /// `x * w` in `[0, 2q)`, for any 32-bit `x` (Harvey 2014, algorithm 3: the quotient estimate is short by
    /// less than two).
    #[inline(always)]
    pub const fn mul_scalar_lazy(self, x: u32, w: Scalar) -> u32 {
        let quotient = ((x as u64 * w.quotient as u64) >> 32) as u32;
        x.wrapping_mul(w.value).wrapping_sub(quotient.wrapping_mul(self.q))
    }

    /// `x * w`, for any 32-bit `x`.
    #[inline(always)]
    pub const fn mul_scalar(self, x: u32, w: Scalar) -> u32 {
        self.reduce_once(self.mul_scalar_lazy(x, w))
    }

    /// `[0, 2q)` to `[0, q)`.
    #[inline(always)]
    pub const fn reduce_once(self, x: u32) -> u32 {
        if x >= self.q { x - self.q } else { x }
    }

    /// `x * 2^-32` for any 64-bit `x`: Montgomery reduction, its high word reduced first.
    ///
    /// With `m = lo(x) q^-1 mod 2^32` we have `x - m q = 2^32 (hi(x) - hi(m q))`, since the low words agree.
    /// Both `hi(x) mod q` and `hi(m q)` lie in `[0, q)`.
    #[inline(always)]
    pub const fn montgomery_reduce(self, x: u64) -> u32 {
        let high = self.reduce_word((x >> 32) as u32);
        let m = (x as u32).wrapping_mul(self.q_inverse);
        let correction = ((m as u64 * self.q as u64) >> 32) as u32;
        self.sub(high, correction)
    }

    /// Any 32-bit word modulo `q`.
    #[inline(always)]
    pub const fn reduce_word(self, x: u32) -> u32 {
        let quotient = ((x as u64 * self.one_quotient as u64) >> 32) as u32;
        self.reduce_once(x - quotient * self.q)
    }
}

/// Newton's iteration: each step doubles the number of correct low bits, and `q` is its own inverse modulo 8.
const fn inverse_mod_2_32(q: u32) -> u32 {
    let mut inverse = q;
    let mut step = 0;
    while step < 4 {
        inverse = inverse.wrapping_mul(2u32.wrapping_sub(q.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PRIMES: [u64; 4] = [66_551_809, 67_239_937, 268_369_921, 1_073_692_673];

    #[test]
    fn refuses_what_is_no_prime_in_range() {
        for q in [0, 1, 65_521, 67_239_939, 1 << 30, u64::MAX] {
            assert_eq!(Modulus::new(q), Err(Error::Modulus(q)));
        }
    }

    proptest! {
        #[test]
        fn reductions_equal_division(index in 0..PRIMES.len(), x: u64, a: u32, w: u32) {
            let m = Modulus::new(PRIMES[index]).unwrap();
            let q = u64::from(m.value());
            let r = m.montgomery_reduce(x);
            prop_assert!(r < m.value());
            prop_assert_eq!((u128::from(r) << 32) % u128::from(q), u128::from(x % q));
            let w = m.scalar(m.reduce(u64::from(w)));
            prop_assert_eq!(u64::from(m.mul_scalar(a, w)), u64::from(a) * u64::from(w.value) % q);
            prop_assert_eq!(u64::from(m.reduce_word(a)), u64::from(a) % q);
            prop_assert_eq!(m.reduce_signed(m.centre(w.value)), w.value);
        }

        #[test]
        fn inverses_multiply_to_one(index in 0..PRIMES.len(), a in 1u32..65_536) {
            let m = Modulus::new(PRIMES[index]).unwrap();
            prop_assert_eq!(m.mul(a, m.inverse(a)), 1);
        }
    }
}
