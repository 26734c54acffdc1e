use super::{FoldChoice, NOMINAL_SCALE, add_bias, folded};
use crate::TapLayout;
use crate::stack::Stack;
use circuit::{Builder, Numbers, Plain, Role, Value};
use std::sync::Arc;

/// A convolution over taps.
pub(crate) struct Taps {
    pub stack: Arc<Stack>,
    pub layout: Arc<TapLayout>,
    /// How the taps of one ciphertext are summed.
    pub sum: FoldChoice,
}

/// Taps to copies ([`TapLayout::sums`]): one product for each ciphertext, their sum, a fold over the taps that share a ciphertext (none where
/// they do not), and the bias, unless the constant tap brings it. One level.
///
/// The fold adds to each block the next `taps_per_input - 1`. The last blocks have no whole sum: they are no copies.
pub(crate) fn convolution(b: &mut Builder, taps: &Taps, inputs: &[Value]) -> Result<Value, circuit::Error> {
    let product = |b: &mut Builder, rescale| {
        let mut terms = Vec::with_capacity(inputs.len());
        for (ciphertext, value) in inputs.iter().enumerate() {
            terms.push((*value, weights(b, taps, *value, ciphertext)?));
        }
        b.dot(terms, rescale)
    };
    let sum = folded(b, product, taps.layout.spacing, &taps.sum)?;
    if taps.layout.has_constant_tap() {
        return Ok(sum);
    }
    let (stack, copies) = (taps.stack.clone(), taps.layout.sums());
    let bias = move |position: usize| stack.first_bias.get(position).copied().unwrap_or(0.0);
    add_bias(b, sum, move |slot| copies.at(slot).map_or(0.0, |(_, position)| bias(position)))
}

fn weights(b: &mut Builder, taps: &Taps, value: Value, ciphertext: usize) -> Result<Plain, circuit::Error> {
    let (stack, layout) = (taps.stack.clone(), taps.layout.clone());
    let weight = move |slot: usize| match layout.tap(ciphertext, slot) {
        // The one comes from the first tap's.
        Some((tap, output)) if output == stack.first_bias.len() => f64::from(u8::from(tap == 0)),
        Some((tap, output)) if tap == layout.taps() => stack.first_bias[output],
        Some((tap, output)) => stack.first.channel_weights(output / layout.output().positions())[tap],
        None => 0.0,
    };
    let (level, scale) = (b.level(value)?, b.scale_towards(value, NOMINAL_SCALE)?);
    let numbers = Numbers::per_slot(b.slots(), weight);
    b.plain(Role::Factor, level, scale, numbers)
}
