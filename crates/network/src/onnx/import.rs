//! The walk over the nodes.
//!
//! A name stands for a value: a constant, or a tensor that depends on the input. Such a tensor is a
//! polynomial, element by element, in a node of the graph; it becomes a node of its own once something else
//! than arithmetic on that same node reads it. Nothing ever changes a node that is there.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::array::{Array, broadcast, broadcast_places};
use super::node::Node;
use super::polynomial::Polynomial;
use super::proto::{self, attribute_type, data_type};
use super::tensor::Constant;
use super::value::{FinalValue, Tensor, Value};
use crate::error::check_finite;
use crate::layer::product;
use crate::{Error, FinalActivation, Graph, Operator, Selection, Shape, Source, clean, limits};

/// The oldest operator set whose element-wise operators broadcast as today's do.
const OLDEST_OPERATOR_SET: i64 = 7;
/// How many of a node's polynomials are remembered, so that the same one again is no new node.
const REMEMBERED: usize = 16;
/// How many remarks on a file are kept.
const MOST_REMARKS: usize = 64;

/// What a file holds.
pub(crate) struct Imported {
    /// It passes [`Graph::shapes`].
    pub graph: Graph,
    /// What the client applies to the scores.
    pub output: FinalActivation,
    /// The names of the classes, where the operators tell them.
    pub labels: Option<Vec<String>>,
    /// What was read otherwise than it stands there.
    pub remarks: Vec<String>,
}

/// What a model holds that was decoded from a file of so many bytes.
pub(crate) fn import(model: &proto::Model, bytes: usize) -> Result<Imported, Error> {
    let Some(graph) = &model.graph else {
        return Err(Error::NotOnnx { reason: "it holds no graph".into() });
    };
    let operator_set = check_operator_set(model)?;
    let mut importer = Importer::new(graph, operator_set, bytes)?;
    for (index, node) in graph.node.iter().enumerate() {
        importer.node(&Node::new(node, index))?;
    }
    importer.finish(graph)
}

/// The version of ONNX's own operators.
pub(super) fn check_operator_set(model: &proto::Model) -> Result<i64, Error> {
    let own = model.opset_import.iter().find(|o| o.domain.is_empty() || o.domain == "ai.onnx");
    match own.map(|o| o.version) {
        Some(version) if version >= OLDEST_OPERATOR_SET => Ok(version),
        other => Err(Error::Mismatch {
            what: "ONNX operator set".into(),
            expected: format!("{OLDEST_OPERATOR_SET} or newer"),
            actual: other.map_or("none".into(), |v| v.to_string()),
        }),
    }
}

pub(super) struct Importer<'a> {
    values: HashMap<&'a str, Value<'a>>,
    /// What only the end of the network may have.
    pub(super) finals: HashMap<&'a str, FinalValue>,
    /// Which tensors were compared with which numbers, by the results' names.
    pub(super) comparisons: HashMap<&'a str, (Rc<Tensor>, f64)>,
    /// The names of the classes, where a node tells them.
    pub(super) labels: Option<Vec<String>>,
    remarks: Vec<String>,
    /// The version of ONNX's own operators.
    pub(super) operator_set: i64,
    /// What nodes make, earlier and later.
    made: HashSet<&'a str>,
    graph: Graph,
    shapes: Vec<Shape>,
    /// The nodes that are polynomials in others.
    settled: HashMap<Source, Vec<(Polynomial, Source)>>,
    /// Weights and coefficients taken so far, and the most that may be.
    parameters: usize,
    most_parameters: usize,
    /// Elements of all outputs so far.
    elements: usize,
}

