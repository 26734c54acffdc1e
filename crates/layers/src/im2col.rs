//! Im2col: the first layer over what each kernel position sees, which the client wrote out.

use crate::choice::LayerChoice;
use crate::cost::{Cost, CostFunction, Resources};
use crate::graph::Layer;
use crate::kernel::{Arrangement, Form, LayerKernel, Network, Site, Step, StepCosts};
use crate::rotate_and_sum::{CheapestSum, RotateAndSum, add_bias, stages, summed};
use crate::words::many;
use crate::{Error, candidates};
use blindsight_circuit::{Builder, Counts, Error as CircuitError, Factors, Numbers, Role, Tally, Value};
use blindsight_ckks::Scale;
use blindsight_layout::{Im2col, InputLayout, Layout, Placement, ReplyLayout, coordinates};
use blindsight_network::Convolution;
use std::sync::Arc;

/// The kernel of a first convolution whose im2col form the client writes: no rotation but those of sums.
pub struct Im2colKernel;

impl LayerKernel for Im2colKernel {
    fn candidates(&self, network: &Network<'_>, index: usize, _alike: &[Layout]) -> Vec<Form> {
        if index > 0 || !network.graph.begins_with_im2col() {
            return vec![];
        }
        let layouts = candidates::outputs(network.graph, 0, true, network.parameters.slots());
        layouts.into_iter().map(|layout| Form::Slots(Arrangement::new(layout))).collect()
    }

    fn costs<'a>(&self, network: &'a Network<'a>, costs: &'a dyn CostFunction) -> Box<dyn StepCosts + 'a> {
        Box::new(Im2colCosts { network, costs })
    }

    fn check(&self, site: &Site<'_>, choice: &LayerChoice) -> Result<(), Error> {
        if site.index > 0 || site.from.iter().any(Option::is_some) {
            return Err(Error::plan(
                "im2col is for the first layer of images that are not laid out otherwise",
            ));
        }
        if !site.graph.begins_with_im2col() {
            return Err(Error::plan(
                "im2col is for networks of several layers of which the first alone reads the image",
            ));
        }
        chosen(choice).map(|_| ())
    }

    fn input(&self, site: &Site<'_>, choice: &LayerChoice) -> Result<Option<InputLayout>, Error> {
        let (output, _) = chosen(choice)?;
        Ok(Some(InputLayout::Im2col(im2col(site.layer(), output)?.0)))
    }

    fn build(
        &self,
        site: &Site<'_>,
        choice: &LayerChoice,
        _reply: &Arc<ReplyLayout>,
        b: &mut Builder,
        values: &[Value],
    ) -> Result<Vec<Value>, Error> {
        let (output, sum) = chosen(choice)?;
        let (im2col, convolution) = im2col(site.layer(), output)?;
        let layer = Im2colLayer::new(site.layer(), convolution, im2col, sum.clone(), site.scale(output));
        Ok(layer.build(b, values)?)
    }

    fn reason(&self, site: &Site<'_>, choice: &LayerChoice, _reply: &ReplyLayout, counts: &Counts) -> String {
        let described = chosen(choice).and_then(|(output, sum)| {
            let (im2col, _) = im2col(site.layer(), output)?;
            Ok(reason(&im2col, sum, counts))
        });
        described.unwrap_or_default()
    }
}

/// What was chosen.
fn chosen(choice: &LayerChoice) -> Result<(&Layout, &RotateAndSum), Error> {
    match choice {
        LayerChoice::Im2col { output, sum } => Ok((output, sum)),
        _ => Err(Error::plan("another kernel was chosen than im2col")),
    }
}

/// The im2col form of a layer whose output is laid out so; and the layer as a convolution.
///
/// # Errors
/// For a layer that is no convolution.
pub fn im2col(layer: &Layer, output: &Layout) -> Result<(Im2col, Convolution), Error> {
    let linear = &layer.main().linear;
    let convolution = linear.as_convolution().ok_or_else(|| {
        Error::plan(format!("im2col is a form of convolutions, and {} is none", layer.name))
    })?;
    Ok((Im2col::new(&convolution, linear.input, output.clone()), convolution))
}

/// What the first layer costs: all of it is known at once.
struct Im2colCosts<'a> {
    network: &'a Network<'a>,
    costs: &'a dyn CostFunction,
}

impl Im2colCosts<'_> {
    /// The cost of the layer and of reading its input; `None` where there are fewer taps than parts.
    fn cheapest(&self, index: usize, to: &Form) -> Option<(Cost, LayerChoice)> {
        let (layer, output) = (&self.network.graph.layers[index], &to.slots()?.partial);
        let im2col = im2col(layer, output).ok()?.0;
        if im2col.taps.len() < output.blocks.parts {
            return None;
        }
        let bias = Im2colLayer::adds_bias(&im2col, &layer.bias);
        let tally = Tally::new(self.network.parameters, layer.level);
        let factors = Factors::repeating(im2col.inputs(), im2col.output.repeats());
        let product = |rescale| tally.dot(factors, rescale) * output.ciphertexts;
        let at = (layer.level, output);
        let found = CheapestSum::find(self.costs, self.network.parameters, at, bias, product)?;
        let (counts, key_bytes) = (found.counts, found.key_bytes);
        let resources = Resources { counts, key_bytes, input_ciphertexts: im2col.ciphertexts() };
        let choice = LayerChoice::Im2col { output: output.clone(), sum: found.sum };
        Some((self.costs.cost(&resources), choice))
    }
}

