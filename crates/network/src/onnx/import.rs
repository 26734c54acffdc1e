//! The walk over the nodes.

use std::collections::HashMap;
use std::rc::Rc;

use super::node::Node;
use super::polynomial::Polynomial;
use super::proto::{self, attribute_type, data_type};
use super::tensor::Constant;
use crate::error::check_finite;
use crate::layer::{Bias, product};
use crate::{Error, Graph, Layer, LayerKind, Shape, limits};

/// The oldest operator set whose element-wise operators broadcast as today's do.
const OLDEST_OPERATOR_SET: i64 = 7;

/// The graph of a model, decoded from a file of so many bytes. It passes [`Graph::shapes`].
pub(crate) fn import(model: &proto::Model, bytes: usize) -> Result<Graph, Error> {
    let Some(graph) = &model.graph else {
        return Err(Error::NotOnnx { reason: "it holds no graph".into() });
    };
    check_operator_set(model)?;
    let mut importer = Importer::new(graph, bytes)?;
    for (index, node) in graph.node.iter().enumerate() {
        importer.node(&Node::new(node, index))?;
    }
    let imported = importer.finish(graph)?;
    imported.shapes()?;
    Ok(imported)
}

fn check_operator_set(model: &proto::Model) -> Result<(), Error> {
    let own = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    match own.map(|o| o.version) {
        Some(version) if version >= OLDEST_OPERATOR_SET => Ok(()),
        other => Err(Error::Mismatch {
            what: "ONNX operator set".into(),
            expected: format!("{OLDEST_OPERATOR_SET} or newer"),
            actual: other.map_or("none".into(), |v| v.to_string()),
        }),
    }
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Value<'a> {
    Constant(Constant<'a>),
    Activation(Rc<Activation>),
}

/// A tensor that depends on the input: a polynomial, element by element, in the output of a layer.
pub(super) struct Activation {
    /// How many layers lie before it.
    depth: usize,
    polynomial: Polynomial,
    /// The node that made it.
    made_by: String,
}

pub(super) struct Importer<'a> {
    values: HashMap<&'a str, Value<'a>>,
    /// How often each name is read.
    uses: HashMap<&'a str, usize>,
    input: Shape,
    layers: Vec<Layer>,
    /// The shape of the last layer's output.
    pub(super) shape: Shape,
    /// Whether that is of rank 2 (batch, elements) rather than 4 (batch, channels, height, width).
    pub(super) flat: bool,
    /// Weights and coefficients taken so far, and the most that may be.
    parameters: usize,
    most_parameters: usize,
}

impl<'a> Importer<'a> {
    fn new(graph: &'a proto::Graph, bytes: usize) -> Result<Self, Error> {
        let mut values = HashMap::new();
        for tensor in &graph.initializer {
            if values.insert(tensor.name.as_str(), Value::Constant(Constant::Tensor(tensor))).is_some() {
                return Err(Error::NotOnnx {
                    reason: format!("two initialisers are called {:?}", tensor.name),
                });
            }
        }
        let inputs: Vec<_> = graph.input.iter().filter(|i| !values.contains_key(i.name.as_str())).collect();
        let &[input] = inputs.as_slice() else { return Err(count("inputs", inputs.len())) };
        let (shape, flat) = declared_input(input)?;
        let made_by = input.name.clone();
        let start = Activation { depth: 0, polynomial: Polynomial::identity(), made_by };
        values.insert(&input.name, Value::Activation(Rc::new(start)));
        let most_parameters = limits::PARAMETERS.min(bytes.saturating_add(limits::PARAMETERS_BESIDE_BYTES));
        let mut uses = HashMap::new();
        for name in graph.node.iter().flat_map(|n| &n.input).chain(graph.output.iter().map(|o| &o.name)) {
            *uses.entry(name.as_str()).or_default() += 1;
        }
        Ok(Self { values, uses, input: shape, layers: vec![], shape, flat, parameters: 0, most_parameters })
    }

