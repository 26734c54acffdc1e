//! The operators, each into nodes of the graph.

use super::FOR_INFERENCE;
use super::array::{Array, Data};
use super::import::{Importer, constant_node, shape_of};
use super::node::Node;
use super::polynomial::Polynomial;
use super::proto::data_type;
use super::value::Value;
use crate::error::check_finite;
use crate::layer::{Bias, Dense};
use crate::{Error, FinalActivation, Operator, Source};

impl<'a> Importer<'a> {
    /// Walks one node.
    pub(super) fn node(&mut self, node: &Node<'a>) -> Result<(), Error> {
        if let Some(value) = self.final_input(node) {
            return self.after_final(node, value);
        }
        match node.operator().as_str() {
            "Conv" => self.convolution(node),
            "ConvTranspose" => self.transposed_convolution(node),
            "AveragePool" => self.average_pool(node),
            "MaxPool" => self.max_pool(node),
            "GlobalMaxPool" => self.global_max_pool(node),
            "GlobalAveragePool" => self.global_average_pool(node),
            "ReduceMean" | "ReduceSum" | "ReduceMax" => self.reduction(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.matrix_product(node),
            "BatchNormalization" => self.batch_normalization(node),
            "Constant" => self.bind(node, constant_node(node)?),
            "ConstantOfShape" => self.constant_of_shape(node),
            "Dropout" => self.alias(node, 3, &["ratio", "seed"]),
            "Identity" => self.alias(node, 1, &[]),
            "Clip" => self.clip(node),
            "Cast" => self.cast(node),
            "Shape" => self.shape(node),
            "Concat" => self.concatenation(node),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.reshaped(node),
            "Transpose" => self.transpose(node),
            "Slice" => self.slice(node),
            "Split" => self.split(node),
            "Gather" => self.gather(node),
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(node),
            "QuantizeLinear" => self.quantised(node),
            "DequantizeLinear" => self.dequantised(node),
            "Softmax" => self.final_activation(node, FinalActivation::Softmax),
            "LogSoftmax" => self.final_activation(node, FinalActivation::LogSoftmax),
            "ArgMax" => self.final_activation(node, FinalActivation::ArgMax),
            "ai.onnx.ml::Scaler" => self.scaler(node),
            "ai.onnx.ml::LinearClassifier" => self.linear_classifier(node),
            "ai.onnx.ml::LinearRegressor" => self.linear_regressor(node),
            "ai.onnx.ml::ZipMap" => self.class_names(node),
            _ => self.element_wise(node),
        }
    }

    /// Probabilities under the names of their classes.
    fn class_names(&mut self, node: &Node<'a>) -> Result<(), Error> {
        self.class_labels(node, ["classlabels_strings", "classlabels_int64s"])?;
        self.alias(node, 1, &["classlabels_int64s", "classlabels_strings"])
    }

    /// Operators that work element by element.
    fn element_wise(&mut self, node: &Node<'a>) -> Result<(), Error> {
        match node.operator().as_str() {
            operation @ ("Add" | "Sub" | "Mul") => {
                node.only(2, &[])?;
                self.arithmetic(node, operation)
            }
            "Sum" => self.sum(node),
            "Neg" => self.negation(node),
            "Div" => self.quotient(node),
            "Pow" => self.power(node),
            "Sqrt" => self.root(node),
            "Max" => self.extremum(node, true),
            "Min" => self.extremum(node, false),
            _ => self.activation(node),
        }
    }

    /// Operators that change nothing at inference.
    fn alias(&mut self, node: &Node<'a>, inputs: usize, attributes: &[&str]) -> Result<(), Error> {
        node.only(inputs, attributes)?;
        if node.optional_input(2).is_some() {
            return Err(node.form(FOR_INFERENCE, "an input that switches training on"));
        }
        let value = self.value(node, 0)?;
        self.bind(node, value)
    }

    fn cast(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["to", "saturate"])?;
        let to = node.int("to", 0)?;
        let float = [data_type::FLOAT, data_type::DOUBLE, data_type::FLOAT16].map(i64::from).contains(&to);
        let integer = [data_type::INT64, data_type::INT32].map(i64::from).contains(&to);
        match self.value(node, 0)? {
            Value::Tensor(tensor) if float => self.bind(node, Value::Tensor(tensor)),
            Value::Constant(constant) if float || integer => {
                let array = constant.array(node.input(0)?)?;
                let data = match array.data {
                    _ if float => Data::Floats(array.to_floats()),
                    Data::Floats(values) => Data::Integers(values.iter().map(|v| *v as i64).collect()),
                    integers => integers,
                };
                self.bind_array(node, Array { data, ..array })
            }
            _ => {
                Err(node
                    .form("a cast to floats, or of constants to integers", format!("ONNX data type {to}")))
            }
        }
    }

