//! Chains of operations that act on each word of a transform by itself: sums of scalar multiples of many
//! ciphertexts, squares, and sums of products with plaintexts.
//!
//! None moves words or divides, so a whole chain is computed for one block of words after the other: what
//! lies between its stages never leaves the cache. Only at the end, where values are fewest, each is
//! relinearised and rescaled. Or it is divided as it is, in three parts, which takes no key.

use crate::blocks::Block;
use crate::ciphertext::{Ciphertext, Unrelinearised};
use crate::evaluator::{same_level, same_scale};
use crate::{Context, Error, Evaluator, Extension, Level, PlainFactor, Rescale, Scale};
use blindsight_ring::kernels::Pair;
use blindsight_ring::{IntegerRows, Kernel, Modulus, Poly, Values, kernels, parallel};

/// A sum of scalar multiples of values, and a constant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScalarRow {
    /// Values, by their position, and what they are multiplied by, in rising order of the positions.
    pub terms: Vec<(u32, f64)>,
    /// What is added.
    pub constant: f64,
}

/// A chain of stages, encoded for ciphertexts of one level and scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Pointwise {
    inputs: usize,
    level: Level,
    input_scale: Scale,
    stages: Vec<Stage>,
    /// What the chain has come to so far.
    state: State,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Sums(Sums),
    Squares,
    /// For each row a factor for each value.
    Products(Vec<Vec<PlainFactor>>),
}

#[derive(Debug, Clone, PartialEq)]
struct Sums {
    blocks: Vec<IntegerRows>,
    /// For each prime and each row in the order of the blocks, what is added before the division by `2^32`.
    constants: Vec<Vec<u32>>,
}

/// The values between two stages.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    values: usize,
    /// Polynomials of one value: two, or three after a square.
    parts: usize,
    scale: Scale,
    /// By which power of `2^32` the words are divided.
    radix_power: u64,
}

/// What a weight becomes at a scale.
///
/// # Errors
/// [`Error::Overflow`] where it is beyond 31 bits.
pub fn rounded_weight(weight: f64, scale: Scale, level: Level) -> Result<i32, Error> {
    let integer = (weight * scale.0).round_ties_even();
    if integer.abs() <= f64::from(i32::MAX) {
        return Ok(integer as i32);
    }
    Err(Error::Overflow {
        magnitude: weight.abs(),
        scale,
        needed: integer.abs().log2(),
        available: 31.0,
        level,
    })
}

impl Pointwise {
    /// A chain that does nothing yet to so many ciphertexts.
    pub fn new(inputs: usize, level: Level, scale: Scale) -> Self {
        let state = State { values: inputs, parts: 2, scale, radix_power: 0 };
        Self { inputs, level, input_scale: scale, stages: vec![], state }
    }

    /// Appends sums: each row gives one value. Weights are rounded at `scale`, zeros dropped.
    ///
    /// # Errors
    /// [`Error::InvalidScale`], and [`Error::Overflow`] for a weight beyond 31 bits or a constant that the
    /// level does not hold.
    ///
    /// # Panics
    /// For a row with a value that does not exist.
    pub fn sums(&mut self, context: &Context, rows: &[ScalarRow], scale: Scale) -> Result<(), Error> {
        scale.check()?;
        let before = self.state;
        let after = State {
            values: rows.len(),
            scale: Scale(before.scale.0 * scale.0),
            radix_power: before.radix_power + 1,
            ..before
        };
        let sparse = |row: &ScalarRow| -> Result<Vec<(u32, i32)>, Error> {
            let round = |&(input, w): &(u32, f64)| Ok((input, rounded_weight(w, scale, self.level)?));
            let rounded = row.terms.iter().filter(|(_, w)| *w != 0.0).map(round);
            rounded.collect()
        };
        let matrix = rows.iter().map(sparse).collect::<Result<Vec<_>, _>>()?;
        let fits = |row: &Vec<(u32, i32)>| row.iter().all(|t| (t.0 as usize) < before.values);
        assert!(matrix.iter().all(fits), "a row has a value beyond the {} there are", before.values);
        let blocks = IntegerRows::blocks(&matrix);
        let order = || blocks.iter().flat_map(|b| b.rows()).map(|&r| rows[r as usize].constant);
        let constants =
            order().map(|c| constant(context, c, after.scale, self.level)).collect::<Result<Vec<_>, _>>()?;
        let residues = |m: Modulus| constants.iter().map(|&c| over_radix(m, c, before.radix_power)).collect();
        let constants = context.basis(self.level).moduli().map(residues).collect();
        self.stages.push(Stage::Sums(Sums { blocks, constants }));
        self.state = after;
        Ok(())
    }

