//! What the nodes of a graph compute.

use crate::error::check_length;
use crate::layer::{Affine, AveragePool, Convolution, Dense, product};
use crate::{Activation, Error, MaxPool, Polynomial, Shape};

/// What a node of a [`crate::Graph`] computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Operator {
    /// A two-dimensional convolution.
    Convolution(Convolution),
    /// A fully connected layer.
    Dense(Dense),
    /// scale x + shift, element by element: batch normalisation at inference, a scaling, a bias.
    Affine(Affine),
    /// The mean over a window.
    AveragePool(AveragePool),
    /// The same elements in the same order, channel, row, column, under another shape.
    Reshape(Shape),
    /// A polynomial, element by element.
    Polynomial(Polynomial),
    /// The sum of tensors of one shape.
    Sum,
    /// Tensors of one height and width, one after the other along the channels.
    Concat,
    /// The product of two tensors of one shape, element by element.
    Product,
    /// Elements of the input, and zeros, in another order.
    Selection(Selection),
    /// An activation that is no polynomial: in the clear alone.
    Activation(Activation),
    /// The largest value in a window: in the clear alone.
    MaxPool(MaxPool),
}

/// Elements of the input, and zeros: transposition, slicing, padding, nearest-neighbour resizing,
/// broadcasting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The output's shape.
    pub shape: Shape,
    /// For each element of the output the element of the input that it is; `None` for zero.
    pub elements: Vec<Option<u32>>,
}

impl Operator {
    /// `x^2` on so many channels.
    pub fn square(channels: usize) -> Self {
        Self::Polynomial(Polynomial::square(channels))
    }

    /// The name, for tables and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Convolution(_) => "convolution",
            Self::Dense(_) => "dense",
            Self::Affine(_) => "affine",
            Self::AveragePool(_) => "average pool",
            Self::Reshape(shape) if shape.is_vector() => "flatten",
            Self::Reshape(_) => "reshape",
            Self::Polynomial(p) if p.is_square() => "square",
            Self::Polynomial(p) if p.degree() == 2 => "quadratic",
            Self::Polynomial(_) => "polynomial",
            Self::Sum => "sum",
            Self::Concat => "concatenation",
            Self::Product => "product",
            Self::Selection(_) => "selection",
            Self::Activation(activation) => activation.name(),
            Self::MaxPool(_) => "MaxPool",
        }
    }

    /// Number of weights, biases and coefficients.
    pub fn parameters(&self) -> usize {
        self.values().iter().map(|v| v.len()).sum()
    }

    /// The weights, biases and coefficients, as they are stored; none of a plain square.
    pub(crate) fn values(&self) -> Vec<&[f64]> {
        match self {
            Self::Convolution(l) => vec![&l.weights, l.bias.values()],
            Self::Dense(l) => vec![&l.weights, &l.bias],
            Self::Affine(l) => vec![&l.scale, &l.shift],
            Self::Polynomial(p) if p.is_square() => vec![],
            Self::Polynomial(p) => p.coefficients.iter().map(Vec::as_slice).collect(),
            Self::Activation(Activation::LeakyRelu(slopes)) => vec![slopes],
            _ => vec![],
        }
    }

    /// The output's shape for inputs of these shapes. Checks that the operator is consistent in itself, that
    /// the inputs fit and that the output is within [`crate::limits`]; `name` is what errors call it.
    pub fn output_shape(&self, name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
        let least = match self {
            Self::Sum | Self::Concat => inputs.len().max(1),
            Self::Product => 2,
            _ => 1,
        };
        check_length(|| format!("inputs of {name}"), least, inputs.len())?;
        let output = match self {
            Self::Convolution(l) => l.output_shape(name, inputs[0])?,
            Self::Dense(l) => l.output_shape(name, inputs[0])?,
            Self::AveragePool(l) => l.output_shape(name, inputs[0])?,
            Self::Affine(affine) => affine.output_shape(name, inputs[0])?,
            Self::Reshape(shape) => {
                let what = || format!("elements of {name} ({} to {shape})", inputs[0]);
                check_length(what, inputs[0].elements(), shape.elements())?;
                *shape
            }
            Self::Polynomial(p) => p.output_shape(name, inputs[0])?,
            Self::Sum | Self::Product => same(name, inputs)?,
            Self::Concat => stacked(name, inputs)?,
            Self::Selection(selection) => selection.output_shape(name, inputs[0])?,
            Self::Activation(activation) => activation.output_shape(name, inputs[0])?,
            Self::MaxPool(pool) => pool.windows.output_shape(name, inputs[0])?,
        };
        output.check(name)?;
        Ok(output)
    }

    /// Multiplications of one inference on inputs of these shapes, at the least one for each element of the
    /// output (border taps on padding count, too). Needs an operator that [`Operator::output_shape`] accepts.
    pub fn multiplications(&self, name: &str, inputs: &[Shape]) -> Result<u64, Error> {
        let outputs = self.output_shape(name, inputs)?.elements() as u64;
        Ok(match self {
            Self::Convolution(l) => outputs.saturating_mul(l.taps() as u64),
            Self::Dense(l) => outputs.saturating_mul(l.columns as u64),
            Self::AveragePool(l) | Self::MaxPool(MaxPool { windows: l }) => {
                outputs.saturating_mul(product(&l.kernel) as u64)
            }
            Self::Polynomial(p) if !p.is_square() => outputs.saturating_mul(p.degree() as u64),
            Self::Sum => outputs.saturating_mul(inputs.len() as u64),
            _ => outputs,
        })
    }
}