    fn shape(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["start", "end"])?;
        let dims: Vec<usize> = match self.value(node, 0)? {
            Value::Tensor(tensor) => [&[1], tensor.dims.as_slice()].concat(),
            Value::Constant(constant) => constant.dims(node.input(0)?)?,
        };
        let rank = dims.len() as i64;
        let place = |value: i64| if value < 0 { value + rank } else { value }.clamp(0, rank) as usize;
        let (start, end) = (place(node.int("start", 0)?), place(node.int("end", rank)?));
        let values = dims.get(start..end.max(start)).unwrap_or(&[]);
        self.bind_array(node, Array::integers(values.iter().map(|d| *d as i64).collect()))
    }

    fn constant_of_shape(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &["value"])?;
        let dims = self.integers(node, 0)?.unwrap_or_default();
        let dims: Option<Vec<usize>> = dims.into_iter().map(|d| usize::try_from(d).ok()).collect();
        let dims = dims.filter(|d| d.len() <= 8).ok_or_else(|| node.form("a shape", "a negative extent"))?;
        let elements = crate::layer::product(&dims);
        self.reserve(elements)?;
        let data = match node.tensor("value")? {
            None => Data::Floats(vec![0.0; elements]),
            Some(value) => match value.array("value")?.data {
                Data::Floats(v) => Data::Floats(vec![v.first().copied().unwrap_or(0.0); elements]),
                Data::Integers(v) => Data::Integers(vec![v.first().copied().unwrap_or(0); elements]),
            },
        };
        self.bind_array(node, Array { dims, data })
    }

    /// The sum of any number of tensors: each added to those before.
    fn sum(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let inputs = node.proto.input.len();
        node.only(inputs, &[])?;
        let mut sources = vec![];
        let mut dims = None;
        for index in 0..inputs {
            let (source, own) = self.read(node, index)?;
            let first = dims.get_or_insert_with(|| own.clone());
            if *first != own {
                return Err(node.form(format!("tensors of one shape, {first:?}"), format!("{own:?}")));
            }
            sources.push(source);
        }
        let dims = dims.ok_or_else(|| node.form("an input", "none"))?;
        self.push_bound(node, Operator::Sum, sources, |_| dims)
    }

    fn negation(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &[])?;
        match self.value(node, 0)? {
            Value::Tensor(x) => self.bind_checked(node, &x, x.polynomial.negated()),
            Value::Constant(constant) => {
                let Array { dims, data } = constant.array(node.input(0)?)?;
                let data = match data {
                    Data::Floats(values) => Data::Floats(values.iter().map(|v| -v).collect()),
                    Data::Integers(values) => {
                        Data::Integers(values.iter().map(|v| v.wrapping_neg()).collect())
                    }
                };
                self.bind_array(node, Array { dims, data })
            }
        }
    }

    fn quotient(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let (x, divisor) = match (self.value(node, 0)?, self.value(node, 1)?) {
            (Value::Tensor(x), Value::Constant(divisor)) => (x, divisor),
            (Value::Constant(_), Value::Constant(_)) => return self.arithmetic(node, "Div"),
            _ => return Err(node.form("a constant divisor", "one that depends on the image")),
        };
        self.divided(node, &x, &divisor)
    }

    fn power(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let (constant, name) = (self.constant(node, 1)?, node.input(1)?);
        let x = match self.value(node, 0)? {
            Value::Constant(_) => return self.arithmetic(node, "Pow"),
            Value::Tensor(x) => x,
        };
        let exponent = constant.array(name)?;
        let [exponent] = exponent.to_floats()[..] else {
            return Err(node.form("one exponent", format!("dimensions {:?}", exponent.dims)));
        };
        let most = Polynomial::MAX_DEGREE;
        let whole =
            (exponent.fract() == 0.0 && (1.0..=most as f64).contains(&exponent)).then_some(exponent as usize);
        let power = whole
            .ok_or_else(|| node.form(format!("a whole exponent from 1 to {most}"), exponent.to_string()))?;
        match x.polynomial.power(power) {
            Some(result) => self.bind_checked(node, &x, result),
            None => {
                let source = self.settle(&x)?;
                let x = super::value::Tensor { source, polynomial: Polynomial::identity(), ..(*x).clone() };
                let result = x.polynomial.power(power).unwrap_or_else(Polynomial::identity);
                self.bind_checked(node, &x, result)
            }
        }
    }

    /// The square root of a constant.
    fn root(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(1, &[])?;
        let Value::Constant(constant) = self.value(node, 0)? else {
            return Err(Error::Operator { operator: "Sqrt".into(), node: node.name.clone() });
        };
        let Array { dims, data } = constant.array(node.input(0)?)?;
        let values: Vec<f64> = Array { dims: vec![], data }.to_floats().iter().map(|v| v.sqrt()).collect();
        check_finite(&node.name, &values)?;
        self.bind_array(node, Array { dims, data: Data::Floats(values) })
    }

    fn batch_normalization(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(5, &["epsilon", "momentum", "spatial", "training_mode"])?;
        if node.int("training_mode", 0)? != 0 || node.int("spatial", 1)? != 1 {
            return Err(
                node.form(format!("{FOR_INFERENCE}, per channel"), "training_mode or spatial set otherwise")
            );
        }
        let x = self.tensor(node, 0)?;
        let dims = [shape_of(&x.dims).channels];
        let mut input = |index| self.floats(node, index, &dims);
        let (gain, offset, mean, variance) = (input(1)?, input(2)?, input(3)?, input(4)?);
        let epsilon = node.float("epsilon", 1e-5)?;
        let scale: Vec<f64> = gain.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
        let shift: Vec<f64> = offset.iter().zip(&mean).zip(&scale).map(|((o, m), s)| o - m * s).collect();
        check_finite(&node.name, &scale)?;
        check_finite(&node.name, &shift)?;
        let scaled = x.polynomial.multiply(&Polynomial::constant(scale));
        self.bind_checked(node, &x, scaled.add(&Polynomial::constant(shift)))
    }

    fn gemm(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["alpha", "beta", "transA", "transB"])?;
        if node.int("transA", 0)? != 0 {
            return Err(node.form("transA = 0", "a transposed input"));
        }
        let transposed = node.int("transB", 0)? != 0;
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        let (source, mut layer) = self.dense(node, transposed)?;
        if node.optional_input(2).is_some() {
            layer.bias = self.summand(node, layer.rows)?;
        }
        layer.weights.iter_mut().for_each(|w| *w *= alpha);
        layer.bias.iter_mut().for_each(|b| *b *= beta);
        let operator = Operator::Dense(layer);
        operator.values().into_iter().try_for_each(|v| check_finite(&node.name, v))?;
        self.push_bound(node, operator, vec![source], |shape| vec![shape.channels])
    }

    /// Gemm's third input, one number for each of `rows`.
    fn summand(&mut self, node: &Node<'a>, rows: usize) -> Result<Vec<f64>, Error> {
        let dims = self.constant(node, 2)?.dims(node.input(2)?)?;
        match dims.as_slice() {
            [] | [1] | [1, 1] => Ok(vec![self.floats(node, 2, &dims)?[0]; rows]),
            [n] | [1, n] if *n == rows => self.floats(node, 2, &dims),
            other => Err(node.form(format!("a bias of {rows} values"), format!("dimensions {other:?}"))),
        }
    }

    fn matrix_product(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let (source, layer) = self.dense(node, false)?;
        self.push_bound(node, Operator::Dense(layer), vec![source], |shape| vec![shape.channels])
    }

    /// The dense layer, without bias, of the matrix at input 1: `[in, out]`, or `[out, in]` where
    /// `transposed`.
    fn dense(&mut self, node: &Node<'a>, transposed: bool) -> Result<(Source, Dense), Error> {
        let (source, tensor) = self.read(node, 0)?;
        let &[inputs] = tensor.as_slice() else {
            return Err(
                node.form("a flattened tensor (rank 2)", format!("an image of {}", shape_of(&tensor)))
            );
        };
        let dims = self.constant(node, 1)?.dims(node.input(1)?)?;
        let &[first, second] = dims.as_slice() else {
            return Err(node.form("a matrix of rank 2", format!("dimensions {dims:?}")));
        };
        let (rows, columns) = if transposed { (first, second) } else { (second, first) };
        if columns != inputs {
            return Err(node.form(format!("a matrix for {inputs} inputs"), format!("dimensions {dims:?}")));
        }
        let stored = self.floats(node, 1, &dims)?;
        let weights = if transposed {
            stored
        } else {
            (0..rows)
                .flat_map(|r| (0..columns).map(move |c| (r, c)))
                .map(|(r, c)| stored[c * rows + r])
                .collect()
        };
        Ok((source, Dense { rows, columns, weights, bias: vec![0.0; rows] }))
    }

    /// A bias of zeros, or the one at input 2.
    pub(super) fn channel_bias(&mut self, node: &Node<'a>, channels: usize) -> Result<Bias, Error> {
        Ok(Bias::PerChannel(match node.optional_input(2) {
            Some(_) => self.floats(node, 2, &[channels])?,
            None => vec![0.0; channels],
        }))
    }
}
