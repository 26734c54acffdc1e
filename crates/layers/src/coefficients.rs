//! The last layer, whose scores come out as coefficients of one product.

use crate::Error;
use crate::choice::LayerChoice;
use crate::cost::{Cost, CostFunction, Resources};
use crate::graph::Layer;
use crate::kernel::{Form, LayerKernel, Network, Site, Step, StepCosts};
use crate::linear::Linear;
use crate::reply_rows::rows;
use blindsight_circuit::{
    Builder, Counts, Embedding, Error as CircuitError, Factors, Numbers, Role, Tally, Value,
};
use blindsight_ckks::{Encoding, Level, Rescale};
use blindsight_layout::{Layout, Placement, ReplyLayout};
use std::sync::Arc;

/// The kernel of a last layer that reads one tensor, which repeats over all slots: no rotation.
pub struct CoefficientKernel;

impl LayerKernel for CoefficientKernel {
    fn candidates(&self, network: &Network<'_>, index: usize, _alike: &[Layout]) -> Vec<Form> {
        if network.is_last(index) && network.graph.last().terms.len() == 1 {
            vec![Form::Coefficients]
        } else {
            vec![]
        }
    }

    fn costs<'a>(&self, network: &'a Network<'a>, costs: &'a dyn CostFunction) -> Box<dyn StepCosts + 'a> {
        Box::new(CoefficientCosts { network, costs })
    }

    fn check(&self, site: &Site<'_>, _choice: &LayerChoice) -> Result<(), Error> {
        if site.is_last() && site.layer().terms.len() == 1 && CoefficientLayer::reads(site.main()?) {
            return Ok(());
        }
        Err(Error::plan("scores are read after the last layer, from a tensor that repeats over all slots"))
    }

    fn reply(&self, site: &Site<'_>, bound: f64) -> Result<ReplyLayout, Error> {
        let replicas = site.main().map_or(1, |layout| layout.blocks.count);
        let modulus = site.parameters.modulus(Level(0));
        Ok(ReplyLayout::coefficients(site.layer().rows(), bound, modulus, replicas)?)
    }

    fn build(
        &self,
        site: &Site<'_>,
        _choice: &LayerChoice,
        reply: &Arc<ReplyLayout>,
        b: &mut Builder,
        values: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let layer = CoefficientLayer::new(site.layer(), reply.clone(), site.main()?);
        let value = values.first().ok_or(CircuitError::Empty { operation: "scores" })?;
        Ok(vec![layer.build(b, *value)?])
    }

    fn reason(
        &self,
        site: &Site<'_>,
        _choice: &LayerChoice,
        reply: &ReplyLayout,
        _counts: &Counts,
    ) -> String {
        let replicas = site.main().map_or(1, |layout| layout.blocks.count);
        let count = reply.indices().len();
        format!(
            "each value stands in {replicas} slots, so that one product gives all {count} values of the reply, as coefficients of a polynomial: no rotation"
        )
    }
}

/// What the last layer costs: all of it is known at once.
struct CoefficientCosts<'a> {
    network: &'a Network<'a>,
    costs: &'a dyn CostFunction,
}

impl StepCosts for CoefficientCosts<'_> {
    fn lower_bound(&self, index: usize, from: &Form, to: &Form) -> Cost {
        let (Form::Slots(from), Form::Coefficients) = (from, to) else { return Cost::NEVER };
        let (parameters, layer) = (self.network.parameters, &self.network.graph.layers[index]);
        let (layout, modulus) = (&from.layout, parameters.modulus(Level(0)));
        let room = ReplyLayout::coefficients(layer.rows(), self.network.bound, modulus, layout.blocks.count);
        if !CoefficientLayer::reads(layout) || room.is_err() {
            return Cost::NEVER;
        }
        let adds_bias = layout.bias_slot.is_none() && !layer.is_unbiased();
        let bias = if adds_bias { Tally::new(parameters, Level(0)).addition(1) } else { Counts::default() };
        let product = Tally::new(parameters, layer.level).dot(Factors::full(1), Rescale::Yes);
        self.costs.cost(&Resources::of(product + bias))
    }

    fn closer_bound(&self, step: &Step<'_>) -> Cost {
        step.from.first().map_or(Cost::NEVER, |from| self.lower_bound(step.index, from, step.to))
    }

    fn cost(&self, step: &Step<'_>) -> Option<(Cost, LayerChoice)> {
        let cost = self.closer_bound(step);
        (cost < Cost::NEVER).then_some((cost, LayerChoice::Coefficients))
    }
}