impl<'a> Importer<'a> {
    pub(super) fn new(graph: &'a proto::Graph, operator_set: i64, bytes: usize) -> Result<Self, Error> {
        let mut values = HashMap::new();
        for tensor in &graph.initializer {
            if values.insert(tensor.name.as_str(), Value::Constant(Constant::Tensor(tensor))).is_some() {
                return Err(Error::NotOnnx {
                    reason: format!("two initialisers are called {:?}", tensor.name),
                });
            }
        }
        let inputs: Vec<_> = graph.input.iter().filter(|i| !values.contains_key(i.name.as_str())).collect();
        let &[input] = inputs.as_slice() else {
            return Err(count("inputs", inputs.iter().map(|i| i.name.as_str())));
        };
        let dims = declared_input(input)?;
        let shape = shape_of(&dims);
        let (source, made_by, polynomial) = (Source::Input, input.name.clone(), Polynomial::identity());
        values.insert(&input.name, Value::Tensor(Rc::new(Tensor { source, dims, polynomial, made_by })));
        Ok(Self {
            values,
            finals: HashMap::new(),
            comparisons: HashMap::new(),
            labels: None,
            remarks: vec![],
            operator_set,
            made: graph.node.iter().flat_map(|n| &n.output).map(String::as_str).collect(),
            graph: Graph { input: shape, nodes: vec![], output: source },
            shapes: vec![],
            settled: HashMap::new(),
            parameters: 0,
            most_parameters: limits::PARAMETERS.min(bytes.saturating_add(limits::PARAMETERS_BESIDE_BYTES)),
            elements: 0,
        })
    }

    /// What the file holds, once all nodes are walked.
    pub(super) fn finish(mut self, graph: &'a proto::Graph) -> Result<Imported, Error> {
        let outputs: Vec<_> = graph.output.iter().collect();
        let FinalValue { scores, activation, .. } = self.scores(&outputs)?;
        self.graph.output = self.settle(&scores)?;
        if let ([output], FinalActivation::None) = (&outputs[..], activation) {
            check_declared_output(output, &scores.dims)?;
        }
        self.graph.shapes()?;
        let clean::Cleaned { graph, output, channels_last } =
            clean::cleaned(self.graph, &self.shapes, activation);
        if channels_last {
            self.remarks.push("channels come last in the file's images, and first here".into());
        }
        graph.shapes()?;
        Ok(Imported { graph, output, labels: self.labels, remarks: self.remarks })
    }

    /// Of a file that cannot be read as a whole: what is wrong with its outputs, where those are `known`, and
    /// the nodes that were read.
    pub(super) fn abandon(
        mut self,
        graph: &'a proto::Graph,
        known: bool,
    ) -> (Option<Error>, Vec<crate::Node>) {
        if !known {
            return (None, self.graph.nodes);
        }
        let outputs: Vec<_> = graph.output.iter().collect();
        let found =
            self.scores(&outputs).and_then(|found| Ok((self.settle(&found.scores)?, found.activation)));
        match found {
            Err(error) => (Some(error), self.graph.nodes),
            Ok((scores, activation)) => {
                self.graph.output = scores;
                (None, clean::cleaned(self.graph, &self.shapes, activation).graph.nodes)
            }
        }
    }

    /// Appends a node that makes nothing and has a shape, for [`super::examine`].
    pub(super) fn push_shape(&mut self, name: &str, shape: Shape) -> Result<Source, Error> {
        shape.check(name)?;
        self.count_elements(shape)?;
        self.shapes.push(shape);
        let (name, operator) = (name.to_string(), Operator::Concat);
        self.graph.nodes.push(crate::Node { name, operator, inputs: vec![] });
        Ok(Source::Node(self.graph.nodes.len() - 1))
    }

    fn count_elements(&mut self, shape: Shape) -> Result<(), Error> {
        self.elements = self.elements.saturating_add(shape.elements());
        let what = || "elements of all layers' outputs".into();
        limits::check(what, self.elements as u64, limits::TOTAL_ELEMENTS as u64)
    }

