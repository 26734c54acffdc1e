//! From a network and a choice to the circuit: one straight line over the layers.

use crate::Error;
use crate::choice::{Choice, LayerChoice};
use crate::graph::{LayerGraph, Operand, Pointwise, Term};
use crate::kernel::Site;
use crate::pointwise::PointwiseKernel;
use blindsight_circuit::{Builder, Circuit, Counts, Label, LabelInput, Output, Reading, Value};
use blindsight_ckks::{Level, Parameters, Scale};
use blindsight_layout::{InputLayout, Layout, ReplyLayout};
use std::collections::HashMap;
use std::sync::Arc;

/// The circuit of a plan, with the layouts of its input and reply.
#[derive(Debug)]
pub struct Assembly {
    /// The operations.
    pub circuit: Circuit,
    /// What the client writes.
    pub input: InputLayout,
    /// The level that inputs are encrypted at.
    pub input_level: Level,
    /// The scale that inputs are encrypted at.
    pub input_scale: Scale,
    /// What the client reads.
    pub reply: ReplyLayout,
}

/// The level that inputs are encrypted at: what the network takes.
pub fn input_level(graph: &LayerGraph, parameters: &Parameters) -> Result<Level, Error> {
    let level = Level(graph.depth());
    if level > parameters.max_level() {
        let (what, actual) = ("depth of the network", graph.depth());
        let expected = format!("at most the {} levels of the parameters", parameters.max_level().0);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    Ok(level)
}

/// Builds the circuit. `bound` is what no score's magnitude should exceed.
///
/// # Errors
/// Where the parameters have too few levels, the choices do not fit the network, each other or the ring, and
/// those of the circuit.
pub fn assemble(
    graph: &LayerGraph,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<Assembly, Error> {
    let level = input_level(graph, parameters)?;
    let sites = Sites { graph, parameters, layouts: &layouts(choice) };
    check(&sites, choice)?;
    let input = sites.input(choice)?;
    input.validate()?;
    let reply = Arc::new(sites.reply(choice, bound)?);
    let mut b = Builder::new(parameters.clone());
    let input_scale = parameters.nominal_scale();
    let inputs = (0..input.ciphertexts()).map(|_| b.input(level, input_scale));
    let image = inputs.collect::<Result<Vec<Value>, _>>()?;
    let mut building = Building::new(&sites, b, &reply, image, &input);
    for (index, choice) in choice.layers.iter().enumerate() {
        building.layer(index, choice)?;
    }
    let scores = building.scores()?;
    let reading = Reading::Coefficients(reply.indices());
    let circuit = building.b.finish(vec![Output { value: scores, reading }])?;
    let reply = Arc::unwrap_or_clone(reply);
    Ok(Assembly { circuit, input, input_level: level, input_scale, reply })
}

/// Where the scores lie.
///
/// # Errors
/// Where there is no room for them.
pub fn reply(
    graph: &LayerGraph,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
) -> Result<ReplyLayout, Error> {
    Sites { graph, parameters, layouts: &layouts(choice) }.reply(choice, bound)
}

/// A reason for each layer and each operation element by element, in the order of a run whose counts these
/// are; `None` where there was nothing to choose.
///
/// # Errors
/// As [`reply`].
pub fn reasons(
    graph: &LayerGraph,
    parameters: &Parameters,
    choice: &Choice,
    bound: f64,
    counts: &[Counts],
) -> Result<Vec<Option<String>>, Error> {
    let sites = Sites { graph, parameters, layouts: &layouts(choice) };
    let reply = sites.reply(choice, bound)?;
    let (mut counts, mut reasons) = (counts.iter(), vec![]);
    for (index, (layer, chosen)) in graph.layers.iter().zip(&choice.layers).enumerate() {
        let counted = counts.next().copied().unwrap_or_default();
        reasons.push(Some(chosen.kernel().reason(&sites.site(index), chosen, &reply, &counted)));
        reasons.extend(layer.pointwise.iter().map(|pointwise| {
            let layout = sites.layouts[index + 1].as_ref()?;
            PointwiseKernel::new(&pointwise.operation, layout).reason()
        }));
        counts.by_ref().take(layer.pointwise.len()).for_each(drop);
    }
    Ok(reasons)
}

/// The layout of each tensor, whole sums; `None` for one that has none.
fn layouts(choice: &Choice) -> Vec<Option<Layout>> {
    let outputs = choice.layers.iter().map(|layer| layer.sum().map(|(partial, _)| partial.sums()));
    std::iter::once(choice.image.clone()).chain(outputs).collect()
}

/// All layers in their places.
struct Sites<'a> {
    graph: &'a LayerGraph,
    parameters: &'a Parameters,
    layouts: &'a [Option<Layout>],
}

impl Sites<'_> {
    fn site(&self, index: usize) -> Site<'_> {
        let layout = |term: &Term| self.layouts.get(term.operand.tensor).and_then(Option::as_ref);
        let from = self.graph.layers[index].terms.iter().map(layout).collect();
        Site { graph: self.graph, parameters: self.parameters, index, from }
    }

    /// What the client writes.
    fn input(&self, choice: &Choice) -> Result<InputLayout, Error> {
        if let Some(layout) = &choice.image {
            return Ok(InputLayout::Image(layout.clone()));
        }
        let written = choice.layers.first().map(|first| first.kernel().input(&self.site(0), first));
        written.transpose()?.flatten().ok_or_else(|| Error::plan("the image has no layout"))
    }

    /// Where the scores lie.
    fn reply(&self, choice: &Choice, bound: f64) -> Result<ReplyLayout, Error> {
        let last = choice.layers.last().ok_or_else(|| Error::plan("it has no layers"))?;
        last.kernel().reply(&self.site(self.graph.layers.len() - 1), bound)
    }
}

