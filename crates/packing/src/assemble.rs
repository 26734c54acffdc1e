//! From a network and a choice to the circuit: one straight line over the layers.

use crate::choice::windows;
use crate::kernels::{DiagonalKernel, PointwiseKernel, ScoreKernel, WindowKernel, parts};
use crate::layer_graph::{Layer, LayerGraph, Operand, Pointwise};
use crate::parameters::nominal_scale;
use crate::{Choice, Error, InputLayout, LayerChoice, Layout, ReplyLayout};
use blindsight_circuit::{Builder, Circuit, Label, LabelInput, Output, Reading, Value};
use blindsight_ckks::{Level, Parameters, Scale};
use std::collections::HashMap;
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

/// The level that inputs are encrypted at: what the network takes.
pub(crate) fn input_level(graph: &LayerGraph, parameters: &Parameters) -> Result<Level, Error> {
    let level = Level(graph.depth());
    if level > parameters.max_level() {
        let (what, actual) = ("depth of the network", graph.depth());
        let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    Ok(level)
}

/// Builds the circuit. `bound` is what no score's magnitude should exceed.
pub(crate) fn assemble(
    graph: &LayerGraph,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<Assembly, Error> {
    let level = input_level(graph, parameters)?;
    check(graph, parameters, choice)?;
    let input = input(graph, choice)?;
    input.validate()?;
    let reply = Arc::new(reply(graph, parameters, choice, bound)?);
    let mut b = Builder::new(parameters.clone());
    let input_scale = nominal_scale(parameters);
    let inputs = (0..input.ciphertexts()).map(|_| b.input(level, input_scale));
    let image = inputs.collect::<Result<Vec<Value>, _>>()?;
    let mut building = Building::new(graph, b, &reply, image, Tensor::image(choice, &input));
    for (index, choice) in choice.layers.iter().enumerate() {
        building.layer(index, choice)?;
    }
    let scores = building.scores()?;
    let reading = Reading::Coefficients(reply.indices());
    let circuit = building.b.finish(vec![Output { value: scores, reading }])?;
    let reply = Arc::unwrap_or_clone(reply);
    Ok(Assembly { circuit, input, input_level: level, input_scale, reply })
}

/// Where the image lies.
fn input(graph: &LayerGraph, choice: &Choice) -> Result<InputLayout, Error> {
    match (&choice.image, &choice.layers[0]) {
        (None, LayerChoice::Windows { output, .. }) => {
            Ok(InputLayout::Windows(windows(&graph.layers[0], output)?.0))
        }
        (Some(layout), _) => Ok(InputLayout::Image(layout.clone())),
        (None, _) => unreachable!("checked"),
    }
}

/// Where the scores lie.
pub(crate) fn reply(
    graph: &LayerGraph,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<ReplyLayout, Error> {
    let (scores, modulus) = (graph.last().rows(), parameters.modulus(Level(0)));
    match choice.layers.last() {
        Some(LayerChoice::Scores) => {
            let read = layout(choice, graph.last().main().operand.tensor);
            let copies = read.map_or(1, |layout| layout.blocks.count);
            ReplyLayout::coefficients(scores, bound, modulus, copies)
        }
        _ => ReplyLayout::periodic(scores, bound, modulus, parameters.slots()),
    }
}

/// The layout of a tensor, in partial sums; `None` for windows.
fn layout(choice: &Choice, tensor: usize) -> Option<&Layout> {
    match tensor.checked_sub(1) {
        None => choice.image.as_ref(),
        Some(layer) => choice.layers.get(layer)?.sum().map(|(layout, _)| layout),
    }
}

/// Checks that the choices fit the network, and each other.
fn check(graph: &LayerGraph, parameters: &Parameters, choice: &Choice) -> Result<(), Error> {
    let slots = parameters.slots();
    if choice.layers.len() != graph.layers.len() {
        return wrong("it has not one choice for each linear layer");
    }
    if let Some(image) = &choice.image
        && (image.shape != graph.input || image.slots != slots || image.blocks.classes != 1)
    {
        return wrong("the image's layout is not one of the image");
    }
    for (index, layer) in choice.layers.iter().enumerate() {
        check_kind(graph, choice, index)?;
        if let LayerChoice::Diagonals { split, .. } = layer {
            if !(1..=slots).contains(&split.span) {
                return wrong("a giant step spans no diagonals, or more than there are slots");
            }
            if !(1..=split.span).contains(&split.stride) {
                return wrong("copies lie no diagonals apart, or more than a giant step spans");
            }
            if split.origin >= slots {
                return wrong("diagonals are counted from beyond the slots");
            }
        }
        check_sum(graph, choice, index, slots)?;
    }
    Ok(())
}

/// Checks that a layer can be computed as chosen.
fn check_kind(graph: &LayerGraph, choice: &Choice, index: usize) -> Result<(), Error> {
    let (layer, last) = (&graph.layers[index], graph.layers.len() - 1);
    match &choice.layers[index] {
        LayerChoice::Windows { .. } if index > 0 || choice.image.is_some() => {
            wrong("windows are for the first layer of images that are not laid out otherwise")
        }
        LayerChoice::Windows { .. } if !graph.begins_with_windows() => {
            wrong("windows are for networks of several layers of which the first alone reads the image")
        }
        LayerChoice::Windows { .. } => Ok(()),
        LayerChoice::Diagonals { .. } | LayerChoice::Scores
            if layer.terms.iter().any(|term| layout(choice, term.operand.tensor).is_none()) =>
        {
            wrong("a layer reads an image whose layout is missing")
        }
        LayerChoice::Scores => {
            let read = layout(choice, layer.main().operand.tensor).map(Layout::sums);
            if index == last && layer.terms.len() == 1 && read.is_some_and(|l| ScoreKernel::reads(&l)) {
                return Ok(());
            }
            wrong("scores are read after the last layer, from a tensor that repeats over all slots")
        }
        LayerChoice::Diagonals { .. } => Ok(()),
    }
}

/// Checks that the layout of a layer's output fits its shape, its fold and what it is multiplied with.
fn check_sum(graph: &LayerGraph, choice: &Choice, index: usize, slots: usize) -> Result<(), Error> {
    let (layer, last) = (&graph.layers[index], graph.layers.len() - 1);
    let Some((output, fold)) = choice.layers[index].sum() else { return Ok(()) };
    output.validate()?;
    if output.slots != slots || (index != last && output.shape != layer.output) {
        return wrong("a layer's layout is not one of its output");
    }
    if index == last && !output.is_cyclic() {
        return wrong("the scores' layout does not repeat over all slots: others could be read");
    }
    if !fold.sums(output.blocks.classes) {
        let what = format!("fold of {}", layer.name);
        let actual = format!("{:?}", fold.radices);
        let expected = format!("radices of 2 to 8 with product {}", output.blocks.classes);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    if !layer.pointwise.iter().all(|pointwise| PointwiseKernel::reads(&pointwise.operation, output)) {
        return wrong("a polynomial acts on a layout in which some slots hold anything");
    }
    let sums = Some(output.sums());
    if layer.alike(index + 1).any(|tensor| layout(choice, tensor).map(Layout::sums) != sums) {
        return wrong("tensors that are multiplied with each other lie in different layouts");
    }
    Ok(())
}

fn wrong(what: &str) -> Result<(), Error> {
    Err(Error::Plan(what.into()))
}

/// A tensor and how it lies.
struct Tensor {
    /// The layer that made it.
    name: String,
    /// `None` for windows and for the scores.
    layout: Option<Layout>,
    words: String,
}

impl Tensor {
    fn image(choice: &Choice, input: &InputLayout) -> Self {
        Self { name: "input".into(), layout: choice.image.clone(), words: input.to_string() }
    }
}

/// A circuit on its way.
struct Building<'a> {
    graph: &'a LayerGraph,
    b: Builder,
    reply: &'a Arc<ReplyLayout>,
    /// The image and the outputs of layers.
    tensors: Vec<Tensor>,
    /// The ciphertexts of what was computed so far.
    values: HashMap<Operand, Vec<Value>>,
}

impl<'a> Building<'a> {
    fn new(
        graph: &'a LayerGraph,
        b: Builder,
        reply: &'a Arc<ReplyLayout>,
        image: Vec<Value>,
        tensor: Tensor,
    ) -> Self {
        let values = HashMap::from([(Operand { tensor: 0, version: 0 }, image)]);
        Self { graph, b, reply, tensors: vec![tensor], values }
    }

    /// The ciphertexts of the scores.
    fn scores(&self) -> Result<Value, Error> {
        let scores = Operand { tensor: self.graph.layers.len(), version: 0 };
        let values = &self.values[&scores];
        values.first().copied().ok_or_else(|| Error::Plan("the scores have no ciphertext".into()))
    }

    /// Builds a layer, and what acts on its output element by element.
    fn layer(&mut self, index: usize, choice: &LayerChoice) -> Result<(), Error> {
        let layer = &self.graph.layers[index];
        let sums = choice.sum().map(|(layout, _)| layout.sums());
        let words = match &sums {
            Some(layout) => layout.to_string(),
            None => format!("{} coefficients", self.reply.indices().len()),
        };
        let read = layer.terms.iter().map(|term| term.operand);
        let label = self.label(&layer.name, layer.kind, read, words.clone());
        let values = self.labelled(label, |building| building.linear(index, choice))?;
        self.values.insert(Operand { tensor: index + 1, version: 0 }, values);
        self.tensors.push(Tensor { name: layer.name.clone(), layout: sums, words: words.clone() });
        for (position, pointwise) in layer.pointwise.iter().enumerate() {
            let (kind, read) = (pointwise.operation.kind(), pointwise.operation.operands());
            let label = self.label(&pointwise.name, kind, read.into_iter(), words.clone());
            let values = self.labelled(label, |building| building.pointwise(index + 1, pointwise))?;
            self.values.insert(Operand { tensor: index + 1, version: position + 1 }, values);
        }
        Ok(())
    }

    fn label(
        &self,
        name: &str,
        kind: &str,
        read: impl Iterator<Item = Operand>,
        representation_out: String,
    ) -> Label {
        let input = |operand: Operand| {
            let Tensor { name, words, .. } = &self.tensors[operand.tensor];
            let made_by = |version: usize| &self.graph.layers[operand.tensor - 1].pointwise[version - 1].name;
            let name = if operand.version == 0 { name } else { made_by(operand.version) };
            LabelInput { name: name.clone(), representation: words.clone() }
        };
        let inputs = read.map(input).collect();
        Label { name: name.into(), kind: kind.into(), inputs, representation_out }
    }

    /// Builds the nodes of one layer under a label.
    fn labelled<T>(
        &mut self,
        label: Label,
        build: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let start = self.b.begin_layer();
        let built = build(self)?;
        self.b.end_layer(label, start);
        Ok(built)
    }

    /// The ciphertexts of an operand, at a level that is not above theirs.
    fn read(&mut self, operand: Operand, level: Level) -> Result<Vec<Value>, Error> {
        let values = self.values[&operand].clone();
        let dropped = values.into_iter().map(|value| match self.b.level(value)? {
            at if at == level => Ok(value),
            _ => self.b.drop_level(value, level),
        });
        Ok(dropped.collect::<Result<_, blindsight_circuit::Error>>()?)
    }

    fn linear(&mut self, index: usize, choice: &LayerChoice) -> Result<Vec<Value>, Error> {
        let graph = self.graph;
        let layer = &graph.layers[index];
        let mut values = vec![];
        for term in &layer.terms {
            values.extend(self.read(term.operand, layer.level)?);
        }
        Ok(match choice {
            LayerChoice::Windows { output, fold } => {
                let (windows, convolution) = windows(layer, output)?;
                let scale = self.scale_of(layer, output);
                WindowKernel::new(layer, convolution, windows, fold.clone(), scale)
                    .build(&mut self.b, &values)?
            }
            LayerChoice::Diagonals { output, .. } => {
                self.diagonals(index, choice, output)?.build(&mut self.b, &values)?
            }
            LayerChoice::Scores => {
                let columns = self.layout(layer.main().operand.tensor)?;
                vec![ScoreKernel::new(layer, self.reply.clone(), columns).build(&mut self.b, values[0])?]
            }
        })
    }

    /// The kernel of a layer by diagonals: the last one computes the reply's values.
    fn diagonals(
        &self,
        index: usize,
        choice: &LayerChoice,
        output: &Layout,
    ) -> Result<DiagonalKernel, Error> {
        let LayerChoice::Diagonals { preference, split, fold, .. } = choice else {
            unreachable!("called for diagonals")
        };
        let is_last = index + 1 == self.graph.layers.len();
        let extended = is_last.then(|| self.reply.extended(self.graph.last()));
        let layer: &Layer = extended.as_ref().unwrap_or(&self.graph.layers[index]);
        let scale = if is_last { self.reply.scale } else { self.scale_of(&self.graph.layers[index], output) };
        if output.shape.elements() != layer.rows() {
            return Err(Error::Plan("the scores' layout is not one of the reply's values".into()));
        }
        let from = layer.terms.iter().map(|term| self.layout(term.operand.tensor));
        let from = from.collect::<Result<Vec<&Layout>, _>>()?;
        let parts = parts(layer, &from, output, split.origin, *preference);
        Ok(DiagonalKernel::new(parts, layer.bias.clone(), *split, fold.clone(), output, scale))
    }

    /// The scale that a layer's output comes out at: what suits a polynomial that reads it, else the nominal one.
    fn scale_of(&self, layer: &Layer, output: &Layout) -> Scale {
        let polynomials = layer.pointwise.iter().filter_map(|pointwise| {
            let kernel = PointwiseKernel::new(&pointwise.operation, &output.sums());
            kernel.input_scale(self.b.parameters(), pointwise.level)
        });
        polynomials.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or(nominal_scale(self.b.parameters()))
    }

    fn layout(&self, tensor: usize) -> Result<&Layout, Error> {
        let layout = self.tensors[tensor].layout.as_ref();
        layout.ok_or_else(|| Error::Plan("a layer reads a tensor that has no layout".into()))
    }

    fn pointwise(&mut self, tensor: usize, pointwise: &Pointwise) -> Result<Vec<Value>, Error> {
        let operands = pointwise.operation.operands().into_iter();
        let operands: Vec<Vec<Value>> =
            operands.map(|operand| self.read(operand, pointwise.level)).collect::<Result<_, _>>()?;
        let kernel = PointwiseKernel::new(&pointwise.operation, self.layout(tensor)?);
        Ok(kernel.build(&mut self.b, &operands)?)
    }
}
