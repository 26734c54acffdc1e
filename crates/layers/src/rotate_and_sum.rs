//! Rotate-and-sum: how partial sums become whole.

use crate::cost::{Cost, CostFunction, Resources};
use blindsight_circuit::{Builder, Counts, Error, Numbers, Tally, Value};
use blindsight_ckks::{Encoding, Level, Parameters, Rescale};
use blindsight_layout::Layout;
use serde::{Deserialize, Serialize};

/// How a sum over blocks is made, and when the product before it is rescaled.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RotateAndSum {
    /// The radix of each stage; their product is the number of blocks summed. A stage of radix `a` hoists
    /// `a - 1` rotations.
    pub radices: Vec<u8>,
    /// Whether the rescale comes before the rotations (fewer limbs, more noise) or is fused with their last
    /// mod-down.
    pub rescale_first: bool,
}

/// The largest radix of a rotate-and-sum: its rotations need a key each.
const LARGEST_RADIX: usize = 8;

impl RotateAndSum {
    /// All ways to add so many blocks up; one without stages where there is nothing to add, none where a
    /// prime factor is too large.
    pub fn all(blocks: usize) -> Vec<Self> {
        let sum = |radices: Vec<u8>| {
            let orders: &[bool] = if radices.is_empty() { &[false] } else { &[false, true] };
            let with = move |&rescale_first| Self { radices: radices.clone(), rescale_first };
            orders.iter().map(with).collect::<Vec<_>>()
        };
        factorisations(blocks, 2).into_iter().flat_map(sum).collect()
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

    /// Whether the product is rescaled before the rotations.
    pub fn before(&self) -> Rescale {
        if self.rescale_first || self.radices.is_empty() { Rescale::Yes } else { Rescale::No }
    }

    /// Whether the rotate-and-sum rescales at its end.
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

/// A product whose blocks are summed, rescaled once, before or after.
pub fn summed(
    b: &mut Builder,
    product: impl FnOnce(&mut Builder, Rescale) -> Result<Value, Error>,
    spacing: usize,
    choice: &RotateAndSum,
) -> Result<Value, Error> {
    let product = product(b, choice.before())?;
    b.rotate_and_sum(product, choice.rotations(spacing), choice.after())
}

/// Adds a bias by slots. Cost: 1 addition. No level.
pub fn add_bias(
    b: &mut Builder,
    value: Value,
    bias: impl Fn(usize) -> f64 + Send + Sync + 'static,
) -> Result<Value, Error> {
    let slots = b.slots();
    b.add_plain(value, Encoding::Slots, Numbers::per_slot(slots, bias))
}

/// The cheapest way to sum a product, for all ciphertexts of the output.
pub struct CheapestSum {
    /// Those of product, sum and bias.
    pub counts: Counts,
    /// Bytes of the keys of the sum's rotations.
    pub key_bytes: f64,
    /// The way.
    pub sum: RotateAndSum,
}

impl CheapestSum {
    /// For a product at a level into partial sums that lie as `output` says, with a bias to be added or not.
    /// `None` where no level is left, or there is no way to sum so many parts.
    pub fn find(
        costs: &dyn CostFunction,
        parameters: &Parameters,
        (level, output): (Level, &Layout),
        bias: bool,
        product: impl Fn(Rescale) -> Counts,
    ) -> Option<Self> {
        let below = level.below()?;
        let (early, late) = (product(Rescale::Yes), product(Rescale::No));
        let bias = if bias { Tally::new(parameters, below).addition(1) } else { Counts::default() };
        let mut best: Option<(Cost, Self)> = None;
        for sum in RotateAndSum::all(output.blocks.parts) {
            let stages = sum.rotations(output.blocks.spacing);
            let (product, at) = match sum.before() {
                Rescale::Yes => (early, below),
                Rescale::No => (late, level),
            };
            let summing = match stages.is_empty() {
                true => Counts::default(),
                false => Tally::new(parameters, at).rotate_and_sum(&stages, sum.after()),
            };
            let counts = product + (summing + bias) * output.ciphertexts;
            let key_bytes = stages.iter().flatten().count() as f64 * costs.key_bytes(at);
            let cost = costs.cost(&Resources::of(counts).with_keys(key_bytes));
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                best = Some((cost, Self { counts, key_bytes, sum }));
            }
        }
        best.map(|(_, found)| found)
    }
}

/// In how many stages a sum is taken, in words.
pub fn stages(sum: &RotateAndSum) -> String {
    let radices: Vec<String> = sum.radices.iter().map(u8::to_string).collect();
    match radices.len() {
        0 | 1 => String::new(),
        _ => format!(" ({})", radices.join(" x ")),
    }
}