impl Affine {
    fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        for (what, values) in [("scale", &self.scale), ("shift", &self.shift)] {
            check_length(|| format!("{what} coefficients of {name}"), input.channels, values.len())?;
        }
        Ok(input)
    }
}

impl Polynomial {
    /// The highest degree that a node may have.
    pub const MAX_DEGREE: usize = 31;

    fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        if !(1..=Self::MAX_DEGREE + 1).contains(&self.coefficients.len()) {
            return Err(Error::Mismatch {
                what: format!("coefficients of {name}"),
                expected: format!("those of the powers from 0 to {} at most", Self::MAX_DEGREE),
                actual: format!("{} powers", self.coefficients.len()),
            });
        }
        for (power, values) in self.coefficients.iter().enumerate() {
            check_length(|| format!("coefficients of {name}, power {power}"), input.channels, values.len())?;
        }
        Ok(input)
    }
}

impl Selection {
    fn output_shape(&self, name: &str, input: Shape) -> Result<Shape, Error> {
        check_length(
            || format!("elements of {name} ({})", self.shape),
            self.shape.elements(),
            self.elements.len(),
        )?;
        match self.elements.iter().flatten().find(|e| **e as usize >= input.elements()) {
            None => Ok(self.shape),
            Some(element) => Err(Error::Mismatch {
                what: format!("elements that {name} selects"),
                expected: format!("elements of {input}, less than {}", input.elements()),
                actual: element.to_string(),
            }),
        }
    }
}

/// The one shape of all inputs.
fn same(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    match inputs.iter().find(|shape| **shape != inputs[0]) {
        None => Ok(inputs[0]),
        Some(other) => Err(Error::Mismatch {
            what: format!("inputs of {name}"),
            expected: format!(
                "tensors of one shape, {} as the first (a projection makes them equal)",
                inputs[0]
            ),
            actual: other.to_string(),
        }),
    }
}

fn stacked(name: &str, inputs: &[Shape]) -> Result<Shape, Error> {
    let Shape { height, width, .. } = inputs[0];
    if let Some(other) = inputs.iter().find(|shape| (shape.height, shape.width) != (height, width)) {
        return Err(Error::Mismatch {
            what: format!("inputs of {name}"),
            expected: format!("tensors of height {height} and width {width}, as the first"),
            actual: other.to_string(),
        });
    }
    let channels = inputs.iter().fold(0usize, |sum, shape| sum.saturating_add(shape.channels));
    Ok(Shape::new(channels, height, width))
}
