//! What runs circuits: the seam between the encrypted executor and an implementation of the cryptography.
//!
//! A [`Scheme`] encodes plaintexts, once for a model; a [`Backend`] operates on ciphertexts, with the keys of
//! one client. The CPU's are `Context` and `Evaluator` of `blindsight_ckks`. An operation is one call with
//! everything that it may do together: no part of a transform, a rotate-and-sum or a chain crosses the seam,
//! so a backend is free in how it keeps what lies between.
//!
//! The builder has checked levels, scales and rotations of all operands before a backend sees them.

use crate::Error;
use blindsight_ckks::{
    Ciphertext, Context, Encoding, Evaluator, Extension, GiantOrder, GiantStep, Level, LinearTransform,
    PlainFactor, PlainSummand, Pointwise, Rescale, ScalarRow, Scale, Term, Unrelinearised,
};

/// The types of a backend, and how plaintexts come to be in its form.
pub trait Scheme: Sync {
    /// A ciphertext.
    type Ciphertext: Clone;
    /// What a chain without keys ends in: see [`Unrelinearised`].
    type Unrelinearised: Clone;
    /// What multiplies a ciphertext.
    type Factor: PartialEq + Send;
    /// What is added to a ciphertext.
    type Summand: PartialEq + Send;
    /// A giant step of a linear transform, with its factors.
    type GiantStep: Send;
    /// A chain's weights and constants.
    type Chain;

    /// The level and the scale of a ciphertext.
    fn level_and_scale(ciphertext: &Self::Ciphertext) -> (Level, Scale);

    /// Slots as a factor, for products by themselves or inside a linear transform.
    ///
    /// # Errors
    /// Where the numbers are too many, not finite or too large for the level.
    fn factor(
        &self,
        slots: &[f64],
        level: Level,
        scale: Scale,
        extension: Extension,
    ) -> Result<Self::Factor, Error>;

    /// For each rotation and its terms the giant step with the factors that `factor` gives, by the position
    /// of the giant step and of the term, each asked for once. What of a transform is made together may lie
    /// together. Inside a rayon pool threads may ask for one each.
    ///
    /// # Errors
    /// Those of `factor`.
    fn giant_steps(
        &self,
        shapes: &[(usize, Vec<Term>)],
        factor: impl Fn(usize, usize) -> Result<Self::Factor, Error> + Sync + Send,
    ) -> Result<Vec<Self::GiantStep>, Error>;

    /// Slots or coefficients as a summand; errors as for [`factor`](Self::factor).
    fn summand(
        &self,
        numbers: &[f64],
        encoding: Encoding,
        level: Level,
        scale: Scale,
    ) -> Result<Self::Summand, Error>;

    /// The stages of a chain on so many ciphertexts at this level and scale.
    ///
    /// # Errors
    /// Where a weight or constant is too large for its scale and level.
    fn chain(
        &self,
        inputs: usize,
        level: Level,
        scale: Scale,
        stages: impl Iterator<Item = Stage<Self::Factor>>,
    ) -> Result<Self::Chain, Error>;

    /// Bytes of memory of a factor.
    fn factor_bytes(factor: &Self::Factor) -> usize;
    /// Bytes of memory of a giant step.
    fn giant_step_bytes(giant_step: &Self::GiantStep) -> usize;
    /// Bytes of memory of a summand.
    fn summand_bytes(summand: &Self::Summand) -> usize;
    /// Bytes of memory of a chain.
    fn chain_bytes(chain: &Self::Chain) -> usize;
}

/// One stage of a chain: see [`crate::scalar`].
#[derive(Debug)]
pub enum Stage<F> {
    /// Sums of scalar multiples, with weights rounded at the scale.
    Sums(Vec<ScalarRow>, Scale),
    /// The square of each value.
    Squares,
    /// Sums of products: each row has a factor for each value.
    Products(Vec<Vec<F>>),
}

/// A ciphertext of a backend.
type Of<B> = <<B as Backend>::Scheme as Scheme>::Ciphertext;
/// What a chain of a backend ends in that was not relinearised.
type UnrelinearisedOf<B> = <<B as Backend>::Scheme as Scheme>::Unrelinearised;
/// A factor of a backend.
type FactorOf<B> = <<B as Backend>::Scheme as Scheme>::Factor;