    /// Says something of how the file is read, once.
    pub(super) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) && self.remarks.len() < MOST_REMARKS {
            self.remarks.push(remark);
        }
    }

    /// A node of the graph so far.
    pub(super) fn graph_node(&self, index: usize) -> &crate::Node {
        &self.graph.nodes[index]
    }

    /// The shape of the input, or of a node of the graph so far.
    pub(super) fn source_shape(&self, source: Source) -> Shape {
        self.graph.shape(source, &self.shapes)
    }

    /// What a name stands for.
    pub(super) fn value_of(&self, name: &str) -> Option<Value<'a>> {
        self.values.get(name).cloned()
    }

    /// Refuses a name that stands for something already.
    pub(super) fn check_new(&self, name: &str) -> Result<(), Error> {
        match self.values.contains_key(name) || self.finals.contains_key(name) {
            false => Ok(()),
            true => Err(Error::NotOnnx { reason: format!("two nodes or initialisers make {name:?}") }),
        }
    }

    /// Binds a node's first output.
    pub(super) fn bind(&mut self, node: &Node<'a>, value: Value<'a>) -> Result<(), Error> {
        self.bind_name(node.output()?, value)
    }

    /// Binds a name to a value.
    pub(super) fn bind_name(&mut self, name: &'a str, value: Value<'a>) -> Result<(), Error> {
        self.check_new(name)?;
        self.values.insert(name, value);
        Ok(())
    }

    /// Binds a node's output to an array of numbers.
    pub(super) fn bind_array(&mut self, node: &Node<'a>, array: Array) -> Result<(), Error> {
        self.reserve(array.elements())?;
        self.bind(node, Value::Constant(Constant::Computed(Rc::new(array))))
    }

    /// What the input at `index` stands for.
    pub(super) fn value(&self, node: &Node<'a>, index: usize) -> Result<Value<'a>, Error> {
        let tensor = node.input(index)?;
        self.values.get(tensor).cloned().ok_or_else(|| self.missing(&node.name, tensor))
    }

    /// The error that nothing before makes a tensor.
    pub(super) fn missing(&self, node: &str, tensor: &str) -> Error {
        let (node, tensor) = (node.to_string(), tensor.to_string());
        if self.made.contains(tensor.as_str()) && !self.values.contains_key(tensor.as_str()) {
            return Error::Order { node, tensor };
        }
        Error::MissingTensor { node, tensor }
    }

    /// The constant at input `index`.
    pub(super) fn constant(&self, node: &Node<'a>, index: usize) -> Result<Constant<'a>, Error> {
        match self.value(node, index)? {
            Value::Constant(constant) => Ok(constant),
            Value::Tensor(_) => {
                Err(node
                    .form(format!("a constant as input {}", index + 1), "a tensor that depends on the image"))
            }
        }
    }

    /// The integers at input `index`, where that is given.
    pub(super) fn integers(&self, node: &Node<'a>, index: usize) -> Result<Option<Vec<i64>>, Error> {
        let Some(name) = node.optional_input(index) else { return Ok(None) };
        self.constant(node, index)?.integers(name).map(Some)
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

    /// The tensor at input `index`.
    pub(super) fn tensor(&self, node: &Node<'a>, index: usize) -> Result<Rc<Tensor>, Error> {
        match self.value(node, index)? {
            Value::Tensor(tensor) => Ok(tensor),
            Value::Constant(_) => {
                Err(node
                    .form(format!("a tensor that depends on the image as input {}", index + 1), "a constant"))
            }
        }
    }

    /// The node that the tensor at input `index` is, and its dimensions.
    pub(super) fn read(&mut self, node: &Node<'a>, index: usize) -> Result<(Source, Vec<usize>), Error> {
        let tensor = self.tensor(node, index)?;
        Ok((self.settle(&tensor)?, tensor.dims.clone()))
    }

    /// The node that a tensor is, made if there is none yet.
    pub(super) fn settle(&mut self, tensor: &Tensor) -> Result<Source, Error> {
        if tensor.polynomial.is_identity() {
            return Ok(tensor.source);
        }
        let known = self.settled.entry(tensor.source).or_default();
        if let Some((_, source)) = known.iter().find(|(polynomial, _)| *polynomial == tensor.polynomial) {
            return Ok(*source);
        }
        let channels = shape_of(&tensor.dims).channels;
        self.reserve(channels.saturating_mul(tensor.polynomial.degree() + 1))?;
        let operator = tensor.polynomial.operator(channels);
        let source = self.push(&tensor.made_by, operator, vec![tensor.source])?;
        let known = self.settled.entry(tensor.source).or_default();
        if known.len() < REMEMBERED {
            known.push((tensor.polynomial.clone(), source));
        }
        Ok(source)
    }

    /// Appends a node.
    pub(super) fn push(
        &mut self,
        name: &str,
        operator: Operator,
        inputs: Vec<Source>,
    ) -> Result<Source, Error> {
        let from: Vec<Shape> = inputs.iter().map(|source| self.graph.shape(*source, &self.shapes)).collect();
        let shape = operator.output_shape(name, &from)?;
        self.count_elements(shape)?;
        self.shapes.push(shape);
        self.graph.nodes.push(crate::Node { name: name.to_string(), operator, inputs });
        Ok(Source::Node(self.graph.nodes.len() - 1))
    }

    /// Appends a node that reads one tensor, and binds the ONNX node's output to it.
    pub(super) fn push_bound(
        &mut self,
        node: &Node<'a>,
        operator: Operator,
        inputs: Vec<Source>,
        dims: impl FnOnce(Shape) -> Vec<usize>,
    ) -> Result<(), Error> {
        let source = self.push(&node.name, operator, inputs)?;
        let dims = dims(self.graph.shape(source, &self.shapes));
        self.bind_source(node, source, dims)
    }

    /// Binds a node's output to a node of the graph.
    pub(super) fn bind_source(
        &mut self,
        node: &Node<'a>,
        source: Source,
        dims: Vec<usize>,
    ) -> Result<(), Error> {
        self.bind_polynomial(node, source, dims, Polynomial::identity())
    }

    /// Binds a node's output to a polynomial in a node of the graph.
    pub(super) fn bind_polynomial(
        &mut self,
        node: &Node<'a>,
        source: Source,
        dims: Vec<usize>,
        polynomial: Polynomial,
    ) -> Result<(), Error> {
        let made_by = node.name.clone();
        self.bind(node, Value::Tensor(Rc::new(Tensor { source, dims, polynomial, made_by })))
    }

    /// Appends the elements of `source` at these places, zero where there is none.
    pub(super) fn select(
        &mut self,
        name: &str,
        source: Source,
        dims: &[usize],
        places: impl FnOnce() -> Vec<Option<usize>>,
    ) -> Result<Source, Error> {
        let shape = shape_of(dims);
        shape.check(name)?;
        self.count_elements(shape)?;
        let elements = places().into_iter().map(|place| place.map(|p| p as u32)).collect();
        self.push(name, Operator::Selection(Selection { shape, elements }), vec![source])
    }

    /// Counts weights and coefficients before memory is taken for them.
    pub(super) fn reserve(&mut self, parameters: usize) -> Result<(), Error> {
        self.parameters = self.parameters.saturating_add(parameters);
        let what = || "weights and coefficients of the model, by its file's size".into();
        limits::check(what, self.parameters as u64, self.most_parameters as u64)
    }

    /// A constant that is one number or one for each channel of a tensor of these dimensions.
    pub(super) fn per_channel(
        &mut self,
        node: &Node<'a>,
        name: &str,
        constant: &Constant<'a>,
        tensor: &[usize],
    ) -> Result<Polynomial, Error> {
        let dims = constant.dims(name)?;
        if !is_per_channel(&dims, tensor) {
            let channels = tensor.first().copied().unwrap_or(1);
            let expected = format!(
                "{name:?} to be a number, or one for each of {channels} channels, or for each element"
            );
            return Err(node.form(expected, format!("dimensions {dims:?}")));
        }
        self.reserve(product(&dims))?;
        Ok(Polynomial::constant(constant.floats(name)?))
    }

    /// Element-wise arithmetic of two operands: `Add`, `Sub` or `Mul`.
    pub(super) fn arithmetic(&mut self, node: &Node<'a>, operation: &str) -> Result<(), Error> {
        let values = [self.value(node, 0)?, self.value(node, 1)?];
        match &values {
            [Value::Constant(a), Value::Constant(b)] => {
                let arrays = [(a, 0), (b, 1)].map(|(c, index)| c.array(node.input(index)?));
                let [a, b] = arrays;
                let (a, b) = (a?, b?);
                self.reserve(broadcast(&a.dims, &b.dims).map_or(0, |dims| product(&dims)))?;
                let fits = || node.form("two constants of one type and of dimensions that fit", "others");
                let result = a.combined(&b, operation).ok_or_else(fits)?;
                self.bind_array(node, result)
            }
            [Value::Tensor(x), Value::Constant(c)] => self.with_constant(node, x, c, 1, operation),
            [Value::Constant(c), Value::Tensor(x)] => self.with_constant(node, x, c, 0, operation),
            [Value::Tensor(x), Value::Tensor(y)] => {
                let degree = x.polynomial.degree() + y.polynomial.degree();
                let same = x.source == y.source && x.dims == y.dims;
                if same && !(operation == "Mul" && degree > Polynomial::MAX_DEGREE) {
                    return self.combine(node, x, &x.polynomial, &y.polynomial, operation);
                }
                self.of_two(node, x, y, operation)
            }
        }
    }

    /// Binds a node's output to `operation` of two polynomials in what `x` is a polynomial in.
    pub(super) fn combine(
        &mut self,
        node: &Node<'a>,
        x: &Tensor,
        left: &Polynomial,
        right: &Polynomial,
        operation: &str,
    ) -> Result<(), Error> {
        let coefficients = match operation {
            "Mul" => left.coefficients().saturating_mul(right.coefficients()),
            _ => left.coefficients() + right.coefficients(),
        };
        // What is multiplied is bounded, and what is kept counted below.
        limits::check(|| format!("work on coefficients of {}", node.name), coefficients as u64, 1 << 36)?;
        let result = match operation {
            "Add" => left.add(right),
            "Sub" => left.add(&right.negated()),
            _ => left.multiply(right),
        };
        self.bind_checked(node, x, result)
    }

    /// Binds a node's output to a polynomial in what `x` is a polynomial in.
    pub(super) fn bind_checked(
        &mut self,
        node: &Node<'a>,
        x: &Tensor,
        result: Polynomial,
    ) -> Result<(), Error> {
        self.reserve(result.coefficients())?;
        result.values().try_for_each(|v| check_finite(&format!("coefficients of {}", node.name), v))?;
        self.bind_polynomial(node, x.source, x.dims.clone(), result)
    }

    /// The sum, difference or product of two tensors.
    fn of_two(&mut self, node: &Node<'a>, x: &Tensor, y: &Tensor, operation: &str) -> Result<(), Error> {
        let mut sources = [self.settle(x)?, self.settle(y)?];
        if operation != "Mul" {
            self.check_alike(node, x, y)?;
            if operation == "Sub" {
                let negated = Tensor { polynomial: y.polynomial.negated(), ..y.clone() };
                sources[1] = self.settle(&Tensor { made_by: node.name.clone(), ..negated })?;
            }
            return self.push_bound(node, Operator::Sum, sources.to_vec(), |_| x.dims.clone());
        }
        if sources[0] == sources[1] {
            let square = Polynomial::identity().multiply(&Polynomial::identity());
            return self.bind_checked(node, &Tensor { source: sources[0], ..x.clone() }, square);
        }
        let dims = broadcast(&x.dims, &y.dims).filter(|_| x.dims.len() == y.dims.len());
        let Some(dims) = dims else { return Err(unequal(node, x, y)) };
        for (source, own) in sources.iter_mut().zip([&x.dims, &y.dims]) {
            if *own != dims {
                let places = || broadcast_places(own, &dims).into_iter().map(Some).collect();
                *source = self.select(&node.name, *source, &dims, places)?;
            }
        }
        self.push_bound(node, Operator::Product, sources.to_vec(), |_| dims)
    }

    fn check_alike(&self, node: &Node<'a>, x: &Tensor, y: &Tensor) -> Result<(), Error> {
        if x.dims == y.dims { Ok(()) } else { Err(unequal(node, x, y)) }
    }
}

/// Whether a constant of these dimensions is one number, or one for each channel of a tensor.
pub(super) fn is_per_channel(constant: &[usize], tensor: &[usize]) -> bool {
    let channels = tensor.first().copied().unwrap_or(1);
    // Broadcasting aligns dimensions at the end: channels lie as far from it as the tensor has dimensions.
    let from_end = tensor.len().saturating_sub(1);
    let fits = constant.iter().rev().enumerate().all(|(i, &d)| d == 1 || (i == from_end && d == channels));
    constant.len() <= tensor.len() + 1 && fits
}

fn unequal(node: &Node<'_>, x: &Tensor, y: &Tensor) -> Error {
    let spelled = |dims: &[usize]| format!("{:?}", [&[1], dims].concat());
    let expected = format!("two tensors of one shape, {} (a projection makes them equal)", spelled(&x.dims));
    node.form(expected, spelled(&y.dims))
}

pub(super) fn count<'n>(what: &str, names: impl ExactSizeIterator<Item = &'n str>) -> Error {
    let actual = names.len();
    let some: Vec<_> = names.take(8).map(|name| format!("{name:?}")).collect();
    let names = if some.is_empty() { String::new() } else { format!(" ({})", some.join(", ")) };
    Error::Mismatch {
        what: format!("{what} of the network"),
        expected: "1 (export the part of the model from one image to its scores)".into(),
        actual: format!("{actual}{names}"),
    }
}

/// The dimensions that a file declares; a symbolic one is none.
pub(super) fn declared(value: &proto::ValueInfo) -> Option<Vec<Option<i64>>> {
    let shape = value.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    Some(shape.dim.iter().map(|d| d.dim_value).collect())
}

/// The declared dimensions as a reader would write them.
fn spelled(dims: &[Option<i64>]) -> String {
    let dims: Vec<_> = dims.iter().take(8).map(|d| d.map_or("?".into(), |d| d.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

/// The input's dimensions after the batch.
fn declared_input(input: &proto::ValueInfo) -> Result<Vec<usize>, Error> {
    let what = format!("input {:?}", input.name);
    let element = input.r#type.as_ref().and_then(|t| t.tensor_type.as_ref()).map_or(0, |t| t.elem_type);
    if ![data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16, data_type::BFLOAT16].contains(&element) {
        let (expected, actual) =
            ("a tensor of floats or doubles".into(), format!("ONNX data type {element}"));
        return Err(Error::Mismatch { what, expected, actual });
    }
    let dims = declared(input).unwrap_or_default();
    let sizes: Option<Vec<usize>> = dims.iter().skip(1).map(|d| usize::try_from((*d)?).ok()).collect();
    match (dims.first(), sizes) {
        (Some(None | Some(1)), Some(sizes)) if (1..=3).contains(&sizes.len()) => {
            shape_of(&sizes).check(&what)?;
            Ok(sizes)
        }
        _ => {
            let expected =
                "[batch, channels, height, width], [batch, channels, length] or [batch, values], batch 1 or symbolic, \
                 the rest fixed"
                    .into();
            Err(Error::Mismatch { what, expected, actual: spelled(&dims) })
        }
    }
}

/// The shape of a tensor of these dimensions after the batch: a row of a single channel's length is an image
/// of height 1.
pub(super) fn shape_of(dims: &[usize]) -> Shape {
    match *dims {
        [] => Shape::vector(1),
        [n] => Shape::vector(n),
        [channels, length] => Shape::new(channels, 1, length),
        [channels, height, ref rest @ ..] => Shape::new(channels, height, product(rest)),
    }
}

/// Refuses an output whose declared dimensions are not those computed.
fn check_declared_output(output: &proto::ValueInfo, dims: &[usize]) -> Result<(), Error> {
    let Some(declared) = declared(output) else { return Ok(()) };
    let computed = [&[1], dims].concat();
    let fits = declared.iter().zip(&computed).all(|(d, &c)| d.is_none_or(|d| usize::try_from(d) == Ok(c)));
    if fits && declared.len() == computed.len() {
        return Ok(());
    }
    let (expected, actual) = (format!("{computed:?}, as the layers compute"), spelled(&declared));
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
