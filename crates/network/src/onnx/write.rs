//! Graphs into ONNX files, which any runtime and [`super::import`] read.
//!
//! Tensors keep the batch as a symbolic first dimension; behind it they are `[channels, height, width]`, or
//! `[values]` once a dense layer has read them. Weights are stored as float32. A polynomial is written by
//! Horner's rule in `x` times a power of two, one for each channel: that is exact, and keeps coefficients of
//! high powers within what float32 can hold. Nodes of the graph keep their names: the last of those that
//! spell one out has it.

use std::collections::HashSet;

use super::proto::{self, attribute_type, data_type};
use crate::layer::{Bias, Convolution, Dense};
use crate::{
    AveragePool, Error, FinalActivation, Graph, Metadata, Node, Operator, Polynomial, Selection, Shape,
    Source,
};

/// The operator set that is written.
const OPERATOR_SET: i64 = 17;
/// The file format's version that goes with it.
const IR_VERSION: i64 = 8;
const INPUT: &str = "input";
const OUTPUT: &str = "scores";

/// The file of a graph and its metadata, with what is applied to the scores at the end; of an index of the
/// largest score the scores.
///
/// Fails on a graph that [`Graph::shapes`] refuses; on what no polynomial network has, activations and
/// MaxPool; on a bias that differs between the elements of a channel; on weights that float32 cannot hold;
/// and on metadata that a file cannot carry.
pub(crate) fn written(
    graph: &Graph,
    metadata: &Metadata,
    output: FinalActivation,
) -> Result<proto::Model, Error> {
    let written = Writer::new(graph)?.finished(output)?;
    // Reshapes become part of what reads them, and ranges say of nothing else than what there is.
    let is_written = |name: &str| written.node.iter().any(|node| node.name == name);
    let mut metadata = metadata.clone();
    metadata.ranges.retain(|name, _| is_written(name));
    let entries = metadata.entries()?;
    let entry = |(key, value): (&str, String)| proto::Entry { key: key.into(), value };
    let opset = proto::OperatorSet { domain: String::new(), version: OPERATOR_SET };
    Ok(proto::Model {
        ir_version: IR_VERSION,
        graph: Some(written),
        opset_import: vec![opset],
        metadata_props: entries.into_iter().map(entry).collect(),
    })
}

/// A tensor of the file: its name, and its dimensions after the batch.
#[derive(Clone)]
struct Tensor {
    name: String,
    dims: Vec<usize>,
}

impl Tensor {
    /// The dimensions of numbers of which each channel has one, so that they broadcast.
    fn per_channel(&self) -> Vec<usize> {
        let mut dims = vec![1; self.dims.len()];
        dims[0] = self.dims[0];
        dims
    }
}

struct Writer<'a> {
    graph: &'a Graph,
    shapes: Vec<Shape>,
    file: proto::Graph,
    /// What the graph's nodes are in the file.
    written: Vec<Tensor>,
    input: Tensor,
    /// Names made up so far.
    names: usize,
    /// Names that nodes have, or will have.
    taken: HashSet<String>,
    /// Names of the graph's nodes that a node of the file has.
    used: HashSet<String>,
}

impl<'a> Writer<'a> {
    fn new(graph: &'a Graph) -> Result<Self, Error> {
        let input = Tensor { name: INPUT.into(), dims: dims_of(graph.input) };
        let file = proto::Graph { name: "network".into(), ..Default::default() };
        let taken = graph.nodes.iter().map(|node| node.name.clone()).chain([INPUT.into(), OUTPUT.into()]);
        let (taken, used) = (taken.collect(), HashSet::new());
        Ok(Self { graph, shapes: graph.shapes()?, file, written: vec![], input, names: 0, taken, used })
    }

    fn finished(mut self, output: FinalActivation) -> Result<proto::Graph, Error> {
        for node in &self.graph.nodes {
            let tensor = self.node(node)?;
            self.written.push(tensor);
        }
        let scores = self.tensor(self.graph.output);
        let (last, attribute) = match output {
            FinalActivation::Softmax | FinalActivation::LogSoftmax => (output.name(), vec![int("axis", 1)]),
            FinalActivation::Sigmoid => (output.name(), vec![]),
            // The class is that of the largest score either way.
            FinalActivation::None | FinalActivation::ArgMax => ("Identity", vec![]),
        };
        let identity = proto::Node {
            input: vec![scores.name],
            output: vec![OUTPUT.into()],
            name: self.name("t"),
            op_type: last.into(),
            attribute,
            ..Default::default()
        };
        self.file.node.push(identity);
        self.file.input = vec![declared(INPUT, &self.input.dims)];
        self.file.output = vec![declared(OUTPUT, &scores.dims)];
        Ok(self.file)
    }