/// Checks that the choices fit the network, and each other.
fn check(sites: &Sites<'_>, choice: &Choice) -> Result<(), Error> {
    let (graph, slots) = (sites.graph, sites.parameters.slots());
    if choice.layers.len() != graph.layers.len() {
        return wrong("it has not one choice for each linear layer");
    }
    if let Some(image) = &choice.image
        && (image.shape != graph.input || image.slots != slots || image.blocks.parts != 1)
    {
        return wrong("the image's layout is not one of the image");
    }
    for (index, layer) in choice.layers.iter().enumerate() {
        let site = sites.site(index);
        layer.kernel().check(&site, layer)?;
        check_sum(&site, layer, sites.layouts)?;
    }
    Ok(())
}

/// Checks that the layout of a layer's output fits its shape, its sum and what it is multiplied with.
fn check_sum(site: &Site<'_>, choice: &LayerChoice, layouts: &[Option<Layout>]) -> Result<(), Error> {
    let Some((output, sum)) = choice.sum() else { return Ok(()) };
    let layer = site.layer();
    output.validate()?;
    if output.slots != site.parameters.slots() || (!site.is_last() && output.shape != layer.output) {
        return wrong("a layer's layout is not one of its output");
    }
    if site.is_last() && !output.is_cyclic() {
        return wrong("the scores' layout does not repeat over all slots: others could be read");
    }
    if !sum.sums(output.blocks.parts) {
        let what = format!("rotate-and-sum of {}", layer.name);
        let actual = format!("{:?}", sum.radices);
        let expected = format!("radices of 2 to 8 with product {}", output.blocks.parts);
        return Err(Error::does_not_fit(what, actual, expected));
    }
    if !layer.pointwise.iter().all(|pointwise| PointwiseKernel::reads(&pointwise.operation, output)) {
        return wrong("a polynomial acts on a layout in which some slots hold anything");
    }
    let own = site.index + 1;
    if layer.alike(own).any(|tensor| layouts.get(tensor) != layouts.get(own)) {
        return wrong("tensors that are multiplied with each other lie in different layouts");
    }
    Ok(())
}

fn wrong(what: &str) -> Result<(), Error> {
    Err(Error::plan(what))
}

/// A circuit on its way.
struct Building<'a> {
    sites: &'a Sites<'a>,
    b: Builder,
    reply: &'a Arc<ReplyLayout>,
    /// The image and the outputs of layers: their names, and how they lie, in words.
    tensors: Vec<(String, String)>,
    /// The ciphertexts of what was computed so far.
    values: HashMap<Operand, Vec<Value>>,
}

impl<'a> Building<'a> {
    fn new(
        sites: &'a Sites<'a>,
        b: Builder,
        reply: &'a Arc<ReplyLayout>,
        image: Vec<Value>,
        input: &InputLayout,
    ) -> Self {
        let values = HashMap::from([(Operand { tensor: 0, version: 0 }, image)]);
        Self { sites, b, reply, tensors: vec![("input".into(), input.to_string())], values }
    }

    /// The ciphertexts of the scores.
    fn scores(&self) -> Result<Value, Error> {
        let scores = Operand { tensor: self.sites.graph.layers.len(), version: 0 };
        let values = &self.values[&scores];
        values.first().copied().ok_or_else(|| Error::plan("the scores have no ciphertext"))
    }

    /// Builds a layer, and what acts on its output element by element.
    fn layer(&mut self, index: usize, choice: &LayerChoice) -> Result<(), Error> {
        let layer = &self.sites.graph.layers[index];
        let words = match &self.sites.layouts[index + 1] {
            Some(layout) => layout.to_string(),
            None => format!("{} coefficients", self.reply.indices().len()),
        };
        let read = layer.terms.iter().map(|term| term.operand);
        let label = self.label(&layer.name, layer.kind, read, words.clone());
        let values = self.labelled(label, |building| building.linear(index, choice))?;
        self.values.insert(Operand { tensor: index + 1, version: 0 }, values);
        self.tensors.push((layer.name.clone(), words.clone()));
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
            let (name, words) = &self.tensors[operand.tensor];
            let made_by =
                |version: usize| &self.sites.graph.layers[operand.tensor - 1].pointwise[version - 1].name;
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
        let layer = &self.sites.graph.layers[index];
        let mut values = vec![];
        for term in &layer.terms {
            values.extend(self.read(term.operand, layer.level)?);
        }
        choice.kernel().build(&self.sites.site(index), choice, self.reply, &mut self.b, &values)
    }

    fn pointwise(&mut self, tensor: usize, pointwise: &Pointwise) -> Result<Vec<Value>, Error> {
        let operands = pointwise.operation.operands().into_iter();
        let operands: Vec<Vec<Value>> =
            operands.map(|operand| self.read(operand, pointwise.level)).collect::<Result<_, _>>()?;
        let layout = self.sites.layouts[tensor].as_ref();
        let layout = layout.ok_or_else(|| Error::plan("a layer reads a tensor that has no layout"))?;
        let kernel = PointwiseKernel::new(&pointwise.operation, layout);
        Ok(kernel.build(&mut self.b, &operands)?)
    }
}