    /// Appends squares of all values, not relinearised.
    ///
    /// # Panics
    /// After other squares: values of the fourth degree are not kept.
    pub fn squares(&mut self) {
        assert_eq!(self.state.parts, 2, "a chain squares once");
        self.stages.push(Stage::Squares);
        let State { values, scale, radix_power, .. } = self.state;
        self.state =
            State { values, parts: 3, scale: Scale(scale.0 * scale.0), radix_power: 2 * radix_power };
    }

    /// Appends sums of products: each row gives one value, and has a factor for each value before.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`] and, for rows at different scales, [`Error::ScaleMismatch`].
    ///
    /// # Panics
    /// For a row with more or fewer factors than there are values, and for a factor with special primes.
    pub fn products(&mut self, rows: Vec<Vec<PlainFactor>>) -> Result<(), Error> {
        let before = self.state;
        let mut scale = None;
        for factor in rows.iter().flatten() {
            same_level(factor.level(), self.level)?;
            same_scale(*scale.get_or_insert(factor.scale()), factor.scale())?;
        }
        let whole = |row: &Vec<PlainFactor>| {
            row.len() == before.values && row.iter().all(|f| f.extension() == Extension::Plain)
        };
        assert!(rows.iter().all(whole), "a row has a plain factor for each of the {} values", before.values);
        let scale = scale.map_or(before.scale, |scale| Scale(before.scale.0 * scale.0));
        self.state = State { values: rows.len(), scale, ..before };
        self.stages.push(Stage::Products(rows));
        Ok(())
    }

    /// How many values it gives.
    pub fn outputs(&self) -> usize {
        self.state.values
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        let stage = |stage: &Stage| match stage {
            Stage::Squares => 0,
            Stage::Sums(sums) => {
                let constants: usize = sums.constants.iter().map(|c| size_of_val(&c[..])).sum();
                sums.blocks.iter().map(IntegerRows::bytes).sum::<usize>() + constants
            }
            Stage::Products(rows) => rows.iter().flatten().map(PlainFactor::bytes).sum(),
        };
        self.stages.iter().map(stage).sum()
    }

    fn check(&self, inputs: &[&Ciphertext]) -> Result<(), Error> {
        assert_eq!(inputs.len(), self.inputs, "the chain takes {} ciphertexts", self.inputs);
        inputs.iter().try_for_each(|input| {
            same_level(input.level, self.level)?;
            same_scale(input.scale, self.input_scale)
        })
    }

    /// Words of a block: so many that the values before and after a stage fit the cache that a core has for
    /// itself.
    fn block_words(&self, degree: usize) -> usize {
        const CACHE_WORDS: usize = (1 << 20) / size_of::<u32>();
        let (mut most, mut words) = (0, 2 * self.inputs);
        let mut parts = 2;
        for stage in &self.stages {
            let before = words;
            match stage {
                Stage::Squares => (parts, words) = (3, words / 2 * 3),
                Stage::Sums(sums) => words = parts * sums.constants[0].len(),
                Stage::Products(rows) => words = parts * rows.len(),
            }
            most = most.max(before + words);
        }
        let fits = (CACHE_WORDS / most.max(1)).max(1);
        (1 << fits.ilog2()).clamp(32, 256).min(degree)
    }
}

/// Bytes of memory that sums with these weights, [rounded](rounded_weight), take at a level of so many limbs.
pub fn sum_bytes(matrix: &[Vec<(u32, i32)>], limbs: usize) -> usize {
    let blocks: usize = IntegerRows::blocks(matrix).iter().map(IntegerRows::bytes).sum();
    blocks + limbs * matrix.len() * size_of::<u32>()
}

/// The integer that a constant is at a scale.
fn constant(context: &Context, constant: f64, scale: Scale, level: Level) -> Result<i128, Error> {
    // One bit for the sign; and integers must fit their type.
    let available = (context.parameters().log_q(level) - 1.0).min(126.0);
    let integer = (constant * scale.0).round_ties_even();
    if integer.abs() < available.exp2() {
        return Ok(integer as i128);
    }
    Err(Error::Overflow { magnitude: constant.abs(), scale, needed: integer.abs().log2(), available, level })
}

/// `x / 2^(32 power)` modulo `q`.
fn over_radix(m: Modulus, x: i128, power: u64) -> u32 {
    let residue = x.rem_euclid(i128::from(m.value())) as u32;
    m.mul(residue, m.inverse(m.pow(m.to_montgomery(1), power)))
}