    fn tensor(&self, source: Source) -> Tensor {
        match source {
            Source::Input => self.input.clone(),
            Source::Node(index) => self.written[index].clone(),
        }
    }

    /// What a node reads, as `[channels, height, width]`.
    fn image(&mut self, source: Source) -> Tensor {
        let (tensor, shape) = (self.tensor(source), self.graph.shape(source, &self.shapes));
        self.reshaped(tensor, vec![shape.channels, shape.height, shape.width])
    }

    /// What a node reads, as `[values]`.
    fn vector(&mut self, source: Source) -> Tensor {
        let (tensor, shape) = (self.tensor(source), self.graph.shape(source, &self.shapes));
        self.reshaped(tensor, vec![shape.elements()])
    }

    fn reshaped(&mut self, tensor: Tensor, dims: Vec<usize>) -> Tensor {
        if tensor.dims == dims {
            return tensor;
        }
        if dims.len() == 1 {
            return self.push("", "Flatten", &[&tensor.name], vec![int("axis", 1)], dims);
        }
        let target: Vec<i64> = std::iter::once(0).chain(dims.iter().map(|d| *d as i64)).collect();
        let target = self.integers(target);
        self.push("", "Reshape", &[&tensor.name, &target], vec![], dims)
    }

    fn node(&mut self, node: &Node) -> Result<Tensor, Error> {
        let (name, first) = (node.name.as_str(), node.inputs.first().copied().unwrap_or(Source::Input));
        let shape = self.shapes[self.written.len()];
        Ok(match &node.operator {
            Operator::Convolution(layer) => self.convolution(name, layer, first, shape)?,
            Operator::Dense(layer) => self.dense(name, layer, first)?,
            Operator::AveragePool(layer) => self.pool(name, layer, first, shape),
            Operator::Affine(affine) => {
                let x = self.tensor(first);
                let scaled = self.by_channel("", "Mul", &x, name, &affine.scale)?;
                self.by_channel(name, "Add", &scaled, name, &affine.shift)?
            }
            Operator::Reshape(shape) => {
                let x = self.tensor(first);
                self.reshaped(x, dims_of(*shape))
            }
            Operator::Polynomial(polynomial) => self.polynomial(name, polynomial, first)?,
            Operator::Sum => self.of_images(name, "Sum", node, vec![], shape),
            Operator::Concat => self.of_images(name, "Concat", node, vec![int("axis", 1)], shape),
            Operator::Product => self.of_images(name, "Mul", node, vec![], shape),
            Operator::Selection(selection) => self.selection(name, selection, first),
            Operator::Activation(_) | Operator::MaxPool(_) => return Err(no_polynomial(node)),
        })
    }

    /// Appends a node; without a name, or with one that another node has, it is called as its output.
    fn push(
        &mut self,
        name: &str,
        operator: &str,
        inputs: &[&str],
        attribute: Vec<proto::Attribute>,
        dims: Vec<usize>,
    ) -> Tensor {
        let output = self.name("t");
        let free = !name.is_empty() && self.used.insert(name.into());
        self.file.node.push(proto::Node {
            input: inputs.iter().map(|input| input.to_string()).collect(),
            output: vec![output.clone()],
            name: if free { name.into() } else { output.clone() },
            op_type: operator.into(),
            attribute,
            domain: String::new(),
        });
        Tensor { name: output, dims }
    }

    /// A name that nothing has yet.
    fn name(&mut self, kind: &str) -> String {
        loop {
            self.names += 1;
            let name = format!("{kind}{}", self.names);
            if self.taken.insert(name.clone()) {
                return name;
            }
        }
    }

    /// Stores numbers of the node `of`.
    fn floats(&mut self, of: &str, dims: &[usize], values: &[f64]) -> Result<String, Error> {
        let mut raw = Vec::with_capacity(4 * values.len());
        for (index, value) in values.iter().enumerate() {
            let single = *value as f32;
            if !single.is_finite() {
                let what = format!("weights of {of}, as float32");
                return Err(Error::NotFinite { what, index, value: single.into() });
            }
            raw.extend(single.to_le_bytes());
        }
        Ok(self.stored(data_type::FLOAT, dims, raw))
    }

