//! From a network and a choice to the circuit: one straight line over the layers.

use crate::chain::{Chain, Link};
use crate::choice::windows;
use crate::kernels::{DiagonalKernel, Differences, Meetings, NOMINAL_SCALE, ScoreKernel, WindowKernel};
use crate::linear::Linear;
use crate::placement::Placement;
use crate::{Choice, Error, InputLayout, LayerChoice, Layout, ReplyLayout};
use blindsight_circuit::{Builder, Circuit, Label, Output, Reading, Value};
use blindsight_ckks::{Level, Parameters, Rescale, Scale};
use std::sync::Arc;

/// The circuit of a plan, with the layouts of its input and reply.
#[derive(Debug)]
pub(crate) struct Assembly {
    pub circuit: Circuit,
    pub input: InputLayout,
    /// The level that inputs are encrypted at.
    pub input_level: Level,
    /// The scale that inputs are encrypted at.
    pub input_scale: Scale,
    pub reply: ReplyLayout,
}

/// The level that inputs are encrypted at: one for each layer.
pub(crate) fn input_level(chain: &Chain, parameters: &Parameters) -> Result<Level, Error> {
    let level = Level(chain.depth());
    if level > parameters.max_level() {
        let (what, actual) = ("depth of the network", chain.depth());
        let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    Ok(level)
}

/// Builds the circuit. `bound` is what no score's magnitude should exceed.
pub(crate) fn assemble(
    chain: &Chain,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<Assembly, Error> {
    let level = input_level(chain, parameters)?;
    check(chain, parameters, choice)?;
    let input = input(chain, choice);
    input.validate()?;
    let reply = Arc::new(reply(chain, parameters, choice, bound)?);
    let mut b = Builder::new(parameters.clone());
    let inputs = (0..input.ciphertexts()).map(|_| b.input(level, NOMINAL_SCALE));
    let values = inputs.collect::<Result<Vec<Value>, _>>()?;
    let mut tensor = Tensor { values, layout: choice.image.clone(), words: input.to_string() };
    for (link, choice) in chain.links.iter().zip(&choice.layers) {
        tensor = tensor.linear(&mut b, &link.linear, choice, &reply)?;
        tensor = tensor.squares(&mut b, link)?;
    }
    let reading = Reading::Coefficients(reply.indices());
    let circuit = b.finish(vec![Output { value: tensor.values[0], reading }])?;
    let reply = Arc::unwrap_or_clone(reply);
    Ok(Assembly { circuit, input, input_level: level, input_scale: NOMINAL_SCALE, reply })
}

/// Where the image lies.
fn input(chain: &Chain, choice: &Choice) -> InputLayout {
    match (&choice.image, &choice.layers[0]) {
        (None, LayerChoice::Windows { output, .. }) => {
            InputLayout::Windows(windows(&chain.links[0].linear, output))
        }
        (Some(layout), _) => InputLayout::Image(layout.clone()),
        (None, _) => unreachable!("checked"),
    }
}

/// Where the scores lie.
pub(crate) fn reply(
    chain: &Chain,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<ReplyLayout, Error> {
    let (scores, modulus) = (chain.last().rows(), parameters.modulus(Level(0)));
    match choice.layers.split_last() {
        Some((LayerChoice::Scores, [.., previous])) => {
            let copies = previous.sum().map_or(1, |(layout, _)| layout.blocks.count);
            ReplyLayout::coefficients(scores, bound, modulus, copies)
        }
        Some((LayerChoice::Scores, [])) => {
            let copies = choice.image.as_ref().map_or(1, |layout| layout.blocks.count);
            ReplyLayout::coefficients(scores, bound, modulus, copies)
        }
        _ => ReplyLayout::periodic(scores, bound, modulus, parameters.slots()),
    }
}

/// Checks that the choices fit the network, and each other.
fn check(chain: &Chain, parameters: &Parameters, choice: &Choice) -> Result<(), Error> {
    let wrong = |what: &str| Err(Error::Plan(what.into()));
    if choice.layers.len() != chain.links.len() {
        return wrong("it has not one choice for each linear layer");
    }
    let last = chain.links.len() - 1;
    let mut shape = chain.input;
    let mut layout = choice.image.as_ref();
    if layout.is_some_and(|l| l.shape != shape || l.slots != parameters.slots() || l.blocks.classes != 1) {
        return wrong("the image's layout is not one of the image");
    }
    for (index, (link, layer)) in chain.links.iter().zip(&choice.layers).enumerate() {
        match layer {
            LayerChoice::Windows { .. } if index > 0 || choice.image.is_some() => {
                return wrong("windows are for the first layer of images that are not laid out otherwise");
            }
            LayerChoice::Windows { .. } if index == last => {
                return wrong("a network of one layer reads the image itself");
            }
            LayerChoice::Diagonals { .. } | LayerChoice::Scores if layout.is_none() => {
                return wrong("the first layer reads an image, but its layout is missing");
            }
            LayerChoice::Scores if index != last || !layout.is_some_and(ScoreKernel::reads) => {
                return wrong(
                    "scores are read after the last layer, from a tensor that repeats over all slots",
                );
            }
            LayerChoice::Diagonals { split, .. } if !(1..=parameters.slots()).contains(&split.span) => {
                return wrong("a giant step spans no diagonals, or more than there are slots");
            }
            LayerChoice::Diagonals { split, .. } if !(1..=split.span).contains(&split.stride) => {
                return wrong("copies lie no diagonals apart, or more than a giant step spans");
            }
            LayerChoice::Diagonals { split, .. } if split.origin >= parameters.slots() => {
                return wrong("diagonals are counted from beyond the slots");
            }
            _ => {}
        }
        shape = link.linear.output;
        if let Some((output, fold)) = layer.sum() {
            output.validate()?;
            if output.slots != parameters.slots() || (index != last && output.shape != shape) {
                return wrong("a layer's layout is not one of its output");
            }
            if index == last && !output.is_cyclic() {
                return wrong("the scores' layout does not repeat over all slots: others could be read");
            }
            if !fold.sums(output.blocks.classes) {
                let what = format!("fold of {}", link.linear.name);
                let actual = format!("{:?}", fold.radices);
                let expected = format!("radices of 2 to 8 with product {}", output.blocks.classes);
                return Err(Error::does_not_fit(what, actual, expected));
            }
            layout = Some(output);
        }
    }
    Ok(())
}

/// A tensor on its way: its ciphertexts, and where its elements lie in them.
struct Tensor {
    values: Vec<Value>,
    /// `None` for windows.
    layout: Option<Layout>,
    words: String,
}

impl Tensor {
    fn linear(
        self,
        b: &mut Builder,
        linear: &Arc<Linear>,
        choice: &LayerChoice,
        reply: &Arc<ReplyLayout>,
    ) -> Result<Self, Error> {
        let sums = choice.sum().map(|(layout, _)| layout.sums());
        let words = match &sums {
            Some(layout) => layout.to_string(),
            None => format!("{} coefficients", reply.indices().len()),
        };
        let label = Label {
            name: linear.name.clone(),
            kind: linear.kind.into(),
            representation_in: self.words.clone(),
            representation_out: words.clone(),
        };
        let values = b.layer(label, |b| self.apply(b, linear, choice, reply))?;
        Ok(Self { values, layout: sums, words })
    }

    fn apply(
        &self,
        b: &mut Builder,
        linear: &Arc<Linear>,
        choice: &LayerChoice,
        reply: &Arc<ReplyLayout>,
    ) -> Result<Vec<Value>, Error> {
        let level = b.level(self.values[0])?;
        Ok(match (choice, &self.layout) {
            (LayerChoice::Windows { output, fold }, _) => {
                let windows = windows(linear, output);
                WindowKernel::new(linear.clone(), windows, fold.clone()).build(b, &self.values)?
            }
            (LayerChoice::Diagonals { output, preference, split, fold }, Some(from)) => {
                let (linear, scale) = target(linear, level, reply);
                let [from, to] = [from, output].map(|layout| Arc::new(Placement::new(layout)));
                if to.elements != linear.rows() {
                    return Err(Error::Plan("the scores' layout is not one of the reply's values".into()));
                }
                let differences = Differences::new(&linear, &from, &to);
                let meetings = Meetings::new(&differences, from, to, split.origin, *preference);
                let meetings = Arc::new(meetings);
                DiagonalKernel::new(linear, meetings, *split, fold.clone(), output, scale)
                    .build(b, &self.values)?
            }
            (LayerChoice::Scores, Some(from)) => {
                vec![ScoreKernel::new(linear.clone(), reply.clone(), from).build(b, self.values[0])?]
            }
            (_, None) => unreachable!("checked"),
        })
    }

    fn squares(mut self, b: &mut Builder, link: &Link) -> Result<Self, Error> {
        for name in &link.squares {
            let label = Label {
                name: name.clone(),
                kind: "square".into(),
                representation_in: self.words.clone(),
                representation_out: self.words.clone(),
            };
            let square = |b: &mut Builder, v: &Value| b.multiply(*v, *v, Rescale::Yes);
            self.values = b.layer(label, |b| {
                self.values.iter().map(|v| square(b, v)).collect::<Result<_, blindsight_circuit::Error>>()
            })?;
        }
        Ok(self)
    }
}

/// The matrix and scale of a layer whose input is at `level`: the last one computes the reply's values.
fn target(linear: &Arc<Linear>, level: Level, reply: &ReplyLayout) -> (Arc<Linear>, Scale) {
    match level.0 {
        1 => (Arc::new(reply.extended(linear)), reply.scale),
        _ => (linear.clone(), NOMINAL_SCALE),
    }
}
