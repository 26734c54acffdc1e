//! Layer kernels: each builds, on a circuit's builder, the operations that take a layer from one representation to another. What one
//! costs is the dry run of what it builds.

mod diagonals;
mod maps;
mod pointwise;
mod polynomial;
mod product;
mod rows;
mod scores;
mod windows;

pub(crate) use diagonals::{
    DiagonalKernel, Diagonals, Differences, GiantSteps, Meetings, Part, Shapes, Stamps, bearer, parts,
};
pub use diagonals::{Preference, Split};
pub(crate) use maps::{Cut, scalar_sum};
pub(crate) use pointwise::PointwiseKernel;
pub use polynomial::PolynomialKernel;
pub use product::ProductKernel;
pub(crate) use rows::{Interleave, Placed, RowSum, replicate, stack, stacked_rows};
pub(crate) use scores::ScoreKernel;
pub(crate) use windows::WindowKernel;

use crate::parameters::nominal_scale;
use blindsight_circuit::{Builder, Numbers, Value};
use blindsight_ckks::{Encoding, Rescale, Scale};
use serde::{Deserialize, Serialize};

/// The scale that linear layers bring values back to.
pub(crate) fn nominal(b: &Builder) -> Scale {
    nominal_scale(b.parameters())
}

/// How a sum over blocks is folded, and when the product before it is rescaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FoldChoice {
    /// The radix of each stage; their product is the number of blocks summed. A stage of radix `a` hoists `a - 1` rotations.
    pub radices: Vec<u8>,
    /// Whether the rescale comes before the fold (fewer limbs, more noise) or is fused with the fold's last mod-down.
    pub rescale_first: bool,
}

/// The largest radix of a fold: its rotations need a key each.
const LARGEST_RADIX: usize = 8;

impl FoldChoice {
    /// All ways to fold so many blocks; one without stages where there is nothing to fold, none where a prime factor is too large.
    pub fn all(blocks: usize) -> Vec<Self> {
        let fold = |radices: Vec<u8>| {
            let orders: &[bool] = if radices.is_empty() { &[false] } else { &[false, true] };
            let with = move |&rescale_first| Self { radices: radices.clone(), rescale_first };
            orders.iter().map(with).collect::<Vec<_>>()
        };
        factorisations(blocks, 2).into_iter().flat_map(fold).collect()
    }

    /// The rotations of each stage, where blocks lie `spacing` apart.
    pub fn rotations(&self, spacing: usize) -> Vec<Vec<usize>> {
        let mut spacing = spacing;
        let stage = |radix: &u8| {
            let radix = usize::from(*radix);
            let steps = (1..radix).map(|i| i * spacing).collect();
            spacing *= radix;
            steps
        };
        self.radices.iter().map(stage).collect()
    }

    /// Whether it sums so many blocks, by radices in range.
    pub fn sums(&self, blocks: usize) -> bool {
        let in_range = self.radices.iter().all(|r| (2..=LARGEST_RADIX).contains(&usize::from(*r)));
        in_range && self.radices.iter().map(|r| u64::from(*r)).product::<u64>() == blocks as u64
    }

    /// Whether the product is rescaled before the fold.
    pub fn before(&self) -> Rescale {
        if self.rescale_first || self.radices.is_empty() { Rescale::Yes } else { Rescale::No }
    }

    /// Whether the fold rescales at its end.
    pub fn after(&self) -> Rescale {
        match self.before() {
            Rescale::Yes => Rescale::No,
            Rescale::No => Rescale::Yes,
        }
    }
}

/// All factorisations into radices from `least` up, in rising order: another order costs the same.
fn factorisations(blocks: usize, least: usize) -> Vec<Vec<u8>> {
    if blocks == 1 {
        return vec![vec![]];
    }
    let first = (least..=LARGEST_RADIX.min(blocks)).filter(|r| blocks.is_multiple_of(*r));
    let with_rest = |radix: usize| {
        let prepend = move |rest: Vec<u8>| std::iter::once(radix as u8).chain(rest).collect();
        factorisations(blocks / radix, radix).into_iter().map(prepend)
    };
    first.flat_map(with_rest).collect()
}

/// Folds a product and rescales it once, before or after.
fn folded(
    b: &mut Builder,
    product: impl FnOnce(&mut Builder, Rescale) -> Result<Value, blindsight_circuit::Error>,
    spacing: usize,
    choice: &FoldChoice,
) -> Result<Value, blindsight_circuit::Error> {
    let product = product(b, choice.before())?;
    b.fold(product, choice.rotations(spacing), choice.after())
}

/// Adds a bias by slots. Cost: 1 addition. No level.
pub(crate) fn add_bias(
    b: &mut Builder,
    value: Value,
    bias: impl Fn(usize) -> f64 + Send + Sync + 'static,
) -> Result<Value, blindsight_circuit::Error> {
    let slots = b.slots();
    b.add_plain(value, Encoding::Slots, Numbers::per_slot(slots, bias))
}