    /// The graph, once all nodes are walked.
    fn finish(mut self, graph: &'a proto::Graph) -> Result<Graph, Error> {
        let [output] = graph.output.as_slice() else { return Err(count("outputs", graph.output.len())) };
        let Some(Value::Activation(scores)) = self.values.get(output.name.as_str()).cloned() else {
            return Err(Error::MissingTensor { node: "(the output)".into(), tensor: output.name.clone() });
        };
        self.settle("(the output)", &output.name, &scores)?;
        check_declared_output(output, self.shape, self.flat)?;
        Ok(Graph { input: self.input, layers: self.layers })
    }

    /// Binds a node's output.
    pub(super) fn bind(&mut self, node: &Node<'a>, value: Value<'a>) -> Result<(), Error> {
        let name = node.output()?;
        match self.values.insert(name, value) {
            None => Ok(()),
            Some(_) => Err(Error::NotOnnx { reason: format!("two nodes or initialisers make {name:?}") }),
        }
    }

    /// What the input at `index` stands for.
    pub(super) fn value(&self, node: &Node<'a>, index: usize) -> Result<Value<'a>, Error> {
        let tensor = node.input(index)?;
        let missing = || Error::MissingTensor { node: node.name.clone(), tensor: tensor.to_string() };
        self.values.get(tensor).cloned().ok_or_else(missing)
    }

    /// The constant at input `index`.
    pub(super) fn constant(&self, node: &Node<'a>, index: usize) -> Result<Constant<'a>, Error> {
        match self.value(node, index)? {
            Value::Constant(constant) => Ok(constant),
            Value::Activation(_) => {
                Err(node
                    .form(format!("a constant as input {}", index + 1), "a tensor that depends on the image"))
            }
        }
    }

    /// The numbers of the constant at input `index`, whose dimensions must be `dims`.
    pub(super) fn floats(
        &mut self,
        node: &Node<'a>,
        index: usize,
        dims: &[usize],
    ) -> Result<Vec<f64>, Error> {
        let constant = self.constant(node, index)?;
        let name = node.input(index)?;
        let actual = constant.dims(name)?;
        if actual != dims {
            return Err(node.form(format!("{name:?} of dimensions {dims:?}"), format!("{actual:?}")));
        }
        self.reserve(product(dims))?;
        constant.floats(name)
    }

    /// Makes the output of the last layer what the activation at input `index` is, for a layer that reads it.
    pub(super) fn read(&mut self, node: &Node<'a>, index: usize) -> Result<(), Error> {
        match self.value(node, index)? {
            Value::Activation(activation) => self.settle(&node.name, node.input(index)?, &activation),
            Value::Constant(_) => {
                Err(node
                    .form(format!("a tensor that depends on the image as input {}", index + 1), "a constant"))
            }
        }
    }

    /// Appends the layer that `activation`'s polynomial is, if any; refuses one that is not at the chain's end.
    fn settle(&mut self, reader: &str, tensor: &str, activation: &Activation) -> Result<(), Error> {
        self.check_end(reader, tensor, activation)?;
        if activation.polynomial.is_identity() {
            return Ok(());
        }
        let kind = activation.polynomial.layer(self.shape.channels);
        self.reserve(kind.parameters())?;
        self.push(&activation.made_by, kind)
    }

    fn check_end(&self, reader: &str, tensor: &str, activation: &Activation) -> Result<(), Error> {
        let (depth, layers) = (activation.depth, self.layers.len());
        if depth == layers {
            return Ok(());
        }
        let why = format!("lies after {depth} layers where {layers} have been read already (a branch)");
        Err(Error::NotSequential { node: reader.into(), tensor: tensor.into(), why })
    }

    /// Appends a layer.
    pub(super) fn push(&mut self, name: &str, kind: LayerKind) -> Result<(), Error> {
        let layer = Layer { name: name.to_string(), kind };
        self.shape = layer.output_shape(self.shape)?;
        self.layers.push(layer);
        Ok(())
    }

    /// Binds a node's output to the output of the last layer.
    pub(super) fn bind_last(&mut self, node: &Node<'a>) -> Result<(), Error> {
        self.bind_polynomial(node, Polynomial::identity())
    }

    fn bind_polynomial(&mut self, node: &Node<'a>, polynomial: Polynomial) -> Result<(), Error> {
        let activation = Activation { depth: self.layers.len(), polynomial, made_by: node.name.clone() };
        self.bind(node, Value::Activation(Rc::new(activation)))
    }

    /// Counts weights and coefficients before memory is taken for them.
    pub(super) fn reserve(&mut self, parameters: usize) -> Result<(), Error> {
        self.parameters = self.parameters.saturating_add(parameters);
        let what = || "weights and coefficients of the model, by its file's size".into();
        limits::check(what, self.parameters as u64, self.most_parameters as u64)
    }

    /// An operand of element-wise arithmetic as a polynomial in the last layer's output.
    fn operand(&mut self, node: &Node<'a>, index: usize) -> Result<Polynomial, Error> {
        let name = node.input(index)?;
        match self.value(node, index)? {
            Value::Activation(activation) => {
                self.check_end(&node.name, name, &activation)?;
                Ok(activation.polynomial.clone())
            }
            Value::Constant(constant) => Ok(Polynomial::constant(self.per_channel(node, name, &constant)?)),
        }
    }

    /// A constant that is one number or one for each channel of the last layer's output.
    fn per_channel(
        &mut self,
        node: &Node<'a>,
        name: &str,
        constant: &Constant<'a>,
    ) -> Result<Vec<f64>, Error> {
        let dims = constant.dims(name)?;
        let (rank, channels) = (if self.flat { 2 } else { 4 }, self.shape.channels);
        // Broadcasting aligns dimensions at the end: channels lie last of two, or two before the end of four.
        let from_end = if self.flat { 0 } else { 2 };
        let fits = dims.iter().rev().enumerate().all(|(i, &d)| d == 1 || (i == from_end && d == channels));
        if dims.len() > rank || !fits {
            let expected = format!("{name:?} to be a number, or one for each of {channels} channels");
            return Err(node.form(expected, format!("dimensions {dims:?}")));
        }
        self.reserve(product(&dims))?;
        constant.floats(name)
    }

    /// Element-wise arithmetic of one or two operands.
    pub(super) fn arithmetic(
        &mut self,
        node: &Node<'a>,
        operation: impl Fn(&Polynomial, &Polynomial) -> Polynomial,
    ) -> Result<(), Error> {
        let [left, right] = [self.operand(node, 0)?, self.operand(node, 1)?];
        self.combine(node, &left, &right, operation)
    }

    /// Binds a node's output to `operation` of two polynomials.
    pub(super) fn combine(
        &mut self,
        node: &Node<'a>,
        left: &Polynomial,
        right: &Polynomial,
        operation: impl Fn(&Polynomial, &Polynomial) -> Polynomial,
    ) -> Result<(), Error> {
        if left.degree() + right.degree() == 0 {
            return Err(node.form("an operand that depends on the image", "two constants"));
        }
        self.reserve(left.coefficients() + right.coefficients())?;
        let result = operation(left, right);
        result.values().try_for_each(|v| check_finite(&format!("coefficients of {}", node.name), v))?;
        if result.degree() > Polynomial::MAX_DEGREE {
            let expected = format!("a polynomial of degree at most {}", Polynomial::MAX_DEGREE);
            return Err(node.form(expected, format!("degree {}", result.degree())));
        }
        self.bind_polynomial(node, result)
    }

    /// The polynomial of the activation at input `index`.
    pub(super) fn polynomial(&mut self, node: &Node<'a>, index: usize) -> Result<Polynomial, Error> {
        self.operand(node, index)
    }

    /// Add: a bias where it follows a linear layer that nothing else reads, arithmetic elsewhere.
    pub(super) fn add(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let [left, right] = [self.operand(node, 0)?, self.operand(node, 1)?];
        for (x, constant, index) in [(&left, &right, 0), (&right, &left, 1)] {
            let read_once = self.uses.get(node.input(index)?) == Some(&1);
            if x.is_identity() && constant.degree() == 0 && read_once && self.add_bias(constant) {
                return self.bind_last(node);
            }
        }
        self.combine(node, &left, &right, Polynomial::add)
    }

    /// Adds a constant to the bias of the last layer, if that has one.
    fn add_bias(&mut self, constant: &Polynomial) -> bool {
        let add = |bias: &mut [f64]| match constant.values().next() {
            Some(&[c]) => bias.iter_mut().for_each(|b| *b += c),
            Some(values) => bias.iter_mut().zip(values).for_each(|(b, c)| *b += c),
            None => {}
        };
        match self.layers.last_mut().map(|l| &mut l.kind) {
            Some(LayerKind::Dense(layer)) => add(&mut layer.bias),
            Some(LayerKind::Convolution(layer)) => match &mut layer.bias {
                Bias::PerChannel(bias) => add(bias),
                Bias::PerElement(_) => return false,
            },
            _ => return false,
        }
        true
    }
}

fn count(what: &str, actual: usize) -> Error {
    Error::Mismatch {
        what: format!("{what} of the network"),
        expected: "1".into(),
        actual: actual.to_string(),
    }
}

/// The dimensions that a file declares; a symbolic one is none.
fn declared(value: &proto::ValueInfo) -> Option<Vec<Option<i64>>> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    Some(shape.dim.iter().map(|d| d.dim_value).collect())
}

/// The declared dimensions as a reader would write them.
fn spelled(dims: &[Option<i64>]) -> String {
    let dims: Vec<_> = dims.iter().take(8).map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

/// The input's shape, and whether it is of rank 2.
fn declared_input(input: &proto::ValueInfo) -> Result<(Shape, bool), Error> {
    let what = format!("input {:?}", input.name);
    let element = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).map_or(0, |t| t.elem_type);
    if ![data_type::FLOAT, data_type::DOUBLE].contains(&element) {
        let (expected, actual) =
            ("a tensor of floats or doubles".into(), format!("ONNX data type {element}"));
        return Err(Error::Mismatch { what, expected, actual });
    }
    let dims = declared(input).unwrap_or_default();
    let sizes: Option<Vec<usize>> = dims.iter().skip(1).map(|d| usize::try_from((*d)?).ok()).collect();
    let (shape, flat) = match (dims.first(), sizes.as_deref()) {
        (Some(None | Some(1)), Some(&[c, h, w])) => (Shape::new(c, h, w), false),
        (Some(None | Some(1)), Some(&[n])) => (Shape::vector(n), true),
        _ => {
            let expected =
                "[batch, channels, height, width] or [batch, values], batch 1 or symbolic, the rest fixed"
                    .into();
            return Err(Error::Mismatch { what, expected, actual: spelled(&dims) });
        }
    };
    shape.check(&what)?;
    Ok((shape, flat))
}

/// Refuses an output whose declared dimensions are not those computed.
fn check_declared_output(output: &proto::ValueInfo, shape: Shape, flat: bool) -> Result<(), Error> {
    let Some(dims) = declared(output) else { return Ok(()) };
    let all = [1, shape.channels, shape.height, shape.width];
    let computed = if flat { &all[..2] } else { &all[..] };
    let fits = dims.iter().zip(computed).all(|(d, &c)| d.is_none_or(|d| usize::try_from(d) == Ok(c)));
    if fits && dims.len() == computed.len() {
        return Ok(());
    }
    let (expected, actual) = (format!("{computed:?}, as the layers compute"), spelled(&dims));
    Err(Error::Mismatch {
        what: format!("declared dimensions of output {:?}", output.name),
        expected,
        actual,
    })
}

/// The value of a Constant node.
pub(super) fn constant_node<'a>(node: &Node<'a>) -> Result<Value<'a>, Error> {
    node.only(0, &["value", "value_float", "value_floats", "value_int", "value_ints"])?;
    let get = |name, kind| node.attribute(name, kind);
    let value = if let Some(a) = get("value", attribute_type::TENSOR)? {
        a.t.as_ref().map(Constant::Tensor)
    } else if let Some(a) = get("value_float", attribute_type::FLOAT)? {
        Some(Constant::Floats { values: std::slice::from_ref(&a.f), scalar: true })
    } else if let Some(a) = get("value_floats", attribute_type::FLOATS)? {
        Some(Constant::Floats { values: &a.floats, scalar: false })
    } else if let Some(a) = get("value_int", attribute_type::INT)? {
        Some(Constant::Integers { values: std::slice::from_ref(&a.i), scalar: true })
    } else {
        get("value_ints", attribute_type::INTS)?
            .map(|a| Constant::Integers { values: &a.ints, scalar: false })
    };
    value.map(Value::Constant).ok_or_else(|| node.form("a constant with a value", "none"))
}
