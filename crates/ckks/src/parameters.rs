//! Parameter literals, and the validated parameters that everything else is built on.

use crate::Error;
use blindsight_ring::Modulus;
use blindsight_ring::kernels::MOST_SOURCES;
use serde::{Deserialize, Serialize};

/// How many rescales a ciphertext has left. At level `l` it has `l + 1` times as many limbs as a level has
/// ([`Parameters::limbs`]): usually one, `q_0 ... q_l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level(pub usize);

impl Level {
    /// The level after a rescale, if one is left.
    pub const fn below(self) -> Option<Self> {
        match self.0 {
            0 => None,
            l => Some(Self(l - 1)),
        }
    }
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "level {}", self.0)
    }
}

/// By what a slot is multiplied before it is rounded to an integer polynomial: an exact number, no power of
/// two.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Scale(pub f64);

impl Scale {
    /// `2^bits`.
    pub fn bits(bits: f64) -> Self {
        Self(bits.exp2())
    }

    /// `log2` of the scale.
    pub fn log2(self) -> f64 {
        self.0.log2()
    }

    /// Checks that it is a positive, finite number.
    pub fn check(self) -> Result<(), Error> {
        if self.0.is_finite() && self.0 > 0.0 { Ok(()) } else { Err(Error::InvalidScale(self.0)) }
    }

    /// Whether two scales are the same up to the rounding of `f64`.
    pub fn agrees(self, other: Self) -> bool {
        (self.0 / other.0 - 1.0).abs() < 1e-12
    }
}

impl std::fmt::Display for Scale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "2^{:.4}", self.log2())
    }
}

/// What parameters are written as; [`ParametersLiteral::validate`] checks them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ParametersLiteral {
    /// The ring degree `N`, which is the number of slots.
    pub degree: usize,
    /// The ciphertext primes `q_0 ... q_L`; rescaling drops the last.
    pub moduli: Vec<u32>,
    /// The special primes `P`, which only keys have: none where no circuit has any.
    pub special: Vec<u32>,
    /// How many limbs form one digit of a key-switch.
    pub digit_limbs: usize,
}

/// The most ciphertext primes of a chain.
pub const MOST_MODULI: usize = 64;
/// The most limbs of a digit: so many primes a base conversion starts from.
pub const MOST_DIGIT_LIMBS: usize = 8;
/// The most special primes: a mod-down drops them, and one prime more where it is fused with a rescale.
pub const MOST_SPECIAL: usize = 8;
const _: () = assert!(MOST_SPECIAL < MOST_SOURCES && MOST_DIGIT_LIMBS <= MOST_SOURCES);

/// The largest `log2(QP)` for each degree at 128, 192 and 256 bits: uniform ternary secret, deviation 3.19,
/// classical attacks (Security Guidelines for Implementing Homomorphic Encryption,
/// [ia.cr/2024/463](https://ia.cr/2024/463), table 5.2).
const SECURITY_TABLE: [(usize, [f64; 3]); 7] = [
    (1024, [26.0, 0.0, 0.0]),
    (2048, [53.0, 36.0, 27.0]),
    (4096, [106.0, 73.0, 56.0]),
    (8192, [214.0, 147.0, 114.0]),
    (16384, [430.0, 297.0, 230.0]),
    (32768, [868.0, 597.0, 462.0]),
    (65536, [1747.0, 1199.0, 929.0]),
];

/// The largest `log2(QP)` that the table grants so much security at this degree; zero where it has no such
/// degree.
pub fn largest_log_qp(degree: usize, security: Security) -> f64 {
    table_row(degree)[security as usize]
}

fn table_row(degree: usize) -> [f64; 3] {
    SECURITY_TABLE.iter().find(|(n, _)| *n == degree).map_or([0.0; 3], |(_, row)| *row)
}

/// How many bits of security the table is asked for: against classical attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum Security {
    /// 128 bits, the least there is.
    #[default]
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

impl Security {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Bits128, Self::Bits192, Self::Bits256];

    /// The number.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Bits128 => 128,
            Self::Bits192 => 192,
            Self::Bits256 => 256,
        }
    }
}

impl std::fmt::Display for Security {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.bits())
    }
}

impl std::str::FromStr for Security {
    type Err = Error;

    fn from_str(bits: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|security| security.to_string() == bits);
        found.ok_or_else(|| Error::SecurityBits(bits.into()))
    }
}