impl Evaluator<'_> {
    /// Computes a chain on ciphertexts, relinearises where it squares, and divides by the last `rescales`
    /// primes of the level.
    ///
    /// Scale: the chain's over those primes. Needs the relinearisation key where the chain squares. Error:
    /// the ciphertexts' times the weights, and that of each value's relinearisation and rescales. Cost: for
    /// each weight 2 or 3 multiply-accumulates a limb, for each square a tensor product, for each value of
    /// the end a relinearisation and its rescales; no NTT before those.
    ///
    /// Work is spread over blocks of words, then over values.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::ScaleMismatch`], [`Error::MissingKey`] and [`Error::NoLevelLeft`].
    ///
    /// # Panics
    /// Where there are not as many inputs as the chain takes.
    pub fn pointwise(
        &self,
        inputs: &[&Ciphertext],
        chain: &Pointwise,
        rescales: usize,
    ) -> Result<Vec<Ciphertext>, Error> {
        chain.check(inputs)?;
        let values = self.blockwise(inputs, chain);
        let mut finished: Vec<Result<Ciphertext, Error>> =
            values.iter().map(|_| Err(Error::NoLevelLeft)).collect();
        parallel::for_each(finished.iter_mut().zip(values), |(out, parts)| {
            *out = self.reduced(parts, chain, rescales);
        });
        finished.into_iter().collect()
    }

    /// Computes a chain that squares, and divides the three parts of its values by the last `rescales` primes
    /// of the level, all at once.
    ///
    /// Scale: the chain's over those primes. Needs no key. Error: the ciphertexts' times the weights, and
    /// [`crate::noise::division_unrelinearised`]. Cost: that of [`pointwise`](Self::pointwise), but for each
    /// value of the end a division of three parts.
    ///
    /// # Errors
    /// [`Error::LevelMismatch`], [`Error::ScaleMismatch`] and [`Error::NoLevelLeft`].
    ///
    /// # Panics
    /// Where there are not as many inputs as the chain takes, and where it does not square.
    pub fn pointwise_unrelinearised(
        &self,
        inputs: &[&Ciphertext],
        chain: &Pointwise,
        rescales: usize,
    ) -> Result<Vec<Unrelinearised>, Error> {
        chain.check(inputs)?;
        let level = Level(chain.level.0.checked_sub(rescales).ok_or(Error::NoLevelLeft)?);
        let primes = (level.0 + 1..=chain.level.0).map(|l| self.context.parameters().modulus(Level(l)));
        let scale = Scale(primes.fold(chain.state.scale.0, |scale, prime| scale / prime));
        let division = (rescales > 0).then(|| self.context.division(chain.level, level));
        let mut values = self.blockwise(inputs, chain);
        if let Some(division) = &division {
            let parts: Vec<&mut Poly<Values>> = values.iter_mut().flatten().collect();
            parallel::for_each(parts.into_iter(), |part| division.apply(part));
        }
        let whole = |parts: Vec<Poly<Values>>| Unrelinearised {
            parts: parts.try_into().expect("a chain that squares has values of three parts"),
            level,
            scale,
        };
        Ok(values.into_iter().map(whole).collect())
    }

    /// The parts of each value of the end.
    fn blockwise(&self, inputs: &[&Ciphertext], chain: &Pointwise) -> Vec<Vec<Poly<Values>>> {
        let basis = self.context.basis(chain.level);
        let words = chain.block_words(basis.degree());
        let part = |_| basis.scratch();
        let mut values: Vec<Vec<_>> =
            (0..chain.outputs()).map(|_| (0..chain.state.parts).map(part).collect()).collect();
        // For each limb and block, where its words of all parts go.
        let blocks = basis.degree() / words;
        let mut tasks: Vec<Vec<&mut [u32]>> = (0..basis.len() * blocks).map(|_| vec![]).collect();
        for poly in values.iter_mut().flatten() {
            let chunks = poly.words_mut().chunks_exact_mut(words);
            tasks.iter_mut().zip(chunks).for_each(|(task, chunk)| task.push(chunk));
        }
        parallel::for_each(tasks.into_iter().enumerate(), |(task, out)| {
            let (limb, start) = (task / blocks, task % blocks * words);
            self.block(inputs, chain, limb, start, words, out);
        });
        values
    }

    /// One block of one limb, through all stages.
    fn block(
        &self,
        inputs: &[&Ciphertext],
        chain: &Pointwise,
        limb: usize,
        start: usize,
        words: usize,
        out: Vec<&mut [u32]>,
    ) {
        let basis = self.context.basis(chain.level);
        let (kernel, m) = (basis.kernel(), basis.modulus(limb));
        let mut block = Poly::<Values>::scratch(words, 2 * inputs.len());
        for (input, to) in inputs.iter().zip(block.words_mut().chunks_exact_mut(2 * words)) {
            to[..words].copy_from_slice(&input.c0.limb(limb)[start..][..words]);
            to[words..].copy_from_slice(&input.c1.limb(limb)[start..][..words]);
        }
        let mut parts = 2;
        for stage in &chain.stages {
            block = match stage {
                Stage::Sums(sums) => sums.block(kernel, m, limb, &block, parts),
                Stage::Squares => squares(kernel, m, &block),
                Stage::Products(rows) => {
                    let at = Block { limb, words: start..start + words };
                    products(kernel, m, &at, rows, &block, parts)
                }
            };
            parts = if *stage == Stage::Squares { 3 } else { parts };
        }
        kernels::mul_scalar(
            kernel,
            m,
            block.words_mut(),
            m.scalar(m.pow(m.to_montgomery(1), chain.state.radix_power)),
        );
        block.iter().zip(out).for_each(|(from, to)| to.copy_from_slice(from));
    }

    /// A ciphertext of the two or three parts of a value.
    fn reduced(
        &self,
        parts: Vec<Poly<Values>>,
        chain: &Pointwise,
        rescales: usize,
    ) -> Result<Ciphertext, Error> {
        let (level, scale) = (chain.level, chain.state.scale);
        let mut parts = parts.into_iter();
        let mut part = || parts.next();
        let (c0, c1) = part().zip(part()).expect("a value has two parts or three");
        let (mut value, left) = match part() {
            None => (Ciphertext { c0, c1, level, scale }, rescales),
            Some(c2) => {
                let rescale = if rescales > 0 { Rescale::Yes } else { Rescale::No };
                (self.relinearise([c0, c1, c2], level, scale, rescale)?, rescales.saturating_sub(1))
            }
        };
        for _ in 0..left {
            value = self.rescale(value)?;
        }
        // A batch keeps thousands.
        value.c0.settle();
        value.c1.settle();
        Ok(value)
    }
}

