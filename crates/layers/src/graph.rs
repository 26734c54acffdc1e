//! Networks as kernels see them: linear layers of one or more inputs, and what acts on their outputs element
//! by element.

use crate::Error;
use crate::linear::Linear;
use blindsight_ckks::Level;
use blindsight_network::{
    Fused, FusedNode, FusedOperation, Graph, LinearMap, Metadata, Polynomial, Shape, Source,
};
use std::collections::HashMap;
use std::sync::Arc;

/// A fused network. Its *tensors* are the image and the outputs of its layers, which is what has a layout:
/// what is made of a tensor element by element lies as the tensor does.
#[derive(Debug, Clone)]
pub struct LayerGraph {
    /// The image's shape.
    pub input: Shape,
    /// In an order in which they can be computed; the outputs of the last are the scores.
    pub layers: Vec<Layer>,
    /// The level of the image.
    level: Level,
}

/// A linear layer: `bias + sum over the terms of linear(operand)`.
#[derive(Debug, Clone)]
pub struct Layer {
    /// That of the node.
    pub name: String,
    /// What it is called in tables.
    pub kind: &'static str,
    /// The output's shape.
    pub output: Shape,
    /// The summands: one at least.
    pub terms: Vec<Term>,
    /// A number for each row.
    pub bias: Arc<[f64]>,
    /// The level of its operands.
    pub level: Level,
    /// What acts on its output, in order: on earlier ones of its results and, for products, on other tensors.
    pub pointwise: Vec<Pointwise>,
}

/// A summand of a layer.
#[derive(Debug, Clone)]
pub struct Term {
    /// What it reads.
    pub operand: Operand,
    /// The map.
    pub linear: Arc<Linear>,
}

/// A value that something reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Operand {
    /// 0 for the image, `i + 1` for the output of layer `i`.
    pub tensor: usize,
    /// 0 for the tensor itself, `v` for the result of the `v`-th pointwise operation on it.
    pub version: usize,
}

/// An operation element by element.
#[derive(Debug, Clone)]
pub struct Pointwise {
    /// That of the node.
    pub name: String,
    /// What it computes.
    pub operation: PointwiseOperation,
    /// The level of its operands.
    pub level: Level,
}

#[derive(Debug, Clone)]
/// What an operation element by element computes.
pub enum PointwiseOperation {
    /// A polynomial.
    Polynomial(Operand, Polynomial),
    /// Of two tensors in one layout.
    Product([Operand; 2]),
}

impl Operand {
    const IMAGE: Self = Self { tensor: 0, version: 0 };
}

impl PointwiseOperation {
    /// What it reads.
    pub fn operands(&self) -> Vec<Operand> {
        match self {
            Self::Polynomial(operand, _) => vec![*operand],
            Self::Product(operands) => operands.to_vec(),
        }
    }

    /// How many levels it takes.
    pub fn depth(&self) -> usize {
        match self {
            Self::Polynomial(_, polynomial) => polynomial.depth(),
            Self::Product(_) => 1,
        }
    }

    /// What it is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Polynomial(_, polynomial) if polynomial.is_square() => "square",
            Self::Polynomial(..) => "polynomial",
            Self::Product(_) => "product",
        }
    }
}

impl Layer {
    /// The term that the output's layout depends on most: that of the tensor that was computed last.
    pub fn main(&self) -> &Term {
        let last =
            self.terms.iter().enumerate().max_by_key(|(index, term)| (term.operand, usize::MAX - index));
        last.expect("a layer has a term").1
    }

    /// How many elements its output has.
    pub fn rows(&self) -> usize {
        self.output.elements()
    }

    /// Whether no row has a bias.
    pub fn is_unbiased(&self) -> bool {
        self.bias.iter().all(|b| *b == 0.0)
    }

    /// Whether both take the same diagonals between the same layouts: weights and biases are zero in the same
    /// places.
    pub fn has_pattern_of(&self, other: &Self) -> bool {
        let terms = self.terms.iter().zip(&other.terms);
        self.terms.len() == other.terms.len()
            && self.bias.iter().zip(&*other.bias).all(|(a, b)| (*a == 0.0) == (*b == 0.0))
            && terms.into_iter().all(|(a, b)| a.linear.has_pattern_of(&b.linear))
    }

