use crate::ReplyLayout;
use crate::representation::Periodic;
use crate::stack::Stack;
use circuit::{Builder, Embedding, Numbers, Role, Value};
use ckks::{Encoding, Rescale};
use std::sync::Arc;

/// The last dense layer, whose outputs are coefficients.
pub(crate) struct ScoreLayer {
    pub stack: Arc<Stack>,
    pub layout: Arc<ReplyLayout>,
    pub columns: Periodic,
}

/// A periodic vector to coefficients: one product, no rotation, and the bias, unless a one is carried along. One level.
///
/// Coefficient `o` of a polynomial with slots `z_s` is `1/N sum_s z_s cos(o theta_s)`. Over the `M = N / period` slots of one residue modulo the
/// period the cosines of `o = 1 ... M/2 - 1` are orthogonal: the angles `theta_s` of these slots are `theta + 2 pi j / M`, so the sum of
/// `cos(o theta_s) cos(o' theta_s)` is `M/2` for `o = o'` and zero otherwise. With the factor `w_s = 2N/M sum_o W[o, s mod period] cos(o theta_s)`
/// coefficient `o` of the product is therefore `sum_e W[o, e] z_e` exactly.
pub(crate) fn reply(b: &mut Builder, scores: &ScoreLayer, value: Value) -> Result<Value, circuit::Error> {
    let (slots, level) = (b.slots(), b.level(value)?);
    let scale = b.scale_towards(value, scores.layout.scale)?;
    let (stack, layout, columns) = (scores.stack.clone(), scores.layout.clone(), scores.columns);
    let factor = Numbers::new(move || factor(&stack, &layout, columns, slots));
    let factor = b.plain(Role::Factor, level, scale, factor)?;
    let product = b.dot(vec![(value, factor)], Rescale::Yes)?;
    if columns.carries_one {
        return Ok(product);
    }
    let (stack, layout) = (scores.stack.clone(), scores.layout.clone());
    b.add_plain(product, Encoding::Coefficients, Numbers::new(move || bias(&stack, &layout)))
}

fn factor(stack: &Stack, layout: &ReplyLayout, columns: Periodic, slots: usize) -> Vec<f64> {
    let embedding = Embedding::new(slots);
    let weights = layout.rows(&stack.last);
    let factor = 2.0 * columns.period as f64;
    let slot = |s: usize| {
        columns.at(s).map_or(0.0, |column| {
            let terms = weights.iter().map(|(o, row)| row[column] * embedding.cosine(*o, s));
            factor * terms.sum::<f64>()
        })
    };
    (0..slots).map(slot).collect()
}

fn bias(stack: &Stack, layout: &ReplyLayout) -> Vec<f64> {
    let mut coefficients = vec![0.0; layout.indices().len() + 1];
    for (index, row) in layout.rows(&stack.last) {
        coefficients[index] = row[stack.last.columns];
    }
    coefficients
}
