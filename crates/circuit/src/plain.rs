//! Plaintexts of a circuit: what is multiplied or added, and how it is encoded.

use blindsight_ckks::{Encoding, Level, MOST_REPEATS, Scale, most_repeats};
use blindsight_ring::parallel;
use std::iter::Sum;
use std::ops::Add;
use std::sync::Arc;

/// Slots that are worth a thread's while.
const PART: usize = 2048;

/// The numbers of a plaintext, made when they are asked for.
///
/// A circuit may hold thousands of plaintexts; counting them needs none of their values, and whoever encodes
/// them needs them one at a time. So a plaintext is a function from weights (shared, behind an `Arc`) to
/// slots.
#[derive(Clone)]
pub struct Numbers {
    make: Arc<dyn Fn() -> Vec<f64> + Send + Sync>,
    repeats: usize,
}

impl Numbers {
    /// The numbers that `make` returns; it must return the same ones each time.
    pub fn new(make: impl Fn() -> Vec<f64> + Send + Sync + 'static) -> Self {
        Self { make: Arc::new(make), repeats: 1 }
    }

    /// The number `at(slot)` for each of `slots` slots; inside a rayon pool threads look at different slots.
    pub fn per_slot(slots: usize, at: impl Fn(usize) -> f64 + Send + Sync + 'static) -> Self {
        let part = move |first: usize| (first..slots.min(first + PART)).map(&at).collect::<Vec<f64>>();
        Self::new(move || parallel::map((0..slots).step_by(PART), &part).concat())
    }

    /// As [`per_slot`](Self::per_slot), for numbers that [repeat](Self::repeating) so often: those of the
    /// first part alone are made. That the others are the same is the caller's to know, and is looked at with
    /// debug assertions only.
    pub fn periodic(slots: usize, repeats: usize, at: impl Fn(usize) -> f64 + Send + Sync + 'static) -> Self {
        let (at, period) = (Arc::new(at), slots / repeats);
        let same = at.clone();
        let first = Self::per_slot(period, move |slot| at(slot));
        let make = move || {
            let numbers = first.make().repeat(repeats);
            debug_assert!(
                (period..slots).all(|slot| same(slot) == numbers[slot]),
                "numbers that do not repeat"
            );
            numbers
        };
        Self::new(make).repeating(repeats)
    }

    /// The same, which fill all slots and repeat so often, in equal parts: a power of two. Factors that
    /// repeat are smaller, and whoever counts them must know before there are any numbers. Encoding checks
    /// it.
    pub fn repeating(self, repeats: usize) -> Self {
        assert!(repeats.is_power_of_two(), "{repeats} repeats: expected a power of two");
        Self { repeats, ..self }
    }

    /// How often they repeat, as far as is known; in slots of a ciphertext, so many at most as save words.
    pub(crate) fn repeats(&self, slots: usize) -> usize {
        self.repeats.min(most_repeats(slots))
    }

    /// The numbers.
    pub fn make(&self) -> Vec<f64> {
        (self.make)()
    }
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Numbers(..)")
    }
}

/// What a plaintext is used for, which decides the form it is kept in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Multiplied with ciphertexts (modulo `Q`), also inside a linear transform that is hoisted once.
    Factor,
    /// Multiplied inside a linear transform that is hoisted twice, where sums are kept modulo `QP`.
    ExtendedFactor,
    /// Added to ciphertexts.
    Summand(Encoding),
}

impl Role {
    /// The role in words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Factor => "a factor",
            Self::ExtendedFactor => "an extended factor",
            Self::Summand(Encoding::Slots) => "a summand in slots",
            Self::Summand(Encoding::Coefficients) => "a summand in coefficients",
        }
    }
}

/// One plaintext of a circuit.
#[derive(Debug, Clone)]
pub struct PlainSpec {
    /// What it is used for.
    pub role: Role,
    /// The level it is encoded at.
    pub level: Level,
    /// The scale it is encoded at.
    pub scale: Scale,
    /// Its numbers.
    pub numbers: Numbers,
    /// How often they repeat at least, as far as that makes a factor smaller; 1 for summands.
    pub repeats: usize,
}

impl PlainSpec {
    /// Whether the numbers repeat as they should.
    pub(crate) fn repeats_as_said(&self, numbers: &[f64], slots: usize) -> bool {
        let period = slots / self.repeats;
        self.repeats == 1 || (numbers.len() == slots && numbers[period..] == numbers[..slots - period])
    }
}

/// How many factors a sum of products reads, and how much of them there is to read: those that repeat are
/// smaller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Factors {
    /// How many there are.
    pub count: u64,
    /// Their words, in parts of a factor of which the smallest has one: [`MOST_REPEATS`] make a full one.
    pub parts: u64,
}

impl Factors {
    /// So many that repeat so often: a power of two up to [`MOST_REPEATS`].
    pub const fn repeating(count: usize, repeats: usize) -> Self {
        Self { count: count as u64, parts: (count * (MOST_REPEATS / repeats)) as u64 }
    }

    /// So many in full.
    pub const fn full(count: usize) -> Self {
        Self::repeating(count, 1)
    }

    /// How many limbs are read of them where each has so many, rounded up.
    pub const fn read(&self, limbs: u64) -> u64 {
        (self.parts * limbs).div_ceil(MOST_REPEATS as u64)
    }
}

impl Add for Factors {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { count: self.count + other.count, parts: self.parts + other.parts }
    }
}

impl Sum for Factors {
    fn sum<I: Iterator<Item = Self>>(factors: I) -> Self {
        factors.fold(Self::default(), Add::add)
    }
}
