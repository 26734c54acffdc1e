//! Activations that are no polynomials.

use super::import::{Importer, shape_of};
use super::node::Node;
use super::value::Value;
use crate::{Activation, Error, Operator, Source};

/// The bound that some exporters write for none, in 32-bit floats.
const NO_BOUND: f64 = f32::MAX as f64;
/// Above this softplus is its argument, but for 5e-5.
const SAME_ABOVE: f64 = 10.0;
/// What ONNX says of SELU where a file says nothing.
const SELU: [f32; 2] = [1.673_263_2, 1.050_701];

impl<'a> Importer<'a> {
    /// An activation, or an operator that is not understood.
    pub(super) fn activation(&mut self, node: &Node<'a>) -> Result<(), Error> {
        let operator = node.operator();
        if operator == "PRelu" {
            return self.slopes(node);
        }
        let (attributes, activation): (&[&str], _) = match operator.as_str() {
            "Greater" => return self.greater(node),
            "Where" => return self.softplus_below(node),
            "Relu" => (&[], Activation::Relu),
            "Sigmoid" => (&[], Activation::Sigmoid),
            "Tanh" => (&[], Activation::Tanh),
            "Erf" => (&[], Activation::Erf),
            "Abs" => (&[], Activation::Abs),
            "Softplus" => (&[], Activation::Softplus),
            "Mish" => (&[], Activation::Mish),
            "HardSwish" => (&[], Activation::HardSwish),
            "LeakyRelu" => (&["alpha"], Activation::LeakyRelu(vec![node.float("alpha", 0.01)?])),
            "Gelu" | "com.microsoft::Gelu" | "com.microsoft::FastGelu" => (&["approximate"], gelu(node)?),
            "HardSigmoid" => {
                let (slope, offset) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
                (&["alpha", "beta"], Activation::HardSigmoid { slope, offset })
            }
            "Elu" => (&["alpha"], Activation::Elu { low: node.float("alpha", 1.0)?, gain: 1.0 }),
            "Selu" => {
                let (low, gain) = (node.float("alpha", SELU[0])?, node.float("gamma", SELU[1])?);
                (&["alpha", "gamma"], Activation::Elu { low, gain })
            }
            _ => return Err(unknown(node)),
        };
        node.only(1, attributes)?;
        self.activated(node, activation)
    }

    /// Binds a node's output to an activation of its first input; one slope becomes one for each channel.
    fn activated(&mut self, node: &Node<'a>, activation: Activation) -> Result<(), Error> {
        let (source, dims) = self.read(node, 0)?;
        let activation = match activation {
            Activation::LeakyRelu(slopes) if slopes.len() == 1 => {
                let channels = shape_of(&dims).channels;
                self.reserve(channels)?;
                Activation::LeakyRelu(vec![slopes[0]; channels])
            }
            other => other,
        };
        self.push_bound(node, Operator::Activation(activation), vec![source], |_| dims)
    }

    /// PRelu: a slope for each channel, or one.
    fn slopes(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let (constant, tensor) = (self.constant(node, 1)?, self.tensor(node, 0)?);
        let slopes = self.per_channel(node, node.input(1)?, &constant, &tensor.dims)?;
        let slopes = slopes.values().next().unwrap_or(&[]).to_vec();
        self.activated(node, Activation::LeakyRelu(slopes))
    }