/// The last linear layer, whose outputs are coefficients of one product.
pub struct CoefficientLayer {
    linear: Arc<Linear>,
    bias: Arc<[f64]>,
    reply: Arc<ReplyLayout>,
    columns: Arc<Placement>,
}

impl CoefficientLayer {
    /// Reads a tensor that repeats over all slots of one ciphertext.
    pub fn new(layer: &Layer, reply: Arc<ReplyLayout>, columns: &Layout) -> Self {
        let (linear, bias) = (layer.main().linear.clone(), layer.bias.clone());
        Self { linear, bias, reply, columns: Arc::new(Placement::new(columns)) }
    }

    /// Whether a layout can be read: it is of one ciphertext and repeats over all its slots.
    pub fn reads(columns: &Layout) -> bool {
        columns.ciphertexts == 1 && columns.is_cyclic()
    }

    /// A tensor that repeats over all slots to coefficients: one product, no rotation, and the bias, unless a
    /// bias slot is carried along. One level.
    ///
    /// Coefficient `o` of a polynomial with slots `z_s` is `1/N sum_s z_s cos(o theta_s)`. Over the
    /// `M = N / period` slots of one residue modulo the period the cosines of `o = 1 ... M/2 - 1` are
    /// orthogonal: the angles `theta_s` of these slots are `theta + 2 pi j / M`, so the sum of
    /// `cos(o theta_s) cos(o' theta_s)` is `M/2` for `o = o'` and zero otherwise. With the factor
    /// `w_s = 2N/M sum_o W[o, e] cos(o theta_s)`, `e` the element at slot `s`, coefficient `o` of the product
    /// is therefore `sum_e W[o, e] z_e` exactly.
    pub fn build(&self, b: &mut Builder, value: Value) -> Result<Value, CircuitError> {
        let (level, scale) = (b.level(value)?, b.scale_towards(value, self.reply.scale)?);
        let (linear, reply) = (self.linear.clone(), self.reply.clone());
        let (columns, bias) = (self.columns.clone(), self.bias.clone());
        let factor = Numbers::new(move || {
            let (mut rows, biases) = (rows(&reply, &linear), reply.biases(&bias));
            rows.iter_mut().for_each(|(value, weights)| weights.push(biases[*value]));
            coefficient_factor(&rows, &columns, 0)
        });
        let factor = b.plain(Role::Factor, level, scale, factor)?;
        let product = b.dot(vec![(value, factor)], Rescale::Yes)?;
        if self.columns.has_bias_slot() || self.bias.iter().all(|b| *b == 0.0) {
            return Ok(product);
        }
        let (bias, reply) = (self.bias.clone(), self.reply.clone());
        b.add_plain(product, Encoding::Coefficients, Numbers::new(move || reply.biases(&bias)))
    }
}

/// What one ciphertext of a tensor, which repeats over all its slots, is multiplied by for the product to
/// have sums of its elements as coefficients: `rows` are their indices, 1 and more, and the weights, that of
/// the one last. `CoefficientLayer::build` has the mathematics.
pub fn coefficient_factor(rows: &[(usize, Vec<f64>)], columns: &Placement, ciphertext: usize) -> Vec<f64> {
    let embedding = Embedding::new(columns.slots);
    let factor = 2.0 * columns.period as f64;
    let slot = |s: usize| {
        columns.at(ciphertext * columns.slots + s).map_or(0.0, |(_, column)| {
            let terms = rows.iter().map(|(index, weights)| weights[column] * embedding.cosine(*index, s));
            factor * terms.sum::<f64>()
        })
    };
    (0..columns.slots).map(slot).collect()
}