/// The most limbs of a level: scales beyond two primes are beyond the encoder's integers.
pub const MOST_LEVEL_LIMBS: usize = 2;

/// What is asked of parameters beside what their literal says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Demands {
    /// What the table has to grant.
    pub security: Security,
    /// How many primes a level has, and a rescale divides by: one, or [two](MOST_LEVEL_LIMBS) for scales that
    /// no prime of 30 bits holds.
    pub level_limbs: usize,
}

impl Default for Demands {
    /// 128 bits, and a prime a level.
    fn default() -> Self {
        Self { security: Security::Bits128, level_limbs: 1 }
    }
}

/// Parameters that were checked: distinct primes with the roots the ring needs, digits that the special
/// primes cover, and 128 bits of security or more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters {
    literal: ParametersLiteral,
    level_limbs: usize,
    moduli: Vec<Modulus>,
    special: Vec<Modulus>,
}

impl ParametersLiteral {
    /// Checks the literal: 128 bits of security, and a prime a level.
    ///
    /// # Errors
    /// As [`validate_as`](Self::validate_as).
    pub fn validate(&self) -> Result<Parameters, Error> {
        self.validate_as(Demands::default())
    }

    /// Checks the literal against what is asked of it.
    ///
    /// # Errors
    /// Where `log2(QP)` exceeds what the table grants at this degree (with both figures), where a prime is
    /// out of range, not 1
    /// modulo `4N` or there twice, where primes do not come out even over the levels, and where digits are
    /// empty, longer than [`MOST_DIGIT_LIMBS`], or larger than `P / 4`.
    pub fn validate_as(&self, demands: Demands) -> Result<Parameters, Error> {
        let parameters = self.validate_arithmetic(demands.level_limbs)?;
        let bits = demands.security.bits();
        let (log_qp, largest) = (parameters.log_qp(), largest_log_qp(self.degree, demands.security));
        if log_qp > largest {
            return Err(Error::Insecure { degree: self.degree, log_qp, largest, bits });
        }
        Ok(parameters)
    }

    /// As [`validate`](Self::validate), without the security table: for tests in small rings.
    #[cfg(feature = "testing")]
    pub fn validate_insecure(&self) -> Result<Parameters, Error> {
        self.validate_arithmetic(1)
    }

    /// The same with so many primes a level.
    #[cfg(feature = "testing")]
    pub fn validate_insecure_levels(&self, level_limbs: usize) -> Result<Parameters, Error> {
        self.validate_arithmetic(level_limbs)
    }

    fn validate_arithmetic(&self, level_limbs: usize) -> Result<Parameters, Error> {
        let (moduli, special, digit_limbs) = (self.moduli.len(), self.special.len(), self.digit_limbs);
        let all = [(moduli, MOST_MODULI), (digit_limbs, MOST_DIGIT_LIMBS)];
        if all.into_iter().any(|(count, most)| !(1..=most).contains(&count)) || special > MOST_SPECIAL {
            return Err(Error::Shape { moduli, special, digit_limbs });
        }
        let even = (1..=MOST_LEVEL_LIMBS).contains(&level_limbs) && moduli.is_multiple_of(level_limbs);
        if !even || special + level_limbs > MOST_SOURCES {
            return Err(Error::LevelShape { moduli, special, level_limbs });
        }
        let all: Vec<u32> = self.moduli.iter().chain(&self.special).copied().collect();
        if let Some(twice) = all.iter().enumerate().find(|(i, q)| all[..*i].contains(q)) {
            return Err(Error::RepeatedPrime(*twice.1));
        }
        let check = |&q: &u32| -> Result<Modulus, Error> {
            let modulus = Modulus::new(q.into())?;
            blindsight_ring::NttTable::check(modulus, self.degree)?;
            Ok(modulus)
        };
        let moduli = self.moduli.iter().map(check).collect::<Result<_, _>>()?;
        let special = self.special.iter().map(check).collect::<Result<_, _>>()?;
        let parameters = Parameters { literal: self.clone(), level_limbs, moduli, special };
        parameters.check_digits()?;
        Ok(parameters)
    }
}

impl Parameters {
    /// The literal they were made from.
    pub fn literal(&self) -> &ParametersLiteral {
        &self.literal
    }

