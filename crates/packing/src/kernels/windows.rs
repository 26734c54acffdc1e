use super::{FoldChoice, add_bias, folded};
use crate::Windows;
use crate::layer_graph::Layer;
use crate::linear::coordinates;
use crate::placement::Placement;
use blindsight_circuit::{Builder, Numbers, Role, Value};
use blindsight_ckks::Scale;
use blindsight_network::Convolution;
use std::sync::Arc;

/// A first layer over windows that the client wrote out.
pub(crate) struct WindowKernel {
    bias: Arc<[f64]>,
    convolution: Arc<Convolution>,
    windows: Arc<Windows>,
    /// How the taps of one ciphertext are summed.
    fold: FoldChoice,
    /// The scale of the result.
    scale: Scale,
    parts: Arc<Placement>,
    sums: Arc<Placement>,
}

impl WindowKernel {
    pub fn new(
        layer: &Layer,
        convolution: Convolution,
        windows: Windows,
        fold: FoldChoice,
        scale: Scale,
    ) -> Self {
        let [parts, sums] =
            [&windows.output, &windows.output.sums()].map(|layout| Arc::new(Placement::new(layout)));
        let (bias, convolution) = (layer.bias.clone(), Arc::new(convolution));
        Self { bias, convolution, windows: Arc::new(windows), fold, scale, parts, sums }
    }

    /// Whether the layer's bias needs an addition: unless the constant tap brings it, or there is none.
    pub fn adds_bias(windows: &Windows, bias: &[f64]) -> bool {
        !windows.has_constant_tap() && bias.iter().any(|b| *b != 0.0)
    }

    /// Windows to the layer's output in [`Windows::output`], whole sums: for each ciphertext of the output one product for each input,
    /// their sum, a fold over the taps that share a ciphertext (none where they do not), and the bias. One level.
    ///
    /// The fold adds to each block the next `classes - 1`. Where blocks are not cyclic the last ones have no whole sum: they hold anything.
    pub fn build(&self, b: &mut Builder, inputs: &[Value]) -> Result<Vec<Value>, blindsight_circuit::Error> {
        (0..self.windows.output.ciphertexts).map(|c| self.ciphertext(b, inputs, c)).collect()
    }

    fn ciphertext(
        &self,
        b: &mut Builder,
        inputs: &[Value],
        to: usize,
    ) -> Result<Value, blindsight_circuit::Error> {
        let sources = self.windows.sources();
        let product = |b: &mut Builder, rescale| {
            let mut terms = Vec::with_capacity(self.windows.inputs());
            for (input, sources) in sources.iter().enumerate() {
                let value = inputs[sources[to]];
                let (level, scale) = (b.level(value)?, b.scale_towards(value, self.scale)?);
                terms.push((value, b.plain(Role::Factor, level, scale, self.weights(input, to))?));
            }
            b.dot(terms, rescale)
        };
        let sum = folded(b, product, self.windows.output.blocks.spacing, &self.fold)?;
        if !Self::adds_bias(&self.windows, &self.bias) {
            return Ok(sum);
        }
        let (bias, sums) = (self.bias.clone(), self.sums.clone());
        let first = to * sums.slots;
        add_bias(b, sum, move |slot| {
            sums.at(first + slot).map_or(0.0, |(_, e)| bias.get(e).copied().unwrap_or(0.0))
        })
    }

    fn weights(&self, input: usize, to: usize) -> Numbers {
        let (bias, convolution) = (self.bias.clone(), self.convolution.clone());
        let (windows, parts) = (self.windows.clone(), self.parts.clone());
        let first = to * parts.slots;
        let repeats = windows.output.repeats();
        Numbers::periodic(parts.slots, repeats, move |slot| {
            let Some((block, element)) = parts.at(first + slot) else { return 0.0 };
            let tap = parts.classes * input + block % parts.classes;
            match (windows.taps.get(tap), element == parts.elements) {
                // The one comes from the first tap's.
                (_, true) => f64::from(u8::from(tap == 0)),
                (Some(tap), false) => {
                    let [o, ..] = coordinates(element, windows.output.shape);
                    convolution.channel_weights(o)[*tap as usize]
                }
                (None, false) if tap == windows.taps.len() && windows.has_constant_tap() => bias[element],
                (None, false) => 0.0,
            }
        })
    }
}
