//! Layer kernels: each builds, on a circuit's builder, the operations that take a layer from one representation to another. What one
//! costs is the dry run of what it builds.

mod convolution;
mod dense;
mod maps;
mod reply;
mod rows;

pub(crate) use convolution::{Taps, convolution};
pub(crate) use dense::{Dense, Visits, dense};
pub(crate) use maps::{Window, map, offsets};
pub(crate) use reply::{ScoreLayer, reply};
pub(crate) use rows::{Interleave, Placed, RowSum, add_at, replicate, stack, stacked_rows};

use circuit::{Builder, Numbers, Value};
use ckks::{Encoding, Rescale, Scale};
use serde::{Deserialize, Serialize};

/// The scale that linear layers bring values back to.
pub const NOMINAL_SCALE: Scale = Scale((1u64 << 26) as f64);

/// How a sum over copies is folded, and when the product before it is rescaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FoldChoice {
    /// The radix of each stage; their product is the number of copies summed. A stage of radix `a` hoists `a - 1` rotations.
    pub radices: Vec<u8>,
    /// Whether the rescale comes before the fold (fewer limbs, more noise) or is fused with the fold's last mod-down.
    pub rescale_first: bool,
}

impl FoldChoice {
    /// The rotations of each stage, where copies lie `spacing` apart.
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

    /// How many copies it sums; `None` where that is absurd, or a radix is below 2.
    pub fn copies(&self) -> Option<usize> {
        self.radices.iter().try_fold(1usize, |product, radix| match radix {
            2.. => product.checked_mul(usize::from(*radix)),
            _ => None,
        })
    }

    fn before(&self) -> Rescale {
        if self.rescale_first || self.radices.is_empty() { Rescale::Yes } else { Rescale::No }
    }

    fn after(&self) -> Rescale {
        match self.before() {
            Rescale::Yes => Rescale::No,
            Rescale::No => Rescale::Yes,
        }
    }
}

/// Folds a product and rescales it once, before or after.
fn folded(
    b: &mut Builder,
    product: impl FnOnce(&mut Builder, Rescale) -> Result<Value, circuit::Error>,
    spacing: usize,
    choice: &FoldChoice,
) -> Result<Value, circuit::Error> {
    let product = product(b, choice.before())?;
    b.fold(product, choice.rotations(spacing), choice.after())
}

/// Adds a bias by slots.
fn add_bias(
    b: &mut Builder,
    value: Value,
    bias: impl Fn(usize) -> f64 + Send + Sync + 'static,
) -> Result<Value, circuit::Error> {
    let slots = b.slots();
    b.add_plain(value, Encoding::Slots, Numbers::per_slot(slots, bias))
}