    /// The tensors, other than its output, that products combine with it: theirs is its layout.
    pub fn alike(&self, own: usize) -> impl Iterator<Item = usize> + '_ {
        let operands = self.pointwise.iter().flat_map(|p| p.operation.operands());
        operands.map(|operand| operand.tensor).filter(move |tensor| *tensor != own)
    }

    /// The same layer with these rows for each term, one after another, and this bias.
    pub fn with_rows(&self, bias: Vec<f64>, weights: impl Fn(&Linear) -> Vec<f64>) -> Self {
        let count = bias.len();
        let term = |term: &Term| Term {
            operand: term.operand,
            linear: Arc::new(term.linear.with_rows(count, weights(&term.linear))),
        };
        let terms = self.terms.iter().map(term).collect();
        Self { output: Shape::vector(count), terms, bias: bias.into(), ..self.clone() }
    }
}

impl LayerGraph {
    /// The layers that `graph` is fused to; the metadata say how large its input is. Where it begins or ends
    /// with no linear layer, an identity stands in for it.
    ///
    /// # Errors
    /// Where fusion fails.
    pub fn new(graph: &Graph, metadata: &Metadata) -> Result<Self, Error> {
        Ok(Self::of(&graph.fused(metadata)?))
    }

    /// The layers of a fused network.
    pub fn of(fused: &Fused) -> Self {
        let mut builder = Builder { fused, layers: vec![], operands: vec![], identity: None };
        fused.nodes.iter().for_each(|node| builder.node(node));
        builder.finish()
    }

    /// How many levels it takes.
    pub fn depth(&self) -> usize {
        self.level.0
    }

    /// The last layer: its outputs are the scores.
    pub fn last(&self) -> &Layer {
        &self.layers[self.layers.len() - 1]
    }

    /// The shape of a tensor.
    pub fn shape(&self, tensor: usize) -> Shape {
        tensor.checked_sub(1).map_or(self.input, |layer| self.layers[layer].output)
    }

    /// The tensors that are read after tensor `at` is there, by layers or by products, and lie before it or
    /// are it.
    pub fn live(&self, at: usize) -> Vec<usize> {
        let later = self.layers.iter().enumerate().skip(at);
        let read = later.flat_map(|(index, layer)| {
            let terms = layer.terms.iter().map(|term| term.operand.tensor);
            terms.chain(layer.alike(index + 1)).collect::<Vec<_>>()
        });
        let mut live: Vec<usize> = read.filter(|tensor| *tensor <= at).chain([at]).collect();
        live.sort_unstable();
        live.dedup();
        live
    }

    /// The tensor by whose readers a tensor's layout is judged: itself, or what it is a factor of where
    /// nothing else reads it.
    pub fn judged_by(&self, tensor: usize) -> usize {
        if self.readers(tensor).next().is_some() {
            return tensor;
        }
        let products = self.layers.iter().enumerate().skip(tensor);
        let mut products = products.filter(|(index, layer)| layer.alike(index + 1).any(|t| t == tensor));
        products.next().map_or(tensor, |(index, _)| self.judged_by(index + 1))
    }

    /// The layers that read a tensor, with the term by which they do.
    pub fn readers(&self, tensor: usize) -> impl Iterator<Item = (usize, &Layer, &Term)> {
        let layers = self.layers.iter().enumerate();
        layers.flat_map(move |(index, layer)| {
            let terms = layer.terms.iter().filter(move |term| term.operand.tensor == tensor);
            terms.map(move |term| (index, layer, term))
        })
    }

    /// Whether the client may write out the windows of the first layer: nothing else reads the image.
    pub fn begins_with_im2col(&self) -> bool {
        let mut readers = self.readers(0);
        let (first, more) = (readers.next(), readers.next());
        let alone = self.layers[0].terms.len() == 1 && more.is_none() && self.layers.len() > 1;
        alone && first.is_some_and(|(index, _, term)| index == 0 && term.linear.as_convolution().is_some())
    }