    fn integers(&mut self, values: Vec<i64>) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.stored(data_type::INT64, &[values.len()], raw)
    }

    fn stored(&mut self, data_type: i32, dims: &[usize], raw: Vec<u8>) -> String {
        let (name, dims) = (self.name("w"), dims.iter().map(|d| *d as i64).collect());
        let tensor = proto::Tensor { name: name.clone(), dims, data_type, ..Default::default() };
        self.file.initializer.push(proto::Tensor { raw_data: Some(raw), ..tensor });
        name
    }

    fn convolution(
        &mut self,
        name: &str,
        layer: &Convolution,
        source: Source,
        shape: Shape,
    ) -> Result<Tensor, Error> {
        let [height, width] = layer.kernel;
        let dims = [layer.output_channels, layer.group_inputs(), height, width];
        let x = self.image(source);
        let mut inputs = vec![x.name, self.floats(name, &dims, &layer.weights)?];
        if let Bias::PerChannel(bias) = &layer.bias {
            inputs.push(self.floats(name, &[layer.output_channels], bias)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let attributes = vec![
            int("group", layer.groups),
            ints("kernel_shape", &layer.kernel),
            ints("strides", &layer.stride),
            ints("dilations", &layer.dilation),
            pads(layer.padding),
        ];
        let dims = vec![shape.channels, shape.height, shape.width];
        let convolved = self.push(name, "Conv", &inputs, attributes, dims.clone());
        let Bias::PerElement(bias) = &layer.bias else { return Ok(convolved) };
        // ONNX's convolution has no such bias: a constant that was subtracted before its padding leaves one.
        let bias = self.floats(name, &dims, bias)?;
        Ok(self.push(name, "Add", &[&convolved.name, &bias], vec![], dims))
    }

    fn dense(&mut self, name: &str, layer: &Dense, source: Source) -> Result<Tensor, Error> {
        let weights = self.floats(name, &[layer.rows, layer.columns], &layer.weights)?;
        let bias = self.floats(name, &[layer.rows], &layer.bias)?;
        let x = self.vector(source);
        let attributes = vec![int("transB", 1)];
        Ok(self.push(name, "Gemm", &[&x.name, &weights, &bias], attributes, vec![layer.rows]))
    }

    fn pool(&mut self, name: &str, layer: &AveragePool, source: Source, shape: Shape) -> Tensor {
        let x = self.image(source);
        let attributes = vec![
            ints("kernel_shape", &layer.kernel),
            ints("strides", &layer.stride),
            pads(layer.padding),
            int("count_include_pad", usize::from(layer.include_padding)),
        ];
        let dims = vec![shape.channels, shape.height, shape.width];
        self.push(name, "AveragePool", &[&x.name], attributes, dims)
    }

    /// `x` and a number for each channel, as numbers of the node `of`.
    fn by_channel(
        &mut self,
        name: &str,
        operator: &str,
        x: &Tensor,
        of: &str,
        values: &[f64],
    ) -> Result<Tensor, Error> {
        let constant = self.floats(of, &x.per_channel(), values)?;
        Ok(self.push(name, operator, &[&x.name, &constant], vec![], x.dims.clone()))
    }

    fn polynomial(&mut self, name: &str, polynomial: &Polynomial, source: Source) -> Result<Tensor, Error> {
        let x = self.tensor(source);
        if polynomial.is_square() {
            return Ok(self.push(name, "Mul", &[&x.name, &x.name], vec![], x.dims));
        }
        let (scale, coefficients) = balanced(polynomial);
        let x = match scale.iter().all(|s| *s == 1.0) {
            true => x,
            false => self.by_channel("", "Mul", &x, name, &scale)?,
        };
        let (last, rest) = coefficients.split_last().expect("a polynomial has a constant at the least");
        let rest = match rest {
            // A constant is zero times x, plus the constant.
            [] => vec![last.clone()],
            rest => rest.to_vec(),
        };
        let leading = if polynomial.degree() == 0 { vec![0.0; last.len()] } else { last.clone() };
        let mut sum = self.by_channel("", "Mul", &x, name, &leading)?;
        for (power, values) in rest.iter().enumerate().rev() {
            let named = if power == 0 { name } else { "" };
            sum = self.by_channel(named, "Add", &sum, name, values)?;
            if power > 0 {
                sum = self.push("", "Mul", &[&sum.name, &x.name], vec![], x.dims.clone());
            }
        }
        Ok(sum)
    }

    /// A node that reads tensors as images, all of them.
    fn of_images(
        &mut self,
        name: &str,
        operator: &str,
        node: &Node,
        attributes: Vec<proto::Attribute>,
        shape: Shape,
    ) -> Tensor {
        let alike = node.inputs.iter().all(|source| self.tensor(*source).dims.len() == 1);
        let inputs: Vec<Tensor> = match alike {
            true => node.inputs.iter().map(|source| self.tensor(*source)).collect(),
            false => node.inputs.iter().map(|source| self.image(*source)).collect(),
        };
        let dims = if alike { dims_of(shape) } else { vec![shape.channels, shape.height, shape.width] };
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        self.push(name, operator, &names, attributes, dims)
    }

    /// Elements by their index in a vector; zeros are one more element behind it.
    fn selection(&mut self, name: &str, selection: &Selection, source: Source) -> Tensor {
        let mut x = self.vector(source);
        let elements = x.dims[0];
        if selection.elements.contains(&None) {
            let pads = self.integers(vec![0, 0, 0, 1]);
            x = self.push("", "Pad", &[&x.name, &pads], vec![], vec![elements + 1]);
        }
        let indices = selection.elements.iter().map(|e| e.map_or(elements as i64, i64::from)).collect();
        let indices = self.integers(indices);
        let count = selection.elements.len();
        let gathered = self.push(name, "Gather", &[&x.name, &indices], vec![int("axis", 1)], vec![count]);
        self.reshaped(gathered, dims_of(selection.shape))
    }
}

/// For each channel a power of two, and the coefficients of the polynomial in `x` times that: none larger
/// than about one, but the constant.
fn balanced(polynomial: &Polynomial) -> (Vec<f64>, Vec<Vec<f64>>) {
    let channels = polynomial.coefficients[0].len();
    let mut coefficients = polynomial.coefficients.clone();
    let scale: Vec<f64> = (0..channels)
        .map(|channel| {
            let powers = coefficients.iter().enumerate().skip(2);
            let root = powers.map(|(k, c)| c[channel].abs().powf(1.0 / k as f64)).fold(0.0, f64::max);
            if root > 0.0 && root.is_finite() { root.log2().round().clamp(-60.0, 60.0).exp2() } else { 1.0 }
        })
        .collect();
    if polynomial.degree() <= 2 {
        return (vec![1.0; channels], coefficients);
    }
    for (power, values) in coefficients.iter_mut().enumerate() {
        values.iter_mut().zip(&scale).for_each(|(value, s)| *value /= s.powi(power as i32));
    }
    (scale, coefficients)
}

fn no_polynomial(node: &Node) -> Error {
    Error::Form {
        operator: node.operator.name().into(),
        node: node.name.clone(),
        expected: "polynomials and average pools in a network that is written: fit it first".into(),
        actual: "an operator that is no polynomial".into(),
    }
}

/// The dimensions of a tensor after the batch: one where it is a vector.
fn dims_of(shape: Shape) -> Vec<usize> {
    if shape.is_vector() { vec![shape.channels] } else { vec![shape.channels, shape.height, shape.width] }
}

fn declared(name: &str, dims: &[usize]) -> proto::ValueInfo {
    let batch = proto::Dimension { dim_param: Some("batch".into()), dim_value: None };
    let fixed = |d: &usize| proto::Dimension { dim_value: Some(*d as i64), dim_param: None };
    let dim = std::iter::once(batch).chain(dims.iter().map(fixed)).collect();
    let shape = Some(proto::TensorShape { dim });
    let tensor_type = Some(proto::TensorType { elem_type: data_type::FLOAT, shape });
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type }) }
}

fn int(name: &str, value: usize) -> proto::Attribute {
    let (name, i) = (name.into(), value as i64);
    proto::Attribute { name, i, r#type: attribute_type::INT, ..Default::default() }
}

fn ints(name: &str, values: &[usize]) -> proto::Attribute {
    let (name, ints) = (name.into(), values.iter().map(|v| *v as i64).collect());
    proto::Attribute { name, ints, r#type: attribute_type::INTS, ..Default::default() }
}

fn pads(padding: crate::Padding) -> proto::Attribute {
    ints("pads", &[padding.top, padding.left, padding.bottom, padding.right])
}

#[cfg(test)]
mod tests;