/// The operations of a circuit on ciphertexts, with one client's keys.
///
/// What each means is what the clear executor computes. Every method fails where a key is missing.
pub trait Backend {
    /// Whose ciphertexts and plaintexts it takes.
    type Scheme: Scheme;

    /// What encodes plaintexts for it.
    fn scheme(&self) -> &Self::Scheme;

    /// The sum of products, of which there is one at least.
    fn dot(&self, terms: &[(&Of<Self>, &FactorOf<Self>)], rescale: Rescale) -> Result<Of<Self>, Error>;

    /// `a + b`.
    fn add(&self, a: &Of<Self>, b: &Of<Self>) -> Result<Of<Self>, Error>;

    /// `a - b`.
    fn sub(&self, a: &Of<Self>, b: &Of<Self>) -> Result<Of<Self>, Error>;

    /// `a` plus a plaintext.
    fn add_plain(&self, a: Of<Self>, summand: &<Self::Scheme as Scheme>::Summand) -> Result<Of<Self>, Error>;

    /// The product, relinearised.
    fn multiply(&self, a: &Of<Self>, b: &Of<Self>, rescale: Rescale) -> Result<Of<Self>, Error>;

    /// The rotation to the left.
    fn rotate(&self, a: &Of<Self>, steps: usize) -> Result<Of<Self>, Error>;

    /// A linear transform.
    fn transform(
        &self,
        inputs: &[&Of<Self>],
        giant_steps: &[&<Self::Scheme as Scheme>::GiantStep],
        order: GiantOrder,
        rescale: Rescale,
    ) -> Result<Of<Self>, Error>;

    /// For each stage in turn `a = a + sum of a rotated by each of the stage's steps`.
    fn rotate_and_sum(&self, a: Of<Self>, stages: &[Vec<usize>], rescale: Rescale)
    -> Result<Of<Self>, Error>;

    /// The ciphertext over the last prime of its level.
    fn rescale(&self, a: Of<Self>) -> Result<Of<Self>, Error>;

    /// The ciphertext at a lower level, or the same.
    fn drop_level(&self, a: Of<Self>, level: Level) -> Result<Of<Self>, Error>;

    /// What a chain ends in: its last values, reduced.
    fn chain(
        &self,
        inputs: &[&Of<Self>],
        chain: &<Self::Scheme as Scheme>::Chain,
        rescales: usize,
    ) -> Result<Vec<Of<Self>>, Error>;

    /// What a chain that squares ends in: its last values in three parts, divided. Needs no key.
    fn chain_unrelinearised(
        &self,
        inputs: &[&Of<Self>],
        chain: &<Self::Scheme as Scheme>::Chain,
        rescales: usize,
    ) -> Result<Vec<UnrelinearisedOf<Self>>, Error>;

    /// `a` plus a plaintext, where `a` was not relinearised.
    fn add_plain_unrelinearised(
        &self,
        a: UnrelinearisedOf<Self>,
        summand: &<Self::Scheme as Scheme>::Summand,
    ) -> Result<UnrelinearisedOf<Self>, Error>;
}

impl Scheme for Context {
    type Ciphertext = Ciphertext;
    type Unrelinearised = Unrelinearised;
    type Factor = PlainFactor;
    type Summand = PlainSummand;
    type GiantStep = GiantStep;
    type Chain = Pointwise;

    fn level_and_scale(ciphertext: &Ciphertext) -> (Level, Scale) {
        (ciphertext.level(), ciphertext.scale())
    }

    fn factor(
        &self,
        slots: &[f64],
        level: Level,
        scale: Scale,
        extension: Extension,
    ) -> Result<PlainFactor, Error> {
        Ok(self.encode_factor(slots, level, scale, extension)?)
    }

    fn giant_steps(
        &self,
        shapes: &[(usize, Vec<Term>)],
        factor: impl Fn(usize, usize) -> Result<PlainFactor, Error> + Sync + Send,
    ) -> Result<Vec<GiantStep>, Error> {
        GiantStep::together(shapes, factor)
    }