impl StepCosts for Im2colCosts<'_> {
    fn lower_bound(&self, index: usize, from: &Form, to: &Form) -> Cost {
        match from {
            Form::Im2col => self.cheapest(index, to).map_or(Cost::NEVER, |(cost, _)| cost),
            Form::Slots(_) | Form::Coefficients => Cost::NEVER,
        }
    }

    fn closer_bound(&self, step: &Step<'_>) -> Cost {
        step.from.first().map_or(Cost::NEVER, |from| self.lower_bound(step.index, from, step.to))
    }

    fn cost(&self, step: &Step<'_>) -> Option<(Cost, LayerChoice)> {
        self.cheapest(step.index, step.to)
    }
}

/// Why it is computed so.
fn reason(im2col: &Im2col, sum: &RotateAndSum, counts: &Counts) -> String {
    let (taps, shared) = (im2col.taps.len(), im2col.output.blocks.parts);
    let whole = im2col.kernel[0] * im2col.kernel[1] * (im2col.input.channels / im2col.groups);
    let unused = match whole - taps {
        0 => String::new(),
        unused => format!(" ({unused} of its window's {whole} have no weight)"),
    };
    let sums = match shared {
        1 => "no rotation".into(),
        _ => format!(
            "{} to add the {shared} that share a ciphertext{}",
            many(counts.rotations, "rotation"),
            stages(sum)
        ),
    };
    let held = match (shared, im2col.output.ciphertexts) {
        (1, 1) => "each in a ciphertext".into(),
        (1, outputs) => format!("each in a ciphertext, for each of {outputs} ciphertexts of output"),
        _ => format!("{shared} of them in a ciphertext"),
    };
    let replicas = im2col.output.sums().blocks.count;
    format!(
        "the client writes out what each of the kernel's {taps} positions meets{unused}, {held}: {} and {sums}; {}",
        many(counts.plaintext_multiplications, "product"),
        match replicas {
            1 => "there is one replica of the output".into(),
            _ => format!("the output has {replicas} replicas, which the next layer uses"),
        }
    )
}

/// A first layer over windows that the client wrote out.
pub struct Im2colLayer {
    bias: Arc<[f64]>,
    convolution: Arc<Convolution>,
    im2col: Arc<Im2col>,
    /// How the taps of one ciphertext are summed.
    sum: RotateAndSum,
    /// The scale of the result.
    scale: Scale,
    partial: Arc<Placement>,
    sums: Arc<Placement>,
}

impl Im2colLayer {
    pub fn new(
        layer: &Layer,
        convolution: Convolution,
        im2col: Im2col,
        sum: RotateAndSum,
        scale: Scale,
    ) -> Self {
        let [partial, sums] =
            [&im2col.output, &im2col.output.sums()].map(|layout| Arc::new(Placement::new(layout)));
        let (bias, convolution) = (layer.bias.clone(), Arc::new(convolution));
        Self { bias, convolution, im2col: Arc::new(im2col), sum, scale, partial, sums }
    }

    /// Whether the layer's bias needs an addition: unless the constant tap brings it, or there is none.
    pub fn adds_bias(im2col: &Im2col, bias: &[f64]) -> bool {
        !im2col.has_constant_tap() && bias.iter().any(|b| *b != 0.0)
    }

    /// Im2col to the layer's output in [`Im2col::output`], whole sums: for each ciphertext of the output one
    /// product for each input, their sum, a rotate-and-sum over the taps that share a ciphertext (none where
    /// they do not), and the bias. One level.
    ///
    /// The rotate-and-sum adds to each block the next `parts - 1`. Where blocks are not cyclic the last ones
    /// have no whole sum: they hold anything.
    pub fn build(&self, b: &mut Builder, inputs: &[Value]) -> Result<Vec<Value>, CircuitError> {
        (0..self.im2col.output.ciphertexts).map(|c| self.ciphertext(b, inputs, c)).collect()
    }

    fn ciphertext(&self, b: &mut Builder, inputs: &[Value], to: usize) -> Result<Value, CircuitError> {
        let sources = self.im2col.sources();
        let product = |b: &mut Builder, rescale| {
            let mut terms = Vec::with_capacity(self.im2col.inputs());
            for (input, sources) in sources.iter().enumerate() {
                let value = inputs[sources[to]];
                let (level, scale) = (b.level(value)?, b.scale_towards(value, self.scale)?);
                terms.push((value, b.plain(Role::Factor, level, scale, self.weights(input, to))?));
            }
            b.dot(terms, rescale)
        };
        let sum = summed(b, product, self.im2col.output.blocks.spacing, &self.sum)?;
        if !Self::adds_bias(&self.im2col, &self.bias) {
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
        let (im2col, partial) = (self.im2col.clone(), self.partial.clone());
        let first = to * partial.slots;
        let repeats = im2col.output.repeats();
        Numbers::periodic(partial.slots, repeats, move |slot| {
            let Some((block, element)) = partial.at(first + slot) else { return 0.0 };
            let tap = partial.parts * input + block % partial.parts;
            match (im2col.taps.get(tap), element == partial.elements) {
                // The one comes from the first tap's.
                (_, true) => f64::from(u8::from(tap == 0)),
                (Some(tap), false) => {
                    let [o, ..] = coordinates(element, im2col.output.shape);
                    convolution.channel_weights(o)[*tap as usize]
                }
                (None, false) if tap == im2col.taps.len() && im2col.has_constant_tap() => bias[element],
                (None, false) => 0.0,
            }
        })
    }
}