    /// The ring degree `N`.
    pub fn degree(&self) -> usize {
        self.literal.degree
    }

    /// How many real slots a ciphertext has: `N`.
    pub fn slots(&self) -> usize {
        self.literal.degree
    }

    /// The level of a fresh ciphertext.
    pub fn max_level(&self) -> Level {
        Level(self.moduli.len() / self.level_limbs - 1)
    }

    /// How many primes a level has, and a rescale divides by.
    pub fn level_limbs(&self) -> usize {
        self.level_limbs
    }

    /// How many limbs a ciphertext has at this level.
    pub fn limbs(&self, level: Level) -> usize {
        (level.0 + 1) * self.level_limbs
    }

    /// Checks that a level exists.
    pub fn check_level(&self, level: Level) -> Result<(), Error> {
        if level > self.max_level() {
            return Err(Error::NoSuchLevel { level, largest: self.max_level() });
        }
        Ok(())
    }

    /// The ciphertext primes.
    pub fn moduli(&self) -> &[Modulus] {
        &self.moduli
    }

    /// The special primes.
    pub fn special(&self) -> &[Modulus] {
        &self.special
    }

    /// The product of the level's own primes, usually one: what a rescale at this level divides by.
    pub fn modulus(&self, level: Level) -> f64 {
        let own = level.0 * self.level_limbs..self.limbs(level);
        self.moduli[own].iter().map(|m| f64::from(m.value())).product()
    }

    /// The product of the primes of digit `index` at this level.
    pub(crate) fn digit_product(&self, level: Level, index: usize) -> f64 {
        self.moduli[self.digit(level, index)].iter().map(|m| f64::from(m.value())).product()
    }

    /// How many digits a key-switch has at this level.
    pub fn digits(&self, level: Level) -> usize {
        self.limbs(level).div_ceil(self.literal.digit_limbs)
    }

    /// The limbs of digit `index` at this level.
    pub fn digit(&self, level: Level, index: usize) -> std::ops::Range<usize> {
        let size = self.literal.digit_limbs;
        index * size..((index + 1) * size).min(self.limbs(level))
    }

    /// The scale that values are brought back to: the power of two that the primes of the levels lie around.
    ///
    /// Exactly `2^26` for the parameters of small rings.
    pub fn nominal_scale(&self) -> Scale {
        let bits: Vec<f64> = self.moduli().chunks(self.level_limbs).map(log2_product).collect();
        let mean = match &bits[..] {
            [_, levels @ ..] if !levels.is_empty() => levels.iter().sum::<f64>() / levels.len() as f64,
            // A chain without levels has the base prime alone, which is two bits larger.
            _ => bits.iter().sum::<f64>() - 2.0,
        };
        Scale::bits(mean.round())
    }

    /// `log2` of the product of the ciphertext primes up to `level`.
    pub fn log_q(&self, level: Level) -> f64 {
        log2_product(&self.moduli[..self.limbs(level)])
    }

    /// `log2(P)`.
    pub fn log_p(&self) -> f64 {
        log2_product(&self.special)
    }

    /// `log2(QP)`: evaluation keys live modulo `QP`, so this is what security depends on.
    pub fn log_qp(&self) -> f64 {
        self.log_q(self.max_level()) + self.log_p()
    }

    /// What the table grants: 128, 192 or 256 bits (0 for test parameters).
    pub fn security_bits(&self) -> u32 {
        let log_qp = self.log_qp();
        let granted = table_row(self.degree()).iter().filter(|&&largest| log_qp <= largest).count();
        [0, 128, 192, 256][granted]
    }

    /// A key-switch adds the digits' noise divided by `P`; two bits of room keep it below the rounding error.
    /// (A hundredth of a bit is forgiven: primes are where they are.) Without special primes there are no
    /// key-switches.
    fn check_digits(&self) -> Result<(), Error> {
        if self.special.is_empty() {
            return Ok(());
        }
        for digit in self.moduli.chunks(self.literal.digit_limbs) {
            if log2_product(digit) + 1.99 > self.log_p() {
                return Err(Error::DigitTooLarge { digit: log2_product(digit), special: self.log_p() });
            }
        }
        Ok(())
    }
}

fn log2_product(moduli: &[Modulus]) -> f64 {
    moduli.iter().map(|m| f64::from(m.value()).log2()).sum()
}