    fn summand(
        &self,
        numbers: &[f64],
        encoding: Encoding,
        level: Level,
        scale: Scale,
    ) -> Result<PlainSummand, Error> {
        Ok(self.encode_summand(numbers, encoding, level, scale)?)
    }

    fn chain(
        &self,
        inputs: usize,
        level: Level,
        scale: Scale,
        stages: impl Iterator<Item = Stage<PlainFactor>>,
    ) -> Result<Pointwise, Error> {
        let mut chain = Pointwise::new(inputs, level, scale);
        for stage in stages {
            match stage {
                Stage::Sums(rows, scale) => chain.sums(self, &rows, scale)?,
                Stage::Squares => chain.squares(),
                Stage::Products(rows) => chain.products(rows)?,
            }
        }
        Ok(chain)
    }

    fn factor_bytes(factor: &PlainFactor) -> usize {
        factor.bytes()
    }

    fn giant_step_bytes(giant_step: &GiantStep) -> usize {
        giant_step.bytes()
    }

    fn summand_bytes(summand: &PlainSummand) -> usize {
        summand.bytes()
    }

    fn chain_bytes(chain: &Pointwise) -> usize {
        chain.bytes()
    }
}

impl Backend for Evaluator<'_> {
    type Scheme = Context;

    fn scheme(&self) -> &Context {
        self.context()
    }

    fn dot(&self, terms: &[(&Ciphertext, &PlainFactor)], rescale: Rescale) -> Result<Ciphertext, Error> {
        Ok(self.dot(terms, rescale)?)
    }

    fn add(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        Ok(self.add(a, b)?)
    }

    fn sub(&self, a: &Ciphertext, b: &Ciphertext) -> Result<Ciphertext, Error> {
        Ok(self.sub(a, b)?)
    }

    fn add_plain(&self, a: Ciphertext, summand: &PlainSummand) -> Result<Ciphertext, Error> {
        Ok(self.add_plain(a, summand)?)
    }

    fn multiply(&self, a: &Ciphertext, b: &Ciphertext, rescale: Rescale) -> Result<Ciphertext, Error> {
        Ok(self.multiply(a, b, rescale)?)
    }

    fn rotate(&self, a: &Ciphertext, steps: usize) -> Result<Ciphertext, Error> {
        Ok(self.rotate(a, steps)?)
    }

    fn transform(
        &self,
        inputs: &[&Ciphertext],
        giant_steps: &[&GiantStep],
        order: GiantOrder,
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        Ok(self.transform(inputs, &LinearTransform { giant_steps: giant_steps.to_vec(), order }, rescale)?)
    }

    fn rotate_and_sum(
        &self,
        a: Ciphertext,
        stages: &[Vec<usize>],
        rescale: Rescale,
    ) -> Result<Ciphertext, Error> {
        Ok(self.rotate_and_sum(a, stages, rescale)?)
    }

    fn rescale(&self, a: Ciphertext) -> Result<Ciphertext, Error> {
        Ok(self.rescale(a)?)
    }

    fn drop_level(&self, a: Ciphertext, level: Level) -> Result<Ciphertext, Error> {
        Ok(self.drop_level(a, level)?)
    }

    fn chain(
        &self,
        inputs: &[&Ciphertext],
        chain: &Pointwise,
        rescales: usize,
    ) -> Result<Vec<Ciphertext>, Error> {
        Ok(self.pointwise(inputs, chain, rescales)?)
    }

    fn chain_unrelinearised(
        &self,
        inputs: &[&Ciphertext],
        chain: &Pointwise,
        rescales: usize,
    ) -> Result<Vec<Unrelinearised>, Error> {
        Ok(self.pointwise_unrelinearised(inputs, chain, rescales)?)
    }

    fn add_plain_unrelinearised(
        &self,
        a: Unrelinearised,
        summand: &PlainSummand,
    ) -> Result<Unrelinearised, Error> {
        Ok(self.add_plain_unrelinearised(a, summand)?)
    }
}
