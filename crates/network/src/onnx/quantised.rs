//! Quantised networks with QuantizeLinear and DequantizeLinear around what is computed: the numbers that
//! weights are stored as become what they stand for, and between the layers nothing is rounded.

use super::array::{Array, Data, broadcast_places};
use super::import::Importer;
use super::node::Node;
use super::proto::data_type;
use super::value::{Tensor, Value};
use crate::error::check_finite;
use crate::layer::product;
use crate::{Activation, Error, Operator, Source};

/// How far back a tensor's sign is looked for.
const DEPTH: usize = 32;

impl<'a> Importer<'a> {
    /// Stored integers become numbers; a tensor that was never rounded stays as it is.
    pub(super) fn dequantised(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["axis", "block_size", "output_dtype"])?;
        let constant = match self.value(node, 0)? {
            Value::Constant(constant) if constant.is_integer() => constant,
            other => return self.bind(node, other),
        };
        if node.int("block_size", 0)? != 0 {
            return Err(node.form("one scale, or one for each channel", "a block_size"));
        }
        let name = node.input(0)?;
        let dims = constant.dims(name)?;
        self.reserve(product(&dims).saturating_mul(2))?;
        let (scale, zero) = (self.quantity(node, 1, &dims)?, self.quantity(node, 2, &dims)?);
        let integers = constant.integers(name)?;
        let values: Vec<f64> =
            integers.iter().enumerate().map(|(i, v)| (*v as f64 - zero.at(i)) * scale.at(i)).collect();
        check_finite(&node.name, &values)?;
        self.bind_array(node, Array { dims, data: Data::Floats(values) })
    }

    /// Rounding is left out, and said; where the integers begin at zero, what is below is cut off as by Relu,
    /// for tools leave a Relu out then.
    pub(super) fn quantised(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["axis", "block_size", "output_dtype", "precision", "saturate"])?;
        let x = match self.value(node, 0)? {
            Value::Tensor(x) => x,
            constant => return self.bind(node, constant),
        };
        self.remark(
            "what the file rounds to integers between layers (QuantizeLinear) is not rounded here, so that \
             scores differ a little from the quantised network's"
                .into(),
        );
        if !self.begins_at_zero(node)? || self.is_positive(&x) {
            return self.bind(node, Value::Tensor(x));
        }
        self.remark(format!("{} cuts off what is below zero: taken for a Relu", node.name));
        let source = self.settle(&x)?;
        self.push_bound(node, Operator::Activation(Activation::Relu), vec![source], |_| x.dims.clone())
    }

    /// Whether zero is the least number that the integers stand for.
    fn begins_at_zero(&self, node: &Node<'a>) -> Result<bool, Error> {
        let Some(name) = node.optional_input(2) else {
            return Ok(![data_type::INT8, data_type::INT16]
                .map(i64::from)
                .contains(&node.int("output_dtype", 0)?));
        };
        let constant = self.constant(node, 2)?;
        let least = match constant.data_type() {
            Some(data_type::INT8) => -128,
            Some(data_type::INT16) => -32768,
            _ => 0,
        };
        Ok(constant.integers(name)?.iter().all(|zero| *zero == least))
    }

    /// Whether a tensor has no element below zero, as far as its node tells. Images have none.
    fn is_positive(&self, x: &Tensor) -> bool {
        x.polynomial.is_identity() && self.source_is_positive(x.source, DEPTH)
    }

    fn source_is_positive(&self, source: Source, depth: usize) -> bool {
        let Source::Node(index) = source else { return true };
        let node = self.graph_node(index);
        match &node.operator {
            Operator::Activation(Activation::Clip { low, .. }) => *low >= 0.0,
            Operator::Activation(
                Activation::Relu
                | Activation::Sigmoid
                | Activation::HardSigmoid { .. }
                | Activation::Softplus
                | Activation::Abs,
            ) => true,
            Operator::Reshape(_)
            | Operator::Selection(_)
            | Operator::AveragePool(_)
            | Operator::MaxPool(_) => depth > 0 && self.source_is_positive(node.inputs[0], depth - 1),
            Operator::Concat | Operator::Sum => {
                depth > 0
                    && node.inputs.len() <= 8
                    && node.inputs.iter().all(|s| self.source_is_positive(*s, depth / 4))
            }
            _ => false,
        }
    }

    /// A scale or a zero point: one number, or one for each index of the axis; zero where it is left out.
    fn quantity(&mut self, node: &Node<'a>, index: usize, dims: &[usize]) -> Result<Quantity, Error> {
        let Some(name) = node.optional_input(index) else { return Ok(Quantity::One(0.0)) };
        let array = self.constant(node, index)?.array(name)?;
        let values = array.to_floats();
        if let [value] = values[..] {
            return Ok(Quantity::One(value));
        }
        let given = node.int("axis", 1)?;
        let axis = if given < 0 { given + dims.len() as i64 } else { given };
        let axis = usize::try_from(axis).ok().filter(|axis| dims.get(*axis) == Some(&values.len()));
        let Some(axis) = axis.filter(|_| array.dims.len() == 1) else {
            let expected = format!("one number, or one for each index of axis {given} of {dims:?}");
            return Err(node.form(expected, format!("{:?}", array.dims)));
        };
        let mut own = vec![1; dims.len()];
        own[axis] = values.len();
        Ok(Quantity::Each(broadcast_places(&own, dims).into_iter().map(|place| values[place]).collect()))
    }
}

/// One number for all elements, or one for each.
enum Quantity {
    One(f64),
    Each(Vec<f64>),
}

impl Quantity {
    fn at(&self, index: usize) -> f64 {
        match self {
            Self::One(value) => *value,
            Self::Each(values) => values[index],
        }
    }
}