    /// Sets the levels: a value is computed as late as its readers allow, when it has the fewest limbs.
    fn with_levels(mut self) -> Self {
        let mut needed: HashMap<Operand, usize> = HashMap::new();
        for (index, layer) in self.layers.iter_mut().enumerate().rev() {
            for (position, pointwise) in layer.pointwise.iter_mut().enumerate().rev() {
                let result = Operand { tensor: index + 1, version: position + 1 };
                let level = needed.get(&result).copied().unwrap_or(0) + pointwise.operation.depth();
                pointwise.level = Level(level);
                for operand in pointwise.operation.operands() {
                    let needed = needed.entry(operand).or_default();
                    *needed = level.max(*needed);
                }
            }
            let result = Operand { tensor: index + 1, version: 0 };
            let level = needed.get(&result).copied().unwrap_or(0) + 1;
            layer.level = Level(level);
            for term in &layer.terms {
                let needed = needed.entry(term.operand).or_default();
                *needed = level.max(*needed);
            }
        }
        self.level = Level(needed.get(&Operand::IMAGE).copied().unwrap_or(0));
        self
    }
}

/// Builds layers from nodes.
struct Builder<'a> {
    fused: &'a Fused,
    layers: Vec<Layer>,
    /// What each node became.
    operands: Vec<Operand>,
    /// The image, by an identity, where something acts on it element by element.
    identity: Option<Operand>,
}

impl Builder<'_> {
    fn node(&mut self, node: &FusedNode) {
        let operand = match &node.operation {
            FusedOperation::Linear { terms, bias } => {
                let term = |term: &blindsight_network::LinearTerm| Term {
                    operand: self.operand(term.source),
                    linear: Arc::new(Linear::new(&term.map, self.fused.shape(term.source), node.shape)),
                };
                let built = terms.iter().map(term).collect();
                let kind = match &terms[..] {
                    [term] => kind(&term.map),
                    _ => "sum",
                };
                self.layer(&node.name, kind, node.shape, built, bias.elements(node.shape))
            }
            FusedOperation::Polynomial { source, polynomial } => {
                let operand = self.element_by_element(*source);
                self.pointwise(&node.name, PointwiseOperation::Polynomial(operand, polynomial.clone()))
            }
            FusedOperation::Product(sources) => {
                let operands = sources.map(|source| self.element_by_element(source));
                self.pointwise(&node.name, PointwiseOperation::Product(operands))
            }
        };
        self.operands.push(operand);
    }

    fn operand(&self, source: Source) -> Operand {
        match source {
            Source::Input => Operand::IMAGE,
            Source::Node(index) => self.operands[index],
        }
    }

    fn element_by_element(&mut self, source: Source) -> Operand {
        match source {
            Source::Node(index) => self.operands[index],
            Source::Input => match self.identity {
                Some(operand) => operand,
                None => {
                    let operand = self.identity(Operand::IMAGE, self.fused.input);
                    self.identity = Some(operand);
                    operand
                }
            },
        }
    }

    fn identity(&mut self, operand: Operand, shape: Shape) -> Operand {
        let terms = vec![Term { operand, linear: Arc::new(Linear::identity(shape)) }];
        self.layer("identity", "identity", shape, terms, vec![0.0; shape.elements()])
    }

    fn layer(
        &mut self,
        name: &str,
        kind: &'static str,
        output: Shape,
        terms: Vec<Term>,
        bias: Vec<f64>,
    ) -> Operand {
        let (name, bias) = (name.to_string(), bias.into());
        self.layers.push(Layer { name, kind, output, terms, bias, level: Level(0), pointwise: vec![] });
        Operand { tensor: self.layers.len(), version: 0 }
    }

    /// An operation on the last of the tensors that it reads.
    fn pointwise(&mut self, name: &str, operation: PointwiseOperation) -> Operand {
        let tensor = operation.operands().iter().map(|o| o.tensor).max().expect("it reads something");
        let pointwise = &mut self.layers[tensor - 1].pointwise;
        pointwise.push(Pointwise { name: name.into(), operation, level: Level(0) });
        Operand { tensor, version: pointwise.len() }
    }

    fn finish(mut self) -> LayerGraph {
        let input = self.fused.input;
        let output = self.operands.last().copied().unwrap_or(Operand::IMAGE);
        let is_scores = output.version == 0 && output.tensor == self.layers.len() && output != Operand::IMAGE;
        if !is_scores {
            let shape = self.fused.nodes.last().map_or(input, |node| node.shape);
            self.identity(output, shape);
        }
        LayerGraph { input, layers: self.layers, level: Level(0) }.with_levels()
    }
}

/// What a map is called.
fn kind(map: &LinearMap) -> &'static str {
    match map {
        LinearMap::Convolution(_) => "convolution",
        LinearMap::Dense(_) => "dense",
        LinearMap::Sparse(_) => "linear",
    }
}
