use crate::error::check_length;
use crate::{Error, FinalActivation, Metadata, Operator, Shape, Source, infer, limits, onnx};

/// A network: operators, each reading the input or the outputs of operators before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// The input's shape.
    pub input: Shape,
    /// The nodes; each reads the input or nodes before it.
    pub nodes: Vec<Node>,
    /// What the scores are.
    pub output: Source,
}

/// A node of a [`Graph`].
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The name: that of the ONNX node.
    pub name: String,
    /// What it computes.
    pub operator: Operator,
    /// What it reads.
    pub inputs: Vec<Source>,
}

impl Graph {
    /// A chain: each of the named operators reads the one before it, the first one the input.
    pub fn chain(input: Shape, operators: impl IntoIterator<Item = (String, Operator)>) -> Self {
        let mut output = Source::Input;
        let mut nodes = vec![];
        for (name, operator) in operators {
            nodes.push(Node { name, operator, inputs: vec![output] });
            output = Source::Node(nodes.len() - 1);
        }
        Self { input, nodes, output }
    }

    /// The shape of each node's output. Checks that every node is consistent in itself and fits what it
    /// reads, and that the whole is within [`limits`]; a graph that passes can be run.
    pub fn shapes(&self) -> Result<Vec<Shape>, Error> {
        self.input.check("the input")?;
        let (mut elements, mut multiplications) = (0u64, 0u64);
        let mut shapes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs = self.inputs(node, &shapes)?;
            let shape = node.operator.output_shape(&node.name, &inputs)?;
            let of_node = node.operator.multiplications(&node.name, &inputs)?;
            elements = elements.saturating_add(shape.elements() as u64);
            multiplications = multiplications.saturating_add(of_node);
            shapes.push(shape);
        }
        check_source("the output", self.output, shapes.len())?;
        let parameters = self.parameters() as u64;
        limits::check(|| "weights of the network".into(), parameters, limits::PARAMETERS as u64)?;
        limits::check(|| "elements of all layers' outputs".into(), elements, limits::TOTAL_ELEMENTS as u64)?;
        limits::check(
            || "multiplications of one inference".into(),
            multiplications,
            limits::MULTIPLICATIONS,
        )?;
        Ok(shapes)
    }

    /// The shape of the scores.
    pub fn output_shape(&self) -> Result<Shape, Error> {
        Ok(self.shape(self.output, &self.shapes()?))
    }

    /// Multiplications of one inference; see [`Operator::multiplications`]. Fails on a graph that does not
    /// fit together.
    pub fn multiplications(&self) -> Result<u64, Error> {
        let shapes = self.shapes()?;
        self.nodes.iter().try_fold(0u64, |sum, node| {
            let of_node = node.operator.multiplications(&node.name, &self.inputs(node, &shapes)?)?;
            Ok(sum.saturating_add(of_node))
        })
    }

    /// Number of weights, biases and coefficients.
    pub fn parameters(&self) -> usize {
        self.nodes.iter().map(|n| n.operator.parameters()).sum()
    }

    /// The node whose output the scores are; `None` where they are the input.
    pub fn last(&self) -> Option<&Node> {
        match self.output {
            Source::Input => None,
            Source::Node(index) => self.nodes.get(index),
        }
    }

    /// The scores of one input, in the order channel, row, column.
    ///
    /// Fails where the graph is inconsistent or the input's length is not that of its shape.
    pub fn infer(&self, input: &[f64]) -> Result<Vec<f64>, Error> {
        let last_readers = self.last_readers();
        let mut outputs: Vec<Vec<f64>> = vec![];
        self.run(input, &mut outputs, |index, outputs| {
            for source in &self.nodes[index].inputs {
                if let Source::Node(read) = source
                    && last_readers[*read] == index
                {
                    outputs[*read] = vec![];
                }
            }
        })?;
        Ok(match self.output {
            Source::Input => input.to_vec(),
            Source::Node(index) => std::mem::take(&mut outputs[index]),
        })
    }

    /// The outputs of all nodes, first to last, for one input; fails as [`Graph::infer`] does.
    pub fn trace(&self, input: &[f64]) -> Result<Vec<Vec<f64>>, Error> {
        let mut outputs = vec![];
        self.run(input, &mut outputs, |_, _| {})?;
        Ok(outputs)
    }

    /// The scores of each of `inputs`, computed in parallel on rayon's current pool; fails as
    /// [`Graph::infer`] does.
    pub fn infer_batch(&self, inputs: &[Vec<f64>]) -> Result<Vec<Vec<f64>>, Error> {
        use rayon::prelude::*;
        inputs.par_iter().map(|input| self.infer(input)).collect()
    }

    /// The bytes of an ONNX file of this network, which ends in its scores ([`crate::Model::to_onnx`] adds
    /// what a file applied to them), with `metadata` as entries under `blindsight.`; any ONNX runtime
    /// computes it, on any number of inputs at once. Weights are stored as float32, so that what is read from
    /// the file computes the same to about 1e-6 relative.
    ///
    /// Fails on a graph that [`Graph::shapes`] refuses; on activations that are no polynomials and on
    /// MaxPool, which have to be fitted first; on a bias for each element ([`crate::Bias::PerElement`]);
    /// and on weights above what float32 can hold.
    ///
    /// ```
    /// use blindsight_network::{Dense, Graph, Metadata, Model, Operator, Shape};
    ///
    /// let dense = Dense { rows: 1, columns: 2, weights: vec![1.0, -2.0], bias: vec![0.5] };
    /// let layers = [("dense".to_string(), Operator::Dense(dense)), ("square".into(), Operator::square(1))];
    /// let graph = Graph::chain(Shape::vector(2), layers);
    /// let bytes = graph.to_onnx(&Metadata::new(graph.input, 1))?;
    /// let read = Model::from_bytes("read", &bytes)?;
    /// assert_eq!(read.graph.infer(&[3.0, 1.0])?, [2.25]);
    /// # Ok::<(), blindsight_network::Error>(())
    /// ```
    pub fn to_onnx(&self, metadata: &Metadata) -> Result<Vec<u8>, Error> {
        Ok(prost::Message::encode_to_vec(&onnx::written(self, metadata, FinalActivation::None)?))
    }

    /// Fills `outputs` node by node, with `after` called after each.
    fn run(
        &self,
        input: &[f64],
        outputs: &mut Vec<Vec<f64>>,
        mut after: impl FnMut(usize, &mut Vec<Vec<f64>>),
    ) -> Result<(), Error> {
        let shapes = self.shapes()?;
        check_length(|| format!("input values ({})", self.input), self.input.elements(), input.len())?;
        for (index, node) in self.nodes.iter().enumerate() {
            let get = |source: &Source| match source {
                Source::Input => input,
                Source::Node(index) => outputs[*index].as_slice(),
            };
            let values: Vec<&[f64]> = node.inputs.iter().map(get).collect();
            let from = self.inputs(node, &shapes)?;
            outputs.push(infer::apply(&node.operator, &from, shapes[index], &values));
            after(index, outputs);
        }
        Ok(())
    }

    /// For each node the last one that reads it; no node where it is the output.
    fn last_readers(&self) -> Vec<usize> {
        let mut last = vec![usize::MAX; self.nodes.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            for source in &node.inputs {
                if let Source::Node(read) = source
                    && *source != self.output
                    && *read < index
                {
                    last[*read] = index;
                }
            }
        }
        last
    }

    /// The shape of an operand, given those of the nodes.
    pub(crate) fn shape(&self, source: Source, shapes: &[Shape]) -> Shape {
        match source {
            Source::Input => self.input,
            Source::Node(index) => shapes[index],
        }
    }

    /// The shapes of what a node reads, given those of the nodes before it.
    pub(crate) fn inputs(&self, node: &Node, shapes: &[Shape]) -> Result<Vec<Shape>, Error> {
        let shape = |source: &Source| {
            check_source(&node.name, *source, shapes.len())?;
            Ok(self.shape(*source, shapes))
        };
        node.inputs.iter().map(shape).collect()
    }
}

/// Refuses an operand that is no node before.
fn check_source(reader: &str, source: Source, nodes: usize) -> Result<(), Error> {
    match source {
        Source::Node(index) if index >= nodes => Err(Error::Mismatch {
            what: format!("what {reader} reads"),
            expected: format!("one of the {nodes} nodes before it"),
            actual: format!("node {index}"),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