    /// Clip, with bounds as attributes or as inputs; one that clips nothing is another name.
    pub(super) fn clip(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &["max", "min"])?;
        let low = self.bound(node, 1, "min", f64::NEG_INFINITY)?;
        let high = self.bound(node, 2, "max", f64::INFINITY)?;
        self.clipped(node, 0, low, high)
    }

    /// Max and Min of a tensor and one number.
    pub(super) fn extremum(&mut self, node: &Node<'a>, largest: bool) -> Result<(), Error> {
        node.only(2, &[])?;
        let (tensor, number) = match self.value(node, 0)? {
            Value::Tensor(_) => (0, 1),
            Value::Constant(_) => (1, 0),
        };
        let bound = self.number(node, number)?;
        match largest {
            true => self.clipped(node, tensor, bound, f64::INFINITY),
            false => self.clipped(node, tensor, f64::NEG_INFINITY, bound),
        }
    }

    /// Binds a node's output to the input at `index` kept between two bounds.
    fn clipped(&mut self, node: &Node<'a>, index: usize, low: f64, high: f64) -> Result<(), Error> {
        let (low, high) = (no_bound(low, -NO_BOUND), no_bound(high, NO_BOUND));
        if low == f64::NEG_INFINITY && high == f64::INFINITY {
            let value = self.value(node, index)?;
            return self.bind(node, value);
        }
        if low.is_nan() || high.is_nan() || low > high {
            return Err(node.form("a lower bound below the upper one", format!("{low} and {high}")));
        }
        let activation = match (low, high) {
            (0.0, f64::INFINITY) => Activation::Relu,
            _ => Activation::Clip { low, high },
        };
        let (source, dims) = self.read(node, index)?;
        self.push_bound(node, Operator::Activation(activation), vec![source], |_| dims)
    }

    /// Whether a tensor is above a number: nothing but the choice of [`Self::softplus_below`] may read that.
    fn greater(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(2, &[])?;
        let Value::Tensor(tensor) = self.value(node, 0)? else { return Err(unknown(node)) };
        let number = self.number(node, 1).map_err(|_| unknown(node))?;
        self.comparisons.insert(node.output()?, (tensor, number));
        Ok(())
    }

    /// PyTorch's softplus: `x` where that is so large that softplus is the same.
    fn softplus_below(&mut self, node: &Node<'a>) -> Result<(), Error> {
        node.only(3, &[])?;
        let Some((compared, number)) = self.comparisons.get(node.input(0)?).cloned() else {
            return Err(unknown(node));
        };
        let (Value::Tensor(above), Value::Tensor(below)) = (self.value(node, 1)?, self.value(node, 2)?)
        else {
            return Err(unknown(node));
        };
        let source = self.settle(&above)?;
        let is_softplus = matches!(below.source, Source::Node(index) if {
            let made = self.graph_node(index);
            made.operator == Operator::Activation(Activation::Softplus) && made.inputs == [source]
        });
        if number < SAME_ABOVE || self.settle(&compared)? != source || !is_softplus {
            return Err(unknown(node));
        }
        self.bind(node, Value::Tensor(below))
    }

    fn bound(&self, node: &Node<'a>, index: usize, attribute: &str, none: f64) -> Result<f64, Error> {
        match node.optional_input(index) {
            Some(_) => self.number(node, index),
            None => node.bound(attribute, none),
        }
    }

    /// The one number that the constant at input `index` is; it may be infinite.
    fn number(&self, node: &Node<'a>, index: usize) -> Result<f64, Error> {
        let (constant, name) = (self.constant(node, index)?, node.input(index)?);
        match constant.floats_or_infinite(name)?[..] {
            [number] => Ok(number),
            _ => Err(node
                .form(format!("one number as {name:?}"), format!("dimensions {:?}", constant.dims(name)?))),
        }
    }
}

fn unknown(node: &Node<'_>) -> Error {
    Error::Operator { operator: node.operator(), node: node.name.clone() }
}

/// What is as large as `largest` in size is no bound.
fn no_bound(bound: f64, largest: f64) -> f64 {
    if bound.abs() >= largest.abs() && bound.signum() == largest.signum() {
        bound.signum() * f64::INFINITY
    } else {
        bound
    }
}

fn gelu(node: &Node<'_>) -> Result<Activation, Error> {
    if node.operator() == "com.microsoft::FastGelu" {
        return Ok(Activation::GeluTanh);
    }
    match node.string("approximate", "none")?.as_str() {
        "none" => Ok(Activation::Gelu),
        "tanh" => Ok(Activation::GeluTanh),
        other => Err(node.form("approximate none or tanh", format!("{other:?}"))),
    }
}
