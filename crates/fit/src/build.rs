//! The walk: the network as it was and the one that replaces it, side by side, node by node.

use std::collections::BTreeMap;
use std::sync::Arc;

use blindsight_network::{Activation, Graph, Node, Operator, Shape, Source, ValueRange};

use crate::batch::{Batch, apply};
use crate::data::Data;
use crate::linear::{Observed, corrected, drawn};
use crate::polynomial::{Arriving, fitted};
use crate::{Error, FittedActivation};

/// Values of a channel that a polynomial is fitted to.
const SAMPLES: usize = 8_000;

/// What a walk makes.
#[derive(Debug)]
pub(crate) struct Built {
    /// The network without activations.
    pub graph: Graph,
    /// How large the outputs of its nodes are, by name.
    pub ranges: BTreeMap<String, ValueRange>,
    pub activations: Vec<FittedActivation>,
    /// Its scores of all inputs.
    pub scores: Arc<Batch>,
    /// Those of the network before.
    pub original_scores: Arc<Batch>,
}

/// Replaces the activations of `graph` by polynomials of these degrees, in topological order, and pools by the
/// largest value by average pools; corrects each linear layer behind them. Tells which node is walked.
pub(crate) fn build(
    graph: &Graph,
    data: &Data,
    degrees: &[usize],
    at: &mut dyn FnMut(usize),
) -> Result<Built, Error> {
    let mut walk = Walk::new(graph, data, degrees)?;
    for index in 0..graph.nodes.len() {
        at(index);
        walk.step(index);
        walk.forget(index);
    }
    let [scores, original_scores] =
        [&walk.fitted, &walk.original].map(|stream| stream.get(graph.output, &walk.input));
    Ok(Built {
        graph: walk.graph,
        ranges: walk.ranges,
        activations: walk.activations,
        scores,
        original_scores,
    })
}

/// The outputs of a network's nodes, as long as they are needed.
struct Stream(Vec<Option<Arc<Batch>>>);

impl Stream {
    fn get(&self, source: Source, input: &Arc<Batch>) -> Arc<Batch> {
        match source {
            Source::Input => input.clone(),
            Source::Node(index) => self.0[index].clone().expect("a node that is read later is kept"),
        }
    }

    fn computed(&self, node: &Node, operator: &Operator, to: Shape, input: &Arc<Batch>) -> Arc<Batch> {
        let inputs: Vec<_> = node.inputs.iter().map(|source| self.get(*source, input)).collect();
        let inputs: Vec<&Batch> = inputs.iter().map(Arc::as_ref).collect();
        Arc::new(apply(operator, &inputs, to))
    }
}

