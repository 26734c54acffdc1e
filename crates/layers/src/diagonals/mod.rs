//! Hybrid diagonals: any linear layer between any two layouts.
//!
//! Slot `s` of the output meets slot `s + d` of the input on diagonal `d`. Replicas of the input that are
//! shifted against each other meet different diagonals, and a row's weights are shared out among its partial
//! sums, so that few diagonals cover all weights (GAZELLE, Juvekar, Vaikuntanathan and Chandrakasan, arXiv
//! 1801.05507, section 5, on hybrid diagonals). They are taken in baby steps and giant steps (Halevi and
//! Shoup, CRYPTO 2014, section 4.2), which all terms of a layer share.
//!
//! [`offsets`] says how far the elements that a row sees lie from it, [`assignment`] which replica meets
//! which diagonal, [`set`] which diagonals there are, [`giant_steps`] and [`ways`] how they can be split,
//! [`costs`] what that costs, [`build`] makes the operations.

pub(crate) mod assignment;
pub(crate) mod build;
pub(crate) mod costs;
pub(crate) mod giant_steps;
pub(crate) mod offsets;
pub(crate) mod set;
pub(crate) mod split;
pub(crate) mod ways;

use crate::choice::LayerChoice;
use crate::cost::CostFunction;
use crate::graph::Layer;
use crate::kernel::{Arrangement, Form, LayerKernel, Network, Site, StepCosts};
use crate::rotate_and_sum::stages;
use crate::words::many;
use crate::{Error, candidates, reply_rows};
use blindsight_circuit::{Builder, Counts, Value};
use blindsight_layout::{Blocks, Layout, Placement, ReplyLayout};
use build::{DiagonalLayer, diagonal_terms};
use costs::DiagonalCosts;
use offsets::{RotationOffsets, bearer};
use std::sync::Arc;

/// The kernel of any linear layer, by hybrid diagonals.
pub struct DiagonalKernel;

impl LayerKernel for DiagonalKernel {
    fn candidates(&self, network: &Network<'_>, index: usize, alike: &[Layout]) -> Vec<Form> {
        let slots = network.parameters.slots();
        let mut layouts = match network.is_last(index) {
            true => network.extended.iter().map(|last| periodic(last, slots)).collect(),
            false => candidates::outputs(network.graph, index, false, slots),
        };
        let more: Vec<Layout> = alike.iter().filter(|layout| !layouts.contains(layout)).cloned().collect();
        layouts.extend(more);
        layouts.into_iter().map(|layout| Form::Slots(Arrangement::new(layout))).collect()
    }

    fn costs<'a>(&self, network: &'a Network<'a>, costs: &'a dyn CostFunction) -> Box<dyn StepCosts + 'a> {
        Box::new(DiagonalCosts::new(network, costs))
    }

    fn check(&self, site: &Site<'_>, choice: &LayerChoice) -> Result<(), Error> {
        let LayerChoice::Diagonals { split, .. } = choice else { return Err(another_kernel()) };
        let slots = site.parameters.slots();
        if !(1..=slots).contains(&split.span) {
            return Err(Error::plan("a giant step spans no diagonals, or more than there are slots"));
        }
        if !(1..=split.span).contains(&split.stride) {
            return Err(Error::plan(
                "pre-rotated inputs lie no diagonals apart, or further than a giant step spans",
            ));
        }
        if split.origin >= slots {
            return Err(Error::plan("diagonals are counted from beyond the slots"));
        }
        site.layouts().map(|_| ())
    }

    fn build(
        &self,
        site: &Site<'_>,
        choice: &LayerChoice,
        reply: &Arc<ReplyLayout>,
        b: &mut Builder,
        values: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let LayerChoice::Diagonals { output, preference, split, sum } = choice else {
            return Err(another_kernel());
        };
        let extended = site.is_last().then(|| reply_rows::extended(reply, site.layer()));
        let layer = extended.as_ref().unwrap_or(site.layer());
        let scale = if site.is_last() { reply.scale } else { site.scale(output) };
        if output.shape.elements() != layer.rows() {
            return Err(Error::plan("the scores' layout is not one of the reply's values"));
        }
        let terms = diagonal_terms(layer, &site.layouts()?, output, split.origin, *preference);
        let kernel = DiagonalLayer::new(terms, layer.bias.clone(), *split, sum.clone(), output, scale);
        Ok(kernel.build(b, values)?)
    }

    fn reason(&self, site: &Site<'_>, choice: &LayerChoice, reply: &ReplyLayout, counts: &Counts) -> String {
        reason(site, choice, reply, counts).unwrap_or_default()
    }
}

fn another_kernel() -> Error {
    Error::plan("another kernel was chosen than diagonals")
}

/// The layout of a reply's values that repeat over the slots, in partial sums.
fn periodic(last: &Layer, slots: usize) -> Layout {
    let replicas = slots / last.rows();
    Layout::packed(last.output, slots).with_blocks(Blocks::cyclic(replicas, slots, replicas))
}

/// Why a layer is computed so; `None` where it is not by diagonals, or an operand has no layout.
fn reason(site: &Site<'_>, choice: &LayerChoice, reply: &ReplyLayout, counts: &Counts) -> Option<String> {
    let LayerChoice::Diagonals { output, sum, .. } = choice else { return None };
    let extended = site.is_last().then(|| reply_rows::extended(reply, site.layer()));
    let layer = extended.as_ref().unwrap_or(site.layer());
    let products = counts.plaintext_multiplications;
    let plain = plain_diagonals(layer, &site.layouts().ok()?, output);
    let sums = sum.radices.iter().map(|r| u64::from(*r) - 1).sum::<u64>() * output.ciphertexts as u64;
    let because = match (site.main().ok()?.blocks.count, output.blocks.parts) {
        (1, 1) => String::new(),
        (replicas, 1) => format!(", because {replicas} replicas of the input meet different diagonals"),
        (1, parts) => format!(", because {parts} partial sums share out each row"),
        (replicas, parts) => {
            format!(
                ", because {replicas} replicas of the input meet different diagonals and {parts} partial sums share out each row"
            )
        }
    };
    let diagonals = match (products as usize) < plain {
        true => {
            format!(
                "{} instead of one for each of the matrix's {plain} diagonals{because}",
                many(products, "product")
            )
        }
        false => format!("{}, one for each diagonal of the matrix", many(products, "product")),
    };
    let steps = many(counts.rotations.saturating_sub(sums), "rotation");
    Some(match sums {
        0 => format!(
            "{diagonals}; {steps} to bring inputs and weights together, and nothing is left to be summed"
        ),
        _ => format!(
            "{diagonals}; {steps} to bring inputs and weights together, and {} to sum the {} parts{}",
            many(sums, "rotation"),
            output.blocks.parts,
            stages(sum)
        ),
    })
}

/// How many diagonals there are without replicas and partial sums.
fn plain_diagonals(layer: &Layer, from: &[&Layout], to: &Layout) -> usize {
    let once = |layout: &Layout| Placement::new(&layout.clone().with_blocks(Blocks::ONE));
    let inputs: Vec<Placement> = from.iter().map(|layout| once(layout)).collect();
    let (bearer, output) = (bearer(&inputs), once(to));
    let terms = layer.terms.iter().zip(&inputs).enumerate().map(|(index, (term, input))| {
        let bias = (bearer == Some(index)).then_some(&*layer.bias);
        RotationOffsets::new(&term.linear, bias, input, &output).count()
    });
    terms.sum()
}