impl Sums {
    fn block(&self, kernel: Kernel, m: Modulus, limb: usize, x: &Poly<Values>, parts: usize) -> Poly<Values> {
        let (words, mut constants) = (x.degree(), &self.constants[limb][..]);
        let mut out = Poly::scratch(words, parts * constants.len());
        for rows in &self.blocks {
            let (own, rest) = constants.split_at(rows.rows().len());
            kernels::sum_rows(kernel, m, rows, (own, words), x.words(), out.words_mut(), parts * words);
            constants = rest;
        }
        out
    }
}

fn squares(kernel: Kernel, m: Modulus, x: &Poly<Values>) -> Poly<Values> {
    let words = x.degree();
    let mut out = Poly::scratch(words, x.limbs() / 2 * 3);
    for (from, to) in x.words().chunks_exact(2 * words).zip(out.words_mut().chunks_exact_mut(3 * words)) {
        let (c0, c1) = from.split_at(words);
        let (d0, rest) = to.split_at_mut(words);
        let (d1, d2) = rest.split_at_mut(words);
        kernels::tensor(kernel, m, [c0, c1], [c0, c1], [d0, d1, d2]);
    }
    out
}

/// Sums of products, part by part.
fn products(
    kernel: Kernel,
    m: Modulus,
    block: &Block,
    rows: &[Vec<PlainFactor>],
    x: &Poly<Values>,
    parts: usize,
) -> Poly<Values> {
    let words = x.degree();
    let mut out = Poly::scratch(words, parts * rows.len());
    // Kernels work on two parts at a time: of three, the last one is computed twice.
    let mut spare = vec![0; words];
    for (row, to) in rows.iter().zip(out.words_mut().chunks_exact_mut(parts * words)) {
        let pairs = |[left, right]: [usize; 2]| -> Vec<Pair<'_>> {
            let each = x.words().chunks_exact(parts * words).zip(row);
            each.map(|(value, factor)| Pair {
                left: [left, right].map(|part| &value[part * words..][..words]),
                shared: factor.block(block),
            })
            .collect()
        };
        let (first, rest) = to.split_at_mut(words);
        let (second, third) = rest.split_at_mut(words);
        kernels::dot_pair(kernel, m, &pairs([0, 1]), [first, second]);
        if parts == 3 {
            kernels::dot_pair(kernel, m, &pairs([2, 2]), [third, &mut spare]);
        }
    }
    out
}