struct Walk<'a> {
    from: &'a Graph,
    shapes: Vec<Shape>,
    degrees: std::slice::Iter<'a, usize>,
    input: Arc<Batch>,
    calibration: usize,
    original: Stream,
    fitted: Stream,
    graph: Graph,
    ranges: BTreeMap<String, ValueRange>,
    activations: Vec<FittedActivation>,
    last_readers: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(from: &'a Graph, data: &Data, degrees: &'a [usize]) -> Result<Self, Error> {
        let none = || Stream(Vec::with_capacity(from.nodes.len()));
        Ok(Self {
            from,
            shapes: from.shapes()?,
            degrees: degrees.iter(),
            input: data.inputs.clone(),
            calibration: data.calibration,
            original: none(),
            fitted: none(),
            graph: from.clone(),
            ranges: BTreeMap::new(),
            activations: vec![],
            last_readers: last_readers(from),
        })
    }

    fn step(&mut self, index: usize) {
        let (node, shape) = (&self.from.nodes[index], self.shapes[index]);
        let original = self.original.computed(node, &node.operator, shape, &self.input);
        self.original.0.push(Some(original.clone()));
        let operator = match &node.operator {
            Operator::Activation(activation) => Some(self.polynomial(node, activation, shape)),
            Operator::MaxPool(pool) => Some(Operator::AveragePool(pool.windows)),
            _ => None,
        };
        let same = operator.is_none() && node.inputs.iter().all(|source| self.is_same(*source));
        let fitted = match same {
            true => original,
            false => self.replaced(index, operator.unwrap_or_else(|| node.operator.clone())),
        };
        self.record(&node.name, &fitted);
        self.fitted.0.push(Some(fitted));
    }

    /// Whether an operand is the same in both networks.
    fn is_same(&self, source: Source) -> bool {
        let [a, b] = [&self.original, &self.fitted].map(|stream| stream.get(source, &self.input));
        Arc::ptr_eq(&a, &b)
    }

    /// Sets a node's operator, corrected where it is linear, and gives its output.
    fn replaced(&mut self, index: usize, operator: Operator) -> Arc<Batch> {
        let (node, shape) = (&self.from.nodes[index], self.shapes[index]);
        let mut output = self.fitted.computed(node, &operator, shape, &self.input);
        self.graph.nodes[index].operator = operator;
        if matches!(node.operator, Operator::Convolution(_) | Operator::Dense(_)) {
            let input = self.fitted.get(node.inputs[0], &self.input);
            let target = self.target(index);
            let (input, calibration) = (&input, self.calibration);
            let observed = Observed { input, output: &output, target: &target, calibration };
            let operator = corrected(&node.operator, &observed);
            output = self.fitted.computed(node, &operator, shape, &self.input);
            self.graph.nodes[index].operator = operator;
        }
        output
    }

    /// What a linear layer should compute: what it did in the original network; or, where it is the last summand
    /// of a sum, what makes the sum what it was.
    fn target(&self, index: usize) -> Arc<Batch> {
        let own = self.original.get(Source::Node(index), &self.input);
        let reads = |node: &&Node| node.inputs.contains(&Source::Node(index));
        let mut readers = self.from.nodes.iter().filter(reads);
        let (Some(sum), None) = (readers.next(), readers.next()) else { return own };
        let others: Vec<Source> =
            sum.inputs.iter().copied().filter(|source| *source != Source::Node(index)).collect();
        let known = others.iter().all(|source| matches!(source, Source::Node(i) if *i < index));
        if sum.operator != Operator::Sum || !known || others.len() + 1 != sum.inputs.len() {
            return own;
        }
        let mut target = own.as_ref().clone();
        for source in others {
            target.add(1.0, &self.original.get(source, &self.input));
            target.add(-1.0, &self.fitted.get(source, &self.input));
        }
        Arc::new(target)
    }

    /// The polynomial for an activation.
    fn polynomial(&mut self, node: &Node, activation: &Activation, shape: Shape) -> Operator {
        let degree = *self.degrees.next().expect("a degree for each activation");
        let input = self.fitted.get(node.inputs[0], &self.input);
        let arriving: Vec<Arriving> = (0..shape.channels).map(|c| self.arriving(&input, c)).collect();
        let values = arriving.iter().flat_map(|a| &a.sample).map(|v| f64::from(*v));
        let (count, squares) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v * v));
        let usual = (squares / count.max(1) as f64).sqrt();
        let (polynomial, errors) = fitted(activation, &arriving, degree, usual);
        let bound = |of: fn(&Arriving) -> f32, best: fn(f32, f32) -> f32| {
            arriving.iter().map(of).reduce(best).map_or(0.0, f64::from)
        };
        self.activations.push(FittedActivation {
            name: node.name.clone(),
            function: activation.name(),
            degree,
            low: bound(|a| a.low, f32::min),
            high: bound(|a| a.high, f32::max),
            rms_error: (errors.iter().sum::<f64>() / errors.len().max(1) as f64).sqrt(),
        });
        Operator::Polynomial(polynomial)
    }

    /// What arrives in a channel, over the images to learn from.
    fn arriving(&self, batch: &Batch, channel: usize) -> Arriving {
        let positions = batch.shape.positions();
        let each = SAMPLES.div_ceil(self.calibration).clamp(1, positions);
        let mut arriving = Arriving { sample: vec![], low: f32::INFINITY, high: f32::NEG_INFINITY };
        for n in 0..self.calibration {
            let plane = &batch.image(n)[channel * positions..(channel + 1) * positions];
            arriving.low = plane.iter().copied().fold(arriving.low, f32::min);
            arriving.high = plane.iter().copied().fold(arriving.high, f32::max);
            arriving.sample.extend(drawn(n, each, positions).map(|at| plane[at]));
        }
        arriving
    }

    /// Records how large a node's output is.
    fn record(&mut self, name: &str, output: &Batch) {
        let most = output.values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let squares: f64 = output.values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let rms = (squares / output.values.len().max(1) as f64).sqrt();
        let range = self.ranges.entry(name.to_string()).or_insert(ValueRange { max: 0.0, rms: 0.0 });
        *range = ValueRange { max: range.max.max(most.into()), rms: range.rms.max(rms) };
    }

    /// Lets go of what no later node reads.
    fn forget(&mut self, index: usize) {
        for (read, last) in self.last_readers.iter().enumerate().take(index + 1) {
            if *last <= index {
                self.original.0[read] = None;
                self.fitted.0[read] = None;
            }
        }
    }
}

/// For each node the last one that reads it, itself where none does, and none where it is the output.
fn last_readers(graph: &Graph) -> Vec<usize> {
    let mut last: Vec<usize> = (0..graph.nodes.len()).collect();
    for (index, node) in graph.nodes.iter().enumerate() {
        for source in &node.inputs {
            if let Source::Node(read) = source {
                last[*read] = last[*read].max(index);
            }
        }
    }
    if let Source::Node(output) = graph.output {
        last[output] = usize::MAX;
    }
    last
}
