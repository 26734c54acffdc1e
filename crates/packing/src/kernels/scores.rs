use crate::layer_graph::Layer;
use crate::linear::Linear;
use crate::placement::Placement;
use crate::{Layout, ReplyLayout};
use blindsight_circuit::{Builder, Embedding, Numbers, Role, Value};
use blindsight_ckks::{Encoding, Rescale};
use std::sync::Arc;

/// The last linear layer, whose outputs are coefficients of one product.
pub(crate) struct ScoreKernel {
    linear: Arc<Linear>,
    bias: Arc<[f64]>,
    reply: Arc<ReplyLayout>,
    columns: Arc<Placement>,
    /// Slots from one copy of a column to the next.
    period: usize,
}

impl ScoreKernel {
    /// Reads a tensor that repeats over all slots of one ciphertext.
    pub fn new(layer: &Layer, reply: Arc<ReplyLayout>, columns: &Layout) -> Self {
        let (period, linear, bias) =
            (columns.blocks.spacing, layer.main().linear.clone(), layer.bias.clone());
        Self { linear, bias, reply, columns: Arc::new(Placement::new(columns)), period }
    }

    /// Whether a layout can be read: it is of one ciphertext and repeats over all its slots.
    pub fn reads(columns: &Layout) -> bool {
        columns.ciphertexts == 1 && columns.is_cyclic()
    }

    /// A tensor that repeats over all slots to coefficients: one product, no rotation, and the bias, unless a one is carried along. One level.
    ///
    /// Coefficient `o` of a polynomial with slots `z_s` is `1/N sum_s z_s cos(o theta_s)`. Over the `M = N / period` slots of one residue modulo the
    /// period the cosines of `o = 1 ... M/2 - 1` are orthogonal: the angles `theta_s` of these slots are `theta + 2 pi j / M`, so the sum of
    /// `cos(o theta_s) cos(o' theta_s)` is `M/2` for `o = o'` and zero otherwise. With the factor `w_s = 2N/M sum_o W[o, e] cos(o theta_s)`, `e` the element
    /// at slot `s`, coefficient `o` of the product is therefore `sum_e W[o, e] z_e` exactly.
    pub fn build(&self, b: &mut Builder, value: Value) -> Result<Value, blindsight_circuit::Error> {
        let (slots, level) = (b.slots(), b.level(value)?);
        let scale = b.scale_towards(value, self.reply.scale)?;
        let (linear, reply) = (self.linear.clone(), self.reply.clone());
        let (columns, period, bias) = (self.columns.clone(), self.period, self.bias.clone());
        let factor = Numbers::new(move || factor(&linear, &bias, &reply, &columns, period, slots));
        let factor = b.plain(Role::Factor, level, scale, factor)?;
        let product = b.dot(vec![(value, factor)], Rescale::Yes)?;
        if self.columns.carries_one() || self.bias.iter().all(|b| *b == 0.0) {
            return Ok(product);
        }
        let (bias, reply) = (self.bias.clone(), self.reply.clone());
        b.add_plain(product, Encoding::Coefficients, Numbers::new(move || reply.biases(&bias)))
    }
}

fn factor(
    linear: &Linear,
    bias: &[f64],
    reply: &ReplyLayout,
    columns: &Placement,
    period: usize,
    slots: usize,
) -> Vec<f64> {
    let embedding = Embedding::new(slots);
    let (weights, biases) = (reply.rows(linear), reply.biases(bias));
    let factor = 2.0 * period as f64;
    let slot = |s: usize| {
        columns.at(s).map_or(0.0, |(_, column)| {
            let weight = |(o, row): &(usize, Vec<f64>)| row.get(column).copied().unwrap_or(biases[*o]);
            let terms = weights.iter().map(|value| weight(value) * embedding.cosine(value.0, s));
            factor * terms.sum::<f64>()
        })
    };
    (0..slots).map(slot).collect()
}
