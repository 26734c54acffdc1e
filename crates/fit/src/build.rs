//! The walk: the network as it was and the one that replaces it, side by side, node by node.

use std::collections::BTreeMap;
use std::sync::Arc;

use blindsight_network::{Activation, Affine, Graph, Node, Operator, Shape, Source, ValueRange};

use crate::batch::{Batch, apply};
use crate::data::Data;
use crate::linear::{Observed, corrected, drawn};
use crate::polynomial::{Arriving, fitted};
use crate::prepare::scaled;
use crate::{Error, FittedActivation};

/// Values of a channel that a polynomial is fitted to.
const SAMPLES: usize = 8_000;
/// The least that a channel is scaled by, as a share of the layer's largest.
const LEAST_REACH: f64 = 1e-3;

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

/// Replaces the activations of `graph` by polynomials of these degrees, in topological order, and pools by
/// the largest value by average pools; corrects each linear layer behind them. Tells which node is walked.
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
    walk.scale();
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
    images: usize,
    original: Stream,
    fitted: Stream,
    graph: Graph,
    ranges: BTreeMap<String, ValueRange>,
    activations: Vec<FittedActivation>,
    last_readers: Vec<usize>,
    /// Linear layers to be scaled, the polynomials that read them, and what each channel is to be divided by.
    scaled: Vec<(usize, usize, Vec<f64>)>,
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
            images: data.len(),
            original: none(),
            fitted: none(),
            graph: from.clone(),
            ranges: BTreeMap::new(),
            activations: vec![],
            last_readers: last_readers(from),
            scaled: vec![],
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
            let (input, calibration, images) = (&input, self.calibration, self.images);
            let observed = Observed { input, output: &output, target: &target, calibration, images };
            let operator = corrected(&node.operator, &observed);
            output = self.fitted.computed(node, &operator, shape, &self.input);
            self.graph.nodes[index].operator = operator;
        }
        output
    }

    /// What a linear layer should compute: what it did in the original network; or, where it is the last
    /// summand of a sum, what makes the sum what it was.
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
        let wanted = self.original.get(Source::Node(self.fitted.0.len()), &self.input);
        let arriving: Vec<Arriving> =
            (0..shape.channels).map(|c| self.arriving(&input, &wanted, c)).collect();
        let values = arriving.iter().flat_map(|a| &a.sample).map(|v| f64::from(*v));
        let (count, squares) = values.fold((0usize, 0.0), |(n, sum), v| (n + 1, sum + v * v));
        let usual = (squares / count.max(1) as f64).sqrt();
        let scales = self.scales(node, &arriving, degree);
        let (polynomial, errors) = fitted(activation, &arriving, degree, usual, &scales);
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

    /// What each channel of an activation's argument is divided by before its powers are taken: what it
    /// reaches, where a linear layer makes it that nothing else reads and that can be scaled; else what the
    /// layer reaches.
    fn scales(&mut self, node: &Node, arriving: &[Arriving], degree: usize) -> Vec<f64> {
        let most = arriving.iter().map(Arriving::reach).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let Source::Node(read) = node.inputs[0] else { return vec![most; arriving.len()] };
        let readers = self.from.nodes.iter().flat_map(|node| &node.inputs).filter(|s| **s == node.inputs[0]);
        let linear = matches!(self.from.nodes[read].operator, Operator::Convolution(_) | Operator::Dense(_));
        if degree <= 2 || !linear || readers.count() != 1 || self.from.output == node.inputs[0] {
            return vec![most; arriving.len()];
        }
        let scales: Vec<f64> = arriving.iter().map(|a| a.reach().max(LEAST_REACH * most)).collect();
        self.scaled.push((read, self.fitted.0.len(), scales.clone()));
        scales
    }

    /// What arrives in a channel, over the images to learn from.
    fn arriving(&self, batch: &Batch, wanted: &Batch, channel: usize) -> Arriving {
        let positions = batch.shape.positions();
        let each = SAMPLES.div_ceil(self.calibration).clamp(1, positions);
        let mut arriving =
            Arriving { sample: vec![], wanted: vec![], low: f32::INFINITY, high: f32::NEG_INFINITY };
        for n in 0..self.calibration {
            let plane = &batch.image(n)[channel * positions..(channel + 1) * positions];
            arriving.low = plane.iter().copied().fold(arriving.low, f32::min);
            arriving.high = plane.iter().copied().fold(arriving.high, f32::max);
            arriving.sample.extend(drawn(n, each, positions).map(|at| plane[at]));
            let plane = &wanted.image(n)[channel * positions..(channel + 1) * positions];
            arriving.wanted.extend(drawn(n, each, positions).map(|at| plane[at]));
        }
        let probe = &batch.image(self.images)[channel * positions..(channel + 1) * positions];
        arriving.low = probe.iter().copied().fold(arriving.low, f32::min);
        arriving.high = probe.iter().copied().fold(arriving.high, f32::max);
        arriving
    }

    /// Records how large a node's output is.
    fn record(&mut self, name: &str, output: &Batch) {
        let values = &output.values[..self.images * output.shape.elements()];
        let most = values.iter().fold(0.0f32, |most, v| most.max(v.abs()));
        let squares: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum();
        let rms = (squares / values.len().max(1) as f64).sqrt();
        let range = self.ranges.entry(name.to_string()).or_insert(ValueRange { max: 0.0, rms: 0.0 });
        *range = ValueRange { max: range.max.max(most.into()), rms: range.rms.max(rms) };
    }

    /// Divides linear layers, channel by channel, by what their outputs reach, and has the polynomials that
    /// read them make up for it: powers of numbers up to one are what can be computed precisely.
    fn scale(&mut self) {
        for (linear, polynomial, scales) in std::mem::take(&mut self.scaled) {
            let inverse = scales.iter().map(|s| 1.0 / s).collect();
            let affine = Affine { scale: inverse, shift: vec![0.0; scales.len()] };
            if let Some(operator) = scaled(&self.graph.nodes[linear].operator, &affine) {
                self.graph.nodes[linear].operator = operator;
            }
            if let Operator::Polynomial(polynomial) = &mut self.graph.nodes[polynomial].operator {
                for (power, values) in polynomial.coefficients.iter_mut().enumerate() {
                    values.iter_mut().zip(&scales).for_each(|(c, s)| *c *= s.powi(power as i32));
                }
            }
            if let Some(range) = self.ranges.get_mut(&self.from.nodes[linear].name) {
                *range = ValueRange { max: 1.0, rms: range.rms / range.max };
            }
        }
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
